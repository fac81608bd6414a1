/**
 * What would boot, and which changes of loader entries lead where they should. Pure: shell/boot-state.ts reads the
 * picture and performs the plans.
 */
import {
  afterOneTry,
  COMMITTED_TRIES,
  compareEntries,
  ENTRIES_DIR,
  type EntryName,
  entryFileName,
  entryText,
  isSpent,
  kernelImagePath,
  parseEntryFileName,
  SECOND_LOADER_PATH,
  TRIAL_TRIES,
  unarmedFileName,
} from '@keelos/proto/boot-entry.ts';
import { ESP_KERNEL_DIR } from '@keelos/proto/node-paths.ts';

const UNARMED_NAME = /^keel-[1-9]\d{0,7}\.new$/i;

/** A slot of the disk. */
export type SlotName = 'a' | 'b';

/** A loader entry on the EFI system partition. */
export interface PictureEntry {
  /** For example "keel-7+0-1.conf". */
  readonly fileName: string;
  readonly name: EntryName;
  /** Release; empty when its text names none. */
  readonly version: string;
  /** Path of its kernel image, without a slash at its start; empty when its text names none. */
  readonly uki: string;
  /** The kernel image is there; an entry without one is passed over by the loader, its counter untouched. */
  readonly isImageThere: boolean;
  /** Root that the kernel image starts; absent: the image is missing, or says nothing. */
  readonly rootHash?: string;
  /** Slot whose partition GUID is that of the root; absent: none. */
  readonly slot?: SlotName;
}

/** A slot's partition. */
export interface PictureSlot {
  readonly slot: SlotName;
  /** For example "/dev/vda3". */
  readonly device: string;
  readonly sizeBytes: number;
  /** Lower case; empty when the partition table cannot be read. */
  readonly guid: string;
}

/** What would boot. */
export interface BootPicture {
  readonly running: PictureSlot & {
    readonly version: string;
    readonly rootHash: string;
    /** Its entry; absent: the loader knows nothing of it (emptied, or never written). */
    readonly entry?: PictureEntry;
  };
  readonly other: PictureSlot;
  /** All armed entries of KeelOS, in the loader's order: the first is the next to start. */
  readonly entries: readonly PictureEntry[];
  /** Names of entries that are not armed. */
  readonly unarmed: readonly string[];
  /** Kernel images in their folder, by path. */
  readonly kernelImages: readonly string[];
  /** The sequence number that the next entry gets. */
  readonly nextSequence: number;
  /** Whether the loader counts tries: seen in this boot, or before with the same loader; undefined: it cannot be told. */
  readonly isCounting: boolean | undefined;
  /** Name that the loader gives as the one it started (LoaderEntrySelected); absent: it did not start this system. */
  readonly loaderSelected?: string;
}

/** A change of the EFI system partition; each is durable before the next. */
export type BootChange =
  | { readonly kind: 'write'; readonly path: string; readonly text: string }
  | { readonly kind: 'rename'; readonly path: string; readonly newName: string }
  | { readonly kind: 'remove'; readonly path: string };

/** The entry that the loader starts next; undefined when it has none. */
export function nextEntry(picture: Pick<BootPicture, 'entries'>): PictureEntry | undefined {
  return picture.entries.find(({ isImageThere }) => isImageThere);
}

/** True for the name of a kernel image in its folder, where the second copy of the loader lies too. */
export function isKernelImageName(name: string): boolean {
  const path = `${ESP_KERNEL_DIR}/${name}`.toLowerCase();
  return path.endsWith('.efi') && path !== SECOND_LOADER_PATH.toLowerCase();
}

/** True for the name of an armed entry of KeelOS. */
export function isEntryName(name: string): boolean {
  return parseEntryFileName(name) !== undefined;
}

/** True for the name of an entry of KeelOS that is not armed. */
export function isUnarmedName(name: string): boolean {
  return UNARMED_NAME.test(name);
}

/** What an entry's name says. @throws TypeError when it is not one of ours */
export function entryNameOf(fileName: string): EntryName {
  const name = parseEntryFileName(fileName);
  if (name === undefined) throw new TypeError(`no entry of KeelOS: ${fileName}`);
  return name;
}

