/**
 * Loader entries and kernel images on the EFI system partition: what would boot, and the changes of it. One instance for
 * the whole agent: changes go one after the other, and each is durable when its method returns.
 */
import { createHash } from 'node:crypto';
import { kernelImagePath } from '@keelos/proto/boot-entry.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { slotGuid } from '@keelos/proto/guid.ts';
import { ESP_KERNEL_DIR } from '@keelos/proto/node-paths.ts';
import {
  type Arming,
  type BootChange,
  type BootPicture,
  inLoaderOrder,
  nextEntry,
  type PictureEntry,
  planArm,
  planCommit,
  planDisarm,
  planPutBack,
  planRemove,
  planRevive,
  planSpend,
  runningEntry,
  sequenceAfter,
} from '../core/boot-state.ts';
import type { FileBytes } from '../core/esp-pieces.ts';
import { PIECE_BYTES_MAX } from '../core/fat-volume.ts';
import { type SlotFacts, type SlotKnowledge, slotFacts } from '../core/slot-facts.ts';
import type { AgentPorts } from '../ports.ts';
import { CountingProofs } from './counting-proof.ts';
import { CountingWitness } from './counting-witness.ts';
import { Esp } from './esp.ts';
import { type LoaderMending, mendCopies } from './loader-copies.ts';
import { readEntries } from './loader-entries.ts';
import { espPartition, osRelease, rootHash } from './node-facts.ts';
import { findSlot } from './slots.ts';

/** Ports of {@link BootState}. */
export type BootStatePorts = Pick<
  AgentPorts,
  'files' | 'targetOf' | 'openDevice' | 'variables' | 'state' | 'log'
>;

/** A kernel image to write. */
export interface KernelImage {
  readonly rootHash: string;
  readonly bytes: FileBytes;
  readonly sizeBytes: number;
  /** Of the bytes, hexadecimal. */
  readonly sha256: string;
}

