/** Goes through the directories of an image, with limits, and without trusting that it has been verified. */
import type { SquashfsInstance } from './squashfs-instance.ts';
import {
  ENTRY_TYPES,
  INODE_BYTES,
  type InodeRecord,
  type ListingRecord,
  readInodeRecord,
  readListingRecord,
} from './squashfs-records.ts';
import { expectOk, Status } from './status.ts';

/** Deepest directory. */
export const DEPTH_MAX = 2048;
/** Most entries of an image: more than inodes, for hard links. */
export const ENTRIES_MAX = 1 << 22;
/** Longest path, in bytes: far over what Linux takes. */
export const PATH_BYTES_MAX = 65_536;
/** Most bytes that are read and decoded for one entry. */
const ENTRY_WORK_BYTES_MAX = 64 * 1024 * 1024;

const SEPARATOR = Buffer.from('/');
const WALK = 'read a directory';

/** A thing with its path. */
export interface Found {
  readonly path: Buffer;
  readonly record: InodeRecord;
}

/** The inode of the root. */
export function readRoot(instance: SquashfsInstance): Found {
  const record = readInode(instance, instance.exports.root());
  if (record.type !== 'directory') expectOk(Status.squashfsRootInode, WALK);
  return { path: SEPARATOR, record };
}

function readInode(instance: SquashfsInstance, reference: bigint): InodeRecord {
  instance.run('read an inode', (exports) => exports.readInodeAt(reference));
  return readInodeRecord(instance.view(instance.exports.inodePointer(), INODE_BYTES));
}

/** The inode that an entry leads to, which must be the one that the entry says, in the directory `parent`. */
function follow(
  instance: SquashfsInstance,
  { entry, parent, root }: { entry: ListingRecord; parent: InodeRecord; root: InodeRecord },
): InodeRecord {
  const record = readInode(instance, entry.reference);
  if (record.number !== entry.number) expectOk(Status.squashfsInodeReference, WALK);
  if (record.type !== ENTRY_TYPES[entry.type - 1]) expectOk(Status.squashfsEntryType, WALK);
  if (record.type !== 'directory') return record;
  if (record.number === root.number) expectOk(Status.squashfsDirectoryLoop, WALK);
  if (record.parent !== parent.number) expectOk(Status.squashfsDirectoryParent, WALK);
  return record;
}

/** A directory that is being read: its place is kept here, so that others may use the module between two entries. */
class Directory {
  readonly #ready: () => SquashfsInstance;
  readonly found: Found;
  #listing: Uint8Array;

  constructor(ready: () => SquashfsInstance, found: Found) {
    this.#ready = ready;
    this.found = found;
    const instance = ready();
    readInode(instance, found.record.reference);
    instance.run(WALK, (exports) => exports.openDirectory());
    this.#listing = this.#save(instance);
  }

  #save(instance: SquashfsInstance): Uint8Array {
    const { exports } = instance;
    return instance.copy(exports.listingPointer(), exports.listingBytes());
  }

  next(): ListingRecord | undefined {
    const instance = this.#ready();
    instance.begin(ENTRY_WORK_BYTES_MAX);
    const { exports } = instance;
    instance.put(exports.listingPointer(), this.#listing);
    if (exports.hasDirectoryEntry() === 0) return undefined;
    instance.run(WALK, (each) => each.nextDirectoryEntry());
    this.#listing = this.#save(instance);
    return readListingRecord(instance.view(exports.listingPointer(), exports.listingBytes()));
  }

  pathOf(name: Uint8Array): Buffer {
    const { path } = this.found;
    if (path.length + name.length >= PATH_BYTES_MAX) {
      expectOk(Status.squashfsDirectoryTooDeep, WALK);
    }
    return Buffer.concat(path.length === 1 ? [path, name] : [path, SEPARATOR, name]);
  }
}

/** Everything in the image, directories before what is in them. Each thing was read last when it is given out. */
export function* walk(ready: () => SquashfsInstance): Generator<Found> {
  ready().begin();
  const root = readRoot(ready());
  yield root;
  const open = [new Directory(ready, root)];
  for (let count = 1; ; count++) {
    const directory = open.at(-1);
    if (directory === undefined) return;
    const entry = directory.next();
    if (entry === undefined) {
      open.pop();
      continue;
    }
    if (count > ENTRIES_MAX) expectOk(Status.squashfsTooMuchWork, WALK);
    const parent = directory.found.record;
    const record = follow(ready(), { entry, parent, root: root.record });
    const found = { path: directory.pathOf(entry.name), record };
    yield found;
    if (record.type !== 'directory') continue;
    if (open.length > DEPTH_MAX) expectOk(Status.squashfsDirectoryTooDeep, WALK);
    open.push(new Directory(ready, found));
  }
}

/** What lies at a path from the root; read last when it is given out. */
export function findPath(instance: SquashfsInstance, path: string): Found | undefined {
  instance.begin();
  const root = readRoot(instance);
  let found = root;
  for (const name of path.split('/').filter((part) => part !== '')) {
    if (found.record.type !== 'directory') return undefined;
    const directory = new Directory(() => instance, found);
    const entry = findEntry(directory, Buffer.from(name));
    if (entry === undefined) return undefined;
    const record = follow(instance, { entry, parent: found.record, root: root.record });
    found = { path: directory.pathOf(entry.name), record };
  }
  readInode(instance, found.record.reference);
  return found;
}

function findEntry(directory: Directory, name: Buffer): ListingRecord | undefined {
  for (let entry = directory.next(); entry !== undefined; entry = directory.next()) {
    const order = Buffer.compare(entry.name, name);
    if (order === 0) return entry;
    if (order > 0) return undefined;
  }
  return undefined;
}