/** Entries in the loader's order. */
export function inLoaderOrder(entries: readonly PictureEntry[]): PictureEntry[] {
  return entries.toSorted((a, b) => compareEntries(a.name, b.name));
}

const pathOf = (fileName: string) => `${ENTRIES_DIR}/${fileName}`;
const committedName = (sequence: number) =>
  entryFileName({ sequence, counter: { left: COMMITTED_TRIES, done: 0 } });

/**
 * The running system's entry: of several for its root the one that the loader says it started, else the first.
 */
export function runningEntry(
  entries: readonly PictureEntry[],
  running: { readonly rootHash: string; readonly loaderSelected?: string },
): PictureEntry | undefined {
  const own = inLoaderOrder(entries).filter(({ rootHash }) => rootHash === running.rootHash);
  const selected = parseEntryFileName(running.loaderSelected ?? '')?.sequence;
  return own.find(({ name }) => name.sequence === selected) ?? own[0];
}

/** The sequence number after every one that is in use. */
export function sequenceAfter(fileNames: readonly string[]): number {
  const used = fileNames.map((name) =>
    isUnarmedName(name)
      ? entryNameOf(name.replace(/new$/i, 'conf')).sequence
      : entryNameOf(name).sequence,
  );
  return Math.max(0, ...used) + 1;
}

/**
 * Whether the entry that the loader started shows a spent try. undefined: the loader did not start this system, or the
 * entry is not counted.
 */
export function showsSpentTry(
  entry: PictureEntry | undefined,
  loaderSelected: string | undefined,
): boolean | undefined {
  const selected = parseEntryFileName(loaderSelected ?? '');
  if (selected === undefined || entry?.name.sequence !== selected.sequence) return undefined;
  const { counter } = entry.name;
  if (counter === undefined) return undefined;
  // What the loader saw before it counted is in its variable; what it left is on the disk.
  const spent = afterOneTry(selected).counter;
  return spent === undefined
    ? counter.done > 0
    : counter.left === spent.left && counter.done === spent.done;
}

/** Changes that make sure that the loader has the running system, committed. None when it has. */
export function planPutBack(picture: BootPicture): BootChange[] {
  const { entry, version, rootHash } = picture.running;
  if (entry === undefined) {
    return planEntry(
      { sequence: picture.nextSequence, version, rootHash, isUnarmedThere: false },
      COMMITTED_TRIES,
    );
  }
  const newName = committedName(entry.name.sequence);
  return entry.fileName.toLowerCase() === newName
    ? []
    : [{ kind: 'rename', path: pathOf(entry.fileName), newName }];
}

/**
 * Changes that give its nine tries back to the best release beside an entry that is given up, when no release has a try
 * left. None when one has, or there is no other.
 */
export function planRevive({ entries }: BootPicture, givenUp: number): BootChange[] {
  const others = inLoaderOrder(entries).filter(({ name }) => name.sequence !== givenUp);
  const startable = others.filter(({ isImageThere, uki }) => isImageThere && uki !== '');
  const [best] = startable;
  if (best === undefined || !isSpent(best.name)) return [];
  const newName = committedName(best.name.sequence);
  return [{ kind: 'rename', path: pathOf(best.fileName), newName }];
}

/** Changes that leave an entry no try, as if the loader had spent them. None when it has none, or is not there. */
export function planSpend({ entries }: BootPicture, sequence: number): BootChange[] {
  const entry = entries.find(({ name }) => name.sequence === sequence);
  const { left = 0, done = 0 } = entry?.name.counter ?? {};
  if (entry === undefined || left === 0) return [];
  const newName = entryFileName({ sequence, counter: { left: 0, done: done + left } });
  return [{ kind: 'rename', path: pathOf(entry.fileName), newName }];
}

/**
 * Changes that leave the running system alone on the EFI system partition: first the entries go, which ends that
 * anything else boots, then kernel images that nothing names, then what failed tries left.
 */
