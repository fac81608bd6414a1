/**
 * Firmware, boot loader and kernel as far as a power cut shows them.
 *
 * * The firmware starts its boot options in their order, and goes to the next one when a program cannot be loaded or
 *   comes back; behind them is the path of removable media. Then it waits for a person: that is a brick.
 * * systemd-boot 257 takes the first entry whose kernel image is there, spends a try by a rename, and starts it.
 * * The kernel opens the root by the GUID of its partition and verifies it. A block that is wrong restarts the machine. A
 *   partition that never appears is waited for; a watchdog ends that, but no cut may lead there: it counts as a brick.
 */
import {
  afterOneTry,
  compareEntries,
  ENTRIES_DIR,
  type EntryName,
  entryFileName,
  parseEntryFileName,
  parseEntryText,
} from '@keelos/proto/boot-entry.ts';
import {
  decodeBackupGpt,
  decodeGpt,
  GPT_BACKUP_SECTORS,
  GPT_PRIMARY_SECTORS,
  type Gpt,
} from '@keelos/proto/gpt.ts';
import { parseVerityTable } from '@keelos/proto/verity-table.ts';
import { bootOptions } from './boot-options.ts';
import { FirmwareFat } from './firmware-fat.ts';
import { FIRMWARE_DEVICE } from './fresh-medium.ts';
import type { DeviceAccess, Hardware } from './hardware.ts';
import { loadProgram, type Release } from './releases.ts';
import { SECTOR_BYTES } from './sectors.ts';

const LOADER_GUID = '4a67b082-0a4c-41cf-b6c7-440b29bb8c4f';
/** The variable in which the loader says what it started. */
export const SELECTED_VARIABLE = `LoaderEntrySelected-${LOADER_GUID}`;
/** The variable in which it says where it lies itself. */
const IMAGE_VARIABLE = `LoaderImageIdentifier-${LOADER_GUID}`;
/** Path of the entry after a try of it was spent. */
export const COUNTED_VARIABLE = `LoaderBootCountPath-${LOADER_GUID}`;
const REMOVABLE_PATH = 'EFI/BOOT/BOOTX64.EFI';
/** EFI_VARIABLE_BOOTSERVICE_ACCESS and _RUNTIME_ACCESS: gone at the next start. */
const VOLATILE = 6;
/** Starts in a row that do not lead to a system; nine tries of a rotten release, and some more. */
export const STARTS_MAX = 24;

/** A system whose PID 1 runs. */
export interface RunningSystem {
  readonly release: Release;
  readonly slot: 'a' | 'b';
  readonly commandLine: string;
}

/** What came of switching a machine on. */
export type Start =
  | { readonly kind: 'runs'; readonly system: RunningSystem; readonly starts: number }
  | { readonly kind: 'stuck'; readonly reason: string; readonly starts: number };

/** What a program comes to: it runs, it restarts the machine, it comes back, or nothing happens any more. */
type Course =
  | { readonly kind: 'runs'; readonly system: RunningSystem }
  | { readonly kind: 'restarts'; readonly reason: string }
  | { readonly kind: 'returns'; readonly reason: string }
  | { readonly kind: 'stuck'; readonly reason: string };

/** A machine that can be switched on. */
export class Machine {
  readonly #hardware: Hardware;
  /** Everything that was ever signed, by root hash. */
  readonly #releases: ReadonlyMap<string, Release>;
  /** Releases whose kernel found an intact root. */
  readonly started = new Set<Release>();

  constructor(hardware: Hardware, releases: ReadonlyMap<string, Release>) {
    this.#hardware = hardware;
    this.#releases = releases;
  }

  /** Switches it on, and goes on until PID 1 of some release runs. */
  start(): Start {
    const reasons: string[] = [];
    for (let starts = 1; starts <= STARTS_MAX; starts += 1) {
      this.#hardware.restart();
      this.#hardware.mark(`start ${starts}`);
      const course = this.#firmware();
      if (course.kind === 'runs') return { kind: 'runs', system: course.system, starts };
      reasons.push(course.reason);
      if (course.kind !== 'restarts') return { kind: 'stuck', reason: reasons.join('; '), starts };
    }
    return { kind: 'stuck', reason: reasons.join('; '), starts: STARTS_MAX };
  }

  #firmware(): Course {
    const device = this.#hardware.device(FIRMWARE_DEVICE);
    const reasons: string[] = [];
    const gpt = readTable(device);
    const paths = [
      ...bootOptions(this.#hardware, gpt),
      ...gpt.partitions.slice(0, 1).map((partition) => ({ partition, path: REMOVABLE_PATH })),
    ];
    for (const { partition, path } of paths) {
      const course = this.#startProgram(device, partition.firstLba * SECTOR_BYTES, path);
      if (course.kind !== 'returns') return course;
      reasons.push(`${path}: ${course.reason}`);
    }
    return { kind: 'stuck', reason: `nothing to start (${reasons.join('; ')})` };
  }

