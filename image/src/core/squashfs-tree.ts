/**
 * The tree that a SquashFS image is made of: from a list of entries in any order to inodes with numbers and directories
 * with sorted names. Pure, and the same for every order of the list.
 */

/** One extended attribute. */
export interface Xattr {
  /** With its prefix, `user.`, `trusted.` or `security.`. */
  readonly name: string;
  readonly value: Uint8Array;
}

interface EntryFacts {
  /** Absolute, without `.`, `..`, empty parts or a slash at its end; `/` is the root itself. */
  readonly path: string;
  /** Permission bits with setuid, setgid and sticky: 0 to 0o7777. */
  readonly mode: number;
  /** 0 when not given. */
  readonly uid?: number;
  /** 0 when not given. */
  readonly gid?: number;
  /** Seconds since 1970, 32 bits; the time of the image when not given. */
  readonly mtimeSeconds?: number;
  readonly xattrs?: readonly Xattr[];
}

/** A regular file. */
export interface FileEntry extends EntryFacts {
  readonly type: 'file';
  readonly contents: Uint8Array;
  /**
   * Where its data lies: files of a lower rank in front. What changes with every release belongs behind what hardly ever
   * does, so that it moves nothing. 0 when not given.
   */
  readonly rank?: number;
}

/** Everything but another name of the same inode. */
export type InodeEntry =
  | FileEntry
  | (EntryFacts & { readonly type: 'directory' })
  | (EntryFacts & { readonly type: 'symlink'; readonly target: string })
  | (EntryFacts & {
      readonly type: 'block-device' | 'character-device';
      /** 12 bits. */
      readonly major: number;
      /** 20 bits. */
      readonly minor: number;
    })
  | (EntryFacts & { readonly type: 'fifo' | 'socket' });

/** One name in the tree. */
export type SquashfsEntry =
  | InodeEntry
  /** Another name of the inode at path `target`, which is neither a directory nor a hard link itself. */
  | { readonly type: 'hard-link'; readonly path: string; readonly target: string };

/** One inode. */
export interface TreeInode {
  readonly entry: InodeEntry;
  /** From 1 for the root; those of one directory follow each other. */
  readonly number: number;
  /** Names, or for a directory 2 and one for each directory in it. */
  readonly links: number;
}

/** One name in a directory. */
export interface TreeName {
  /** UTF-8, 1 to 255 bytes. */
  readonly name: Buffer;
  readonly inode: TreeInode;
}

/** One directory. */
export interface TreeDirectory {
  readonly inode: TreeInode;
  /** Number of the inode above; for the root one more than there are inodes, as mksquashfs has it. */
  readonly parentNumber: number;
  /** By the bytes of the name, ascending. */
  readonly names: readonly TreeName[];
}

/** The whole tree. */
export interface SquashfsTree {
  /** A directory before those in it; the root first. */
  readonly directories: readonly TreeDirectory[];
  /** By number. */
  readonly inodes: readonly TreeInode[];
}

const NAME_BYTES_MAX = 255;
const TARGET_BYTES_MAX = 4095;
const ID_MAX = 0xffff_ffff;
const MODE_MAX = 0o7777;
const MAJOR_MAX = 0xfff;
const MINOR_MAX = 0xf_ffff;

const ROOT: InodeEntry = { type: 'directory', path: '/', mode: 0o755 };

function refuse(path: string, reason: string): never {
  throw new RangeError(`Cannot lay out ${JSON.stringify(path)}: ${reason}`);
}

function isWhole(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= max;
}

function checkPath(path: string): void {
  if (path === '/') return;
  if (!path.startsWith('/')) refuse(path, 'not an absolute path');
  if (!path.isWellFormed()) refuse(path, 'not Unicode text');
  for (const part of path.slice(1).split('/')) {
    if (part === '' || part === '.' || part === '..') refuse(path, `a part of it is "${part}"`);
    if (part.includes('\0')) refuse(path, 'a NUL in a name');
    if (Buffer.byteLength(part) > NAME_BYTES_MAX) {
      refuse(path, `a name of more than ${NAME_BYTES_MAX} bytes`);
    }
  }
}