export function planDisarm(picture: BootPicture): BootChange[] {
  const { entry, rootHash } = picture.running;
  // Without an entry of its own the running system would be started by nothing when the other entries are gone.
  const own = entry === undefined ? planPutBack(picture) : [];
  const gone = picture.entries.filter(({ fileName }) => fileName !== entry?.fileName);
  const kept = new Set(
    [kernelImagePath(rootHash), entry?.uki ?? ''].map((path) => path.toLowerCase()),
  );
  const images = picture.kernelImages.filter((path) => !kept.has(path.toLowerCase()));
  return [
    ...own,
    ...[...gone.map(({ fileName }) => fileName), ...picture.unarmed].map((name) => ({
      kind: 'remove' as const,
      path: pathOf(name),
    })),
    ...images.map((path) => ({ kind: 'remove' as const, path })),
  ];
}

/** What {@link planArm} arms. */
export interface Arming {
  readonly sequence: number;
  readonly version: string;
  readonly rootHash: string;
}

/** Changes that arm a release for one try. The last one is the one that counts. */
export function planArm(picture: BootPicture, arming: Arming): BootChange[] {
  const unarmed = unarmedFileName(arming.sequence);
  const isUnarmedThere = picture.unarmed.some((name) => name.toLowerCase() === unarmed);
  return planEntry({ ...arming, isUnarmedThere }, TRIAL_TRIES);
}

function planEntry(of: Arming & { readonly isUnarmedThere: boolean }, tries: number): BootChange[] {
  const { sequence, version, rootHash } = of;
  const path = pathOf(unarmedFileName(sequence));
  const newName = entryFileName({ sequence, counter: { left: tries, done: 0 } });
  const uki = kernelImagePath(rootHash);
  return [
    ...(of.isUnarmedThere ? [{ kind: 'remove' as const, path }] : []),
    { kind: 'write', path, text: entryText({ version, uki }) },
    { kind: 'rename', path, newName },
  ];
}

/**
 * Changes that commit the running system's entry: nine tries, and no other entry for the same root. One that is not there
 * is written: firmware that was cut in its own rename may have lost it.
 */
export function planCommit(picture: BootPicture, sequence: number): BootChange[] {
  const { version, rootHash } = picture.running;
  const entry = picture.entries.find(({ name }) => name.sequence === sequence);
  const newName = committedName(sequence);
  const root = entry === undefined ? rootHash : entry.rootHash;
  const older = picture.entries.filter(
    (one) =>
      one.fileName !== entry?.fileName &&
      (one.name.sequence === sequence || (root !== undefined && one.rootHash === root)),
  );
  const unarmed = unarmedFileName(sequence);
  const isUnarmedThere = picture.unarmed.some((name) => name.toLowerCase() === unarmed);
  const isCommitted = entry?.fileName.toLowerCase() === newName;
  return [
    ...(entry === undefined
      ? planEntry({ sequence, version, rootHash, isUnarmedThere }, COMMITTED_TRIES)
      : isCommitted
        ? []
        : [{ kind: 'rename' as const, path: pathOf(entry.fileName), newName }]),
    ...older.map(({ fileName }) => ({ kind: 'remove' as const, path: pathOf(fileName) })),
  ];
}

/** Changes that remove an entry, and its kernel image when nothing else needs it. None when it is not there. */
export function planRemove(picture: BootPicture, sequence: number): BootChange[] {
  const isIt = ({ name }: PictureEntry) => name.sequence === sequence;
  const gone = picture.entries.filter(isIt);
  const needed = new Set(
    picture.entries.filter((entry) => !isIt(entry)).map(({ uki }) => uki.toLowerCase()),
  );
  needed.add(kernelImagePath(picture.running.rootHash));
  const images = gone.map(({ uki }) => uki).filter((uki) => !needed.has(uki.toLowerCase()));
  const there = new Map(picture.kernelImages.map((path) => [path.toLowerCase(), path]));
  return [
    ...gone.map(({ fileName }) => ({ kind: 'remove' as const, path: pathOf(fileName) })),
    ...[...new Set(images.map((uki) => there.get(uki.toLowerCase())))].flatMap((path) =>
      path === undefined ? [] : [{ kind: 'remove' as const, path }],
    ),
  ];
}