/** The boot state of the node. */
export class BootState {
  readonly #ports: BootStatePorts;
  readonly #witness: CountingWitness;
  readonly #proofs: CountingProofs;
  #isProven: boolean | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(ports: BootStatePorts) {
    this.#ports = ports;
    this.#witness = new CountingWitness(ports);
    this.#proofs = new CountingProofs(ports);
  }

  /**
   * What would boot, read from the disk.
   *
   * @throws KeelError E_ESP_DAMAGED, E_SLOT_UNKNOWN
   */
  read(): Promise<BootPicture> {
    return this.#withEsp('read', (esp) => this.#picture(esp));
  }

  /** Both slots for the API. @throws KeelError E_ESP_DAMAGED, E_SLOT_UNKNOWN */
  async slots(knowledge: SlotKnowledge): Promise<SlotFacts[]> {
    return slotFacts(await this.read(), knowledge);
  }

  /**
   * Whether the loader counts tries: seen in this boot, or before with the same loader and firmware; undefined: it cannot be
   * told.
   *
   * @throws KeelError E_ESP_DAMAGED
   */
  async counting(): Promise<boolean | undefined> {
    if (this.#witness.isCounting !== undefined) return this.#witness.isCounting;
    if ((await this.#witness.selected()) === undefined) return this.#provenBefore();
    return this.#withEsp('read', async (esp) => {
      const { entries } = await readEntries(esp);
      return (await this.#seen(esp, entries)).isCounting;
    });
  }

  /** For a system that the loader did not start: looked up once, because health asks every second. */
  async #provenBefore(): Promise<boolean | undefined> {
    this.#isProven ??= await this.#withEsp('read', (esp) => this.#proofs.holds(esp));
    return this.#isProven ? true : undefined;
  }

  /** Bytes that a kernel image may have once the other slot is disarmed. @throws KeelError E_ESP_DAMAGED, E_SLOT_UNKNOWN */
  roomForKernelImage(): Promise<number> {
    return this.#withEsp('read', async (esp) => {
      const gone = new Set(planDisarm(await this.#picture(esp)).map(({ path }) => path));
      const images = (await esp.list(ESP_KERNEL_DIR)) ?? [];
      return images
        .filter(({ name }) => gone.has(`${ESP_KERNEL_DIR}/${name}`))
        .reduce((sum, { sizeBytes }) => sum + esp.roomFor(sizeBytes), esp.freeBytes);
    });
  }

  /**
   * Leaves nothing but the running system to boot, and removes what failed tries left. To be called only while the
   * running system is committed.
   *
   * @throws KeelError E_ESP_DAMAGED, E_SLOT_UNKNOWN
   */
  disarmOther(): Promise<void> {
    return this.#change(async (esp) => {
      await esp.reclaim();
      await perform(esp, planDisarm(await this.#picture(esp)));
    });
  }

  /**
   * Writes a kernel image under the name for its root, whatever has that name, and reads it back from the disk.
   *
   * @throws KeelError E_ESP_FULL, E_ESP_DAMAGED; E_INTERNAL when the running kernel has the name
   */
  placeKernelImage(image: KernelImage): Promise<void> {
    const path = kernelImagePath(image.rootHash);
    return this.#change(async (esp, dropCache) => {
      if (kernelImagePath(await rootHash(this.#ports.files)) === path) {
        throw new KeelError('E_INTERNAL', `Cannot write ${path}: the running kernel has that name`);
      }
      await esp.remove(path);
      await esp.write(path, image.bytes, image.sizeBytes);
      await dropCache();
      const found = await sha256Of(esp, path);
      if (found === image.sha256) return;
      await esp.remove(path);
      throw new KeelError(
        'E_ESP_DAMAGED',
        `Cannot write ${path}: it reads back with SHA-256 ${found}, expected ${image.sha256}`,
      );
    });
  }

  /**
   * Arms a release for one try; its kernel image must be in its place. The last write is one sector.
   *
   * @throws KeelError E_ESP_FULL, E_ESP_DAMAGED, E_SLOT_UNKNOWN
   */
  arm(arming: Arming): Promise<void> {
    return this.#change(async (esp) => {
      await perform(esp, planArm(await this.#picture(esp), arming));
      const after = await this.#picture(esp);
      if (nextEntry(after)?.name.sequence === arming.sequence) return;
      await perform(esp, planRemove(after, arming.sequence));
      const next = nextEntry(after)?.fileName ?? 'nothing';
      throw new KeelError('E_ESP_DAMAGED', `Cannot arm entry ${arming.sequence}: ${next} is next`);
    });
  }

  /**
   * Commits the running system's entry: nine tries, and no older entry for the same root. The first write is one sector;
   * an entry that is not there is written.
   *
   * @throws KeelError E_ESP_DAMAGED, E_ESP_FULL, E_SLOT_UNKNOWN
   */
  commit(sequence: number): Promise<void> {
    return this.#change(async (esp) => {
      await perform(esp, planCommit(await this.#picture(esp), sequence));
    });
  }

  /**
   * Gives the running system its nine tries back; one that has no entry gets one. To be called while nothing is on
   * trial: when the checks pass, and before a release is armed. Frees what power cuts have lost.
   *
   * @throws KeelError E_ESP_DAMAGED, E_ESP_FULL, E_SLOT_UNKNOWN
   */
  putBackTries(): Promise<void> {
    return this.#change(async (esp) => {
      await esp.reclaim();
      await perform(esp, planPutBack(await this.#picture(esp)));
    });
  }

  /**
   * Makes sure that something beside a release that is given up has a try left.
   *
   * @param givenUp sequence number of its entry
   * @throws KeelError E_ESP_DAMAGED, E_ESP_FULL, E_SLOT_UNKNOWN
   */
  reviveOthers(givenUp: number): Promise<void> {
    return this.#change(async (esp) => {
      await perform(esp, planRevive(await this.#picture(esp), givenUp));
    });
  }

  /**
   * Spends what is left of the tries of an entry: what a loader that counts has done before its system starts.
   *
   * @throws KeelError E_ESP_DAMAGED, E_ESP_FULL, E_SLOT_UNKNOWN
   */
  spendTries(sequence: number): Promise<void> {
    return this.#change(async (esp) => {
      await perform(esp, planSpend(await this.#picture(esp), sequence));
    });
  }

  /**
   * Removes an entry, and its kernel image when nothing else needs it. One that is not there is fine.
   *
   * @throws KeelError E_ESP_DAMAGED
   */
  removeEntry(sequence: number): Promise<void> {
    return this.#change(async (esp) => {
      await perform(esp, planRemove(await this.#picture(esp), sequence));
    });
  }

  /** Writes a damaged copy of the boot loader from the other one. @throws KeelError E_ESP_DAMAGED, E_ESP_FULL */
  mendLoaders(): Promise<LoaderMending> {
    return this.#change((esp, dropCache) => mendCopies(esp, this.#ports, dropCache));
  }

  async #picture(esp: Esp): Promise<BootPicture> {
    const found = await readEntries(esp);
    const running = await findSlot(this.#ports, 'running');
    const other = await findSlot(this.#ports, 'other');
    const hash = await rootHash(this.#ports.files);
    const seen = await this.#seen(esp, found.entries);
    const slotOf = (entry: PictureEntry): PictureEntry => {
      const guid = entry.rootHash === undefined ? '' : slotGuid(entry.rootHash);
      // The running root is where it runs from, also when its table cannot be read.
      const slot =
        entry.rootHash === hash ? running : [running, other].find((one) => one.guid === guid);
      return slot === undefined ? entry : { ...entry, slot: slot.slot };
    };
    const entries = inLoaderOrder(found.entries).map(slotOf);
    const selected = seen.selected === undefined ? {} : { loaderSelected: seen.selected };
    const entry = runningEntry(entries, { rootHash: hash, ...selected });
    const version = (await osRelease(this.#ports.files)).get('VERSION_ID') ?? '';
    return {
      running: { ...running, version, rootHash: hash, ...(entry === undefined ? {} : { entry }) },
      other,
      entries,
      unarmed: found.unarmed,
      kernelImages: found.kernelImages,
      nextSequence: sequenceAfter([...entries.map(({ fileName }) => fileName), ...found.unarmed]),
      isCounting: seen.isCounting,
      ...selected,
    };
  }

  async #seen(
    esp: Esp,
    entries: readonly PictureEntry[],
  ): Promise<{ readonly selected: string | undefined; readonly isCounting: boolean | undefined }> {
    const selected = await this.#witness.selected();
    const hash = await rootHash(this.#ports.files);
    const options = selected === undefined ? {} : { loaderSelected: selected };
    const entry = runningEntry(entries, { rootHash: hash, ...options });
    const wasSeen = this.#witness.isCounting;
    const isSeen = this.#witness.judge(entry, selected);
    if (wasSeen === undefined && isSeen !== undefined) await this.#proofs.remember(esp, isSeen);
    const isProven = isSeen === undefined && (await this.#proofs.holds(esp));
    return { selected, isCounting: isProven ? true : isSeen };
  }

  /** One after the other. */
  #change<T>(change: (esp: Esp, dropCache: () => Promise<void>) => Promise<T>): Promise<T> {
    const run = this.#last.then(() => this.#withEsp('write', change));
    // Who made this call hears of its error; the next call does not.
    this.#last = run.catch(() => undefined);
    return run;
  }

  /** The partition is read anew. A reader does not wait for a change: after each of its writes all is in order. */
  async #withEsp<T>(
    mode: 'read' | 'write',
    use: (esp: Esp, dropCache: () => Promise<void>) => Promise<T>,
  ): Promise<T> {
    const partition = await espPartition(this.#ports);
    if (partition === undefined) {
      throw new KeelError('E_ESP_DAMAGED', 'Cannot read EFI system partition: there is none');
    }
    const device = await opened(() => this.#ports.openDevice(`/dev/${partition.name}`, mode));
    try {
      return await use(await Esp.open(device), () => device.dropCache());
    } finally {
      await device.close();
    }
  }
}

async function opened<T>(open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (cause) {
    throw new KeelError('E_ESP_DAMAGED', `Cannot open EFI system partition: ${cause}`, { cause });
  }
}

async function perform(esp: Esp, changes: readonly BootChange[]): Promise<void> {
  for (const change of changes) {
    if (change.kind === 'remove') await esp.remove(change.path);
    else if (change.kind === 'rename') await esp.rename(change.path, change.newName);
    else {
      const bytes = Buffer.from(change.text);
      await esp.write(change.path, bytes, bytes.length);
    }
  }
}

/** SHA-256 of a file; empty when there is none. */
async function sha256Of(esp: Esp, path: string): Promise<string> {
  const sum = createHash('sha256');
  for (let offsetBytes = 0; ; offsetBytes += PIECE_BYTES_MAX) {
    const piece = await esp.readRange(path, { offsetBytes, lengthBytes: PIECE_BYTES_MAX });
    if (piece === undefined) return '';
    sum.update(piece);
    if (piece.length < PIECE_BYTES_MAX) return sum.digest('hex');
  }
}
