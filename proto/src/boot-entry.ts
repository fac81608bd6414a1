/**
 * Boot-loader entries of KeelOS: their names, their counters, their contents, and the order in which systemd-boot 257
 * takes them. Pure; nothing here touches a disk.
 *
 *     loader/entries/keel-<sequence>[+<left>[-<done>]].conf
 *
 * Boot Loader Specification (type 1 entries), Automatic Boot Assessment:
 * https://uapi-group.org/specifications/specs/boot_loader_specification/, https://systemd.io/AUTOMATIC_BOOT_ASSESSMENT/
 */

import { ESP_KERNEL_DIR } from './node-paths.ts';

/** The loader: where firmware looks for it without any boot option. */
export const LOADER_PATH = 'EFI/BOOT/BOOTX64.EFI';
/** Second copy of the loader, which has a boot option of its own. */
export const SECOND_LOADER_PATH = 'EFI/keel/loader.efi';
/** Tries of a committed entry. Every healthy boot puts them back. */
export const COMMITTED_TRIES = 9;
/** Tries of a trial. */
export const TRIAL_TRIES = 1;
/** Largest sequence number; an update a minute would take 190 years. */
export const SEQUENCE_MAX = 99_999_999;
/** Folder of the entries on the EFI system partition. */
export const ENTRIES_DIR = 'loader/entries';
/** Ending of an entry that is not armed yet: the loader reads only ".conf". */
export const UNARMED_SUFFIX = '.new';
/** Digits of the root hash in the name of a kernel image. */
const KERNEL_IMAGE_DIGITS = 8;

/** Path on the EFI system partition of the kernel image for a root, without a slash at its start. */
export function kernelImagePath(rootHash: string): string {
  if (!/^[0-9a-f]{64}$/.test(rootHash)) throw new TypeError(`not a root hash: ${rootHash}`);
  return `${ESP_KERNEL_DIR}/${rootHash.slice(0, KERNEL_IMAGE_DIGITS)}.efi`;
}

/** What an entry's name says. */
export interface EntryName {
  readonly sequence: number;
  /** Absent: the entry is not counted. */
  readonly counter?: { readonly left: number; readonly done: number };
}

/** An entry: name and contents. */
export interface BootEntry extends EntryName {
  /** Release. */
  readonly version: string;
  /** Path of the kernel image on the EFI system partition, without a slash at its start. */
  readonly uki: string;
}

const NAME = /^keel-([1-9]\d{0,7})(?:\+(\d{1,9})(?:-(\d{1,9}))?)?\.conf$/i;

/** File name of an entry: `keel-7+1.conf`, `keel-7+0-1.conf`, `keel-7.conf`. */
export function entryFileName({ sequence, counter }: EntryName): string {
  if (!Number.isSafeInteger(sequence) || sequence < 1 || sequence > SEQUENCE_MAX) {
    throw new RangeError(`sequence ${sequence}`);
  }
  if (counter === undefined) return `keel-${sequence}.conf`;
  const done = counter.done === 0 ? '' : `-${counter.done}`;
  return `keel-${sequence}+${counter.left}${done}.conf`;
}

/** Name of an entry that is not armed: `keel-7.new`. */
export function unarmedFileName(sequence: number): string {
  return entryFileName({ sequence }).replace(/\.conf$/, UNARMED_SUFFIX);
}

/** What a file name says; undefined when it is not one of ours. */
export function parseEntryFileName(name: string): EntryName | undefined {
  const found = NAME.exec(name);
  if (found === null) return undefined;
  const [, sequence, left, done] = found;
  return {
    sequence: Number(sequence),
    ...(left === undefined ? {} : { counter: { left: Number(left), done: Number(done ?? 0) } }),
  };
}

/** Contents of an entry's file. */
export function entryText({ version, uki }: Pick<BootEntry, 'version' | 'uki'>): string {
  return [
    `title KeelOS ${version}`,
    `version ${version}`,
    'architecture x64',
    `efi /${uki}`,
    '',
  ].join('\n');
}

const ENTRY_TEXT_BYTES_MAX = 4096;

/** Reads {@link entryText} back, as the loader does: unknown lines are passed over. Undefined without a kernel image. */
export function parseEntryText(text: string): Pick<BootEntry, 'version' | 'uki'> | undefined {
  if (text.length > ENTRY_TEXT_BYTES_MAX) return undefined;
  const values = new Map<string, string>();
  for (const line of text.split('\n')) {
    const found = /^\s*([a-z-]+)\s+(\S.*?)\s*$/.exec(line);
    if (found !== null) values.set(found[1] ?? '', found[2] ?? '');
  }
  const uki = values
    .get('efi')
    ?.replace(/^[/\\]+/, '')
    .replaceAll('\\', '/');
  return uki === undefined || uki === ''
    ? undefined
    : { version: values.get('version') ?? '', uki };
}

/** True when the loader has used up an entry's tries. */
export function isSpent({ counter }: EntryName): boolean {
  return counter !== undefined && counter.left === 0;
}

/**
 * The order of systemd-boot 257 for entries without a sort key, first the one that it starts: used-up ones behind all
 * others, and within both the higher sequence first (the file name without its counter, as strverscmp_improved() has it).
 */
export function compareEntries(a: EntryName, b: EntryName): number {
  return Number(isSpent(a)) - Number(isSpent(b)) || b.sequence - a.sequence;
}

/**
 * Name after the loader has started the entry once, which it writes before. A used-up entry that is started all the same,
 * because there is nothing else, goes on being counted: "+0-1" becomes "+0-2".
 */
export function afterOneTry(name: EntryName): EntryName {
  const { sequence, counter } = name;
  if (counter === undefined) return name;
  return { sequence, counter: { left: Math.max(0, counter.left - 1), done: counter.done + 1 } };
}