function checkEntry(entry: InodeEntry): void {
  const { path, mode, uid = 0, gid = 0, mtimeSeconds = 0 } = entry;
  if (!isWhole(mode, MODE_MAX)) refuse(path, `mode ${mode} is not in 0 to 0o7777`);
  for (const value of [uid, gid, mtimeSeconds]) {
    if (!isWhole(value, ID_MAX)) refuse(path, `owner, group or time ${value} has no 32 bits`);
  }
  if (entry.type === 'symlink') {
    const bytes = Buffer.byteLength(entry.target);
    if (bytes === 0 || bytes > TARGET_BYTES_MAX || entry.target.includes('\0')) {
      refuse(path, `a link's target has 1 to ${TARGET_BYTES_MAX} bytes and no NUL`);
    }
  }
  if (entry.type === 'block-device' || entry.type === 'character-device') {
    if (!isWhole(entry.major, MAJOR_MAX) || !isWhole(entry.minor, MINOR_MAX)) {
      refuse(path, `no such device number: ${entry.major}:${entry.minor}`);
    }
  }
}

/** Path to entry, the root included. */
function byPath(entries: readonly SquashfsEntry[]): Map<string, SquashfsEntry> {
  const found = new Map<string, SquashfsEntry>();
  for (const entry of entries) {
    checkPath(entry.path);
    if (entry.type !== 'hard-link') checkEntry(entry);
    if (found.has(entry.path)) refuse(entry.path, 'it is there twice');
    found.set(entry.path, entry);
  }
  const root = found.get('/') ?? ROOT;
  if (root.type !== 'directory') refuse('/', 'the root is a directory');
  return found.set('/', root);
}

interface Draft {
  readonly entry: InodeEntry;
  number: number;
  links: number;
}

interface NamedDraft {
  readonly path: string;
  readonly name: Buffer;
  readonly inode: Draft;
}

/** Path of a directory to what is in it, sorted. */
function byParent(
  paths: ReadonlyMap<string, SquashfsEntry>,
  drafts: ReadonlyMap<string, Draft>,
): Map<string, NamedDraft[]> {
  const found = new Map<string, NamedDraft[]>();
  for (const { path, type } of paths.values()) {
    if (type === 'directory') found.set(path, []);
  }
  for (const [path, entry] of paths) {
    if (path === '/') continue;
    const slash = path.lastIndexOf('/');
    const siblings = found.get(slash === 0 ? '/' : path.slice(0, slash));
    if (siblings === undefined) refuse(path, 'the directory that it is in is missing');
    const target = entry.type === 'hard-link' ? entry.target : path;
    const inode = drafts.get(target) ?? refuse(path, `there is no inode at ${target}`);
    siblings.push({ path, name: Buffer.from(path.slice(slash + 1)), inode });
  }
  for (const names of found.values()) names.sort((a, b) => Buffer.compare(a.name, b.name));
  return found;
}

function draftInodes(paths: ReadonlyMap<string, SquashfsEntry>): Map<string, Draft> {
  const drafts = new Map<string, Draft>();
  for (const [path, entry] of paths) {
    if (entry.type === 'hard-link') continue;
    drafts.set(path, { entry, number: 0, links: entry.type === 'directory' ? 2 : 0 });
  }
  for (const entry of paths.values()) {
    if (entry.type === 'hard-link' && drafts.get(entry.target)?.entry.type === 'directory') {
      refuse(entry.path, 'a directory has one name');
    }
  }
  return drafts;
}

/**
 * Makes the tree. Equal sets of entries make equal trees, whatever their order in the list.
 *
 * @param entries at most one of each path; every directory is named, only the root may be left out (0755, owner root)
 * @throws RangeError for a path, mode, owner, target or device number that no SquashFS can hold, a path that is there
 *   twice, a directory that is missing, a hard link to nothing or to a directory
 */
export function squashfsTree(entries: readonly SquashfsEntry[]): SquashfsTree {
  const paths = byPath(entries);
  const drafts = draftInodes(paths);
  const parents = byParent(paths, drafts);
  const root = drafts.get('/');
  if (root === undefined) throw new Error('a tree has a root');
  root.number = 1;
  const inodes: Draft[] = [root];
  const waiting = [{ path: '/', inode: root, parentNumber: drafts.size + 1 }];
  const directories: TreeDirectory[] = [];
  // The list grows while it is walked: level by level.
  for (const { path, inode, parentNumber } of waiting) {
    const names = parents.get(path) ?? [];
    for (const child of names) {
      if (child.inode.number === 0) child.inode.number = inodes.push(child.inode);
      if (child.inode.entry.type === 'directory') {
        inode.links += 1;
        waiting.push({ path: child.path, inode: child.inode, parentNumber: inode.number });
      } else {
        child.inode.links += 1;
      }
    }
    directories.push({ inode, parentNumber, names });
  }
  return { directories, inodes };
}