  #startProgram(device: DeviceAccess, espOffset: number, path: string): Course {
    let fat: FirmwareFat;
    try {
      fat = new FirmwareFat(device, espOffset);
    } catch (cause) {
      return { kind: 'returns', reason: String(cause) };
    }
    const bytes = fat.read(path);
    if (bytes === undefined) return { kind: 'returns', reason: 'not there' };
    const program = loadProgram(bytes);
    switch (program.kind) {
      case 'unloadable':
        return { kind: 'returns', reason: 'not a program' };
      case 'crashes':
        return { kind: 'restarts', reason: `${path} crashes` };
      case 'loader':
        this.#setText(IMAGE_VARIABLE, `\\${path.replaceAll('/', '\\')}`);
        return this.#loader(device, espOffset, fat);
      case 'kernel':
        return this.#kernel(device, program.commandLine);
    }
  }

  #loader(device: DeviceAccess, espOffset: number, fat: FirmwareFat): Course {
    const entry = loaderEntries(fat)[0];
    if (entry === undefined) return { kind: 'returns', reason: 'no entry' };
    this.#setText(SELECTED_VARIABLE, entry.fileName.toLowerCase());
    const spent = entryFileName(afterOneTry(entry.name));
    this.#hardware.mark(`the loader starts ${entry.fileName}`);
    if (spent !== entry.fileName.toLowerCase()) {
      fat.rename(ENTRIES_DIR, entry.fileName, spent);
      this.#setText(COUNTED_VARIABLE, `\\loader\\entries\\${spent}`);
    }
    return this.#startProgram(device, espOffset, entry.uki);
  }

  #setText(name: string, text: string): void {
    const data = Buffer.from(`${text}\0`, 'utf16le');
    this.#hardware.setVariable(name, { attributes: VOLATILE, data });
  }

  #kernel(device: DeviceAccess, commandLine: string): Course {
    const table = parseVerityTable(commandLine);
    const guid = table?.device.replace(/^PARTUUID=/, '');
    const partition = readTable(device).partitions.find((each) => each.guid === guid);
    if (table === undefined || partition === undefined) {
      return { kind: 'stuck', reason: `the kernel waits for ${guid}` };
    }
    const release = this.#releases.get(table.rootHash);
    const offset = partition.firstLba * SECTOR_BYTES;
    const isIntact =
      release !== undefined && device.read(offset, release.root.length).equals(release.root);
    if (!isIntact) return { kind: 'restarts', reason: `root ${table.rootHash} is not intact` };
    this.started.add(release);
    if (release.behaviour === 'panics') {
      return { kind: 'restarts', reason: `the kernel of ${release.version} panics` };
    }
    const slot = partition.number === 2 ? 'a' : 'b';
    return { kind: 'runs', system: { release, slot, commandLine } };
  }
}

/** An entry that the loader could start. */
export interface LoaderEntry {
  readonly fileName: string;
  readonly name: EntryName;
  readonly version: string;
  readonly uki: string;
}

/** Entries whose kernel image is there, in the order of the loader. */
export function loaderEntries(fat: FirmwareFat): LoaderEntry[] {
  const found: LoaderEntry[] = [];
  for (const { name: fileName } of fat.folder(ENTRIES_DIR)?.entries ?? []) {
    const name = parseEntryFileName(fileName);
    const text = parseEntryText(fat.read(`${ENTRIES_DIR}/${fileName}`)?.toString('latin1') ?? '');
    if (name === undefined || text === undefined) continue;
    if (fat.read(text.uki) !== undefined) found.push({ fileName, name, ...text });
  }
  // Two of one number differ in their counters only; the loader takes the one with more tries.
  const left = ({ name }: LoaderEntry) => name.counter?.left ?? Number.MAX_SAFE_INTEGER;
  return found.sort((a, b) => compareEntries(a.name, b.name) || left(b) - left(a));
}

/** The partition table: the second copy when the first is torn. */
export function readTable(device: DeviceAccess): Gpt {
  try {
    return decodeGpt(device.read(0, GPT_PRIMARY_SECTORS * SECTOR_BYTES));
  } catch {
    // Firmware and kernel (option "gpt") both take the copy at the end then.
    const bytes = GPT_BACKUP_SECTORS * SECTOR_BYTES;
    return decodeBackupGpt(device.read(device.sizeBytes - bytes, bytes));
  }
}
