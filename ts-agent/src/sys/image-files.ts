/** A walk over the files of one file system. */
import type { Stats } from 'node:fs';
import { lstat, open, opendir, readlink } from 'node:fs/promises';
import { join } from 'node:path';

/** One file. */
export interface ImageFile {
  readonly path: string;
  readonly type: 'regular' | 'directory' | 'symlink' | 'other';
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number;
  readonly sizeBytes: number;
  readonly linkTarget: string;
  readonly magic: Uint8Array;
}

/** Entries after which a walk ends: an image has a few hundred. */
export const WALK_ENTRIES_MAX = 100_000;
const MAGIC_BYTES = 4;

/** The port: files below `root`, without other file systems mounted there, in no special order. */
export type WalkImage = (root: string, signal: AbortSignal) => AsyncIterable<ImageFile>;

/** Walks the file system of this machine. Mount points are listed, and not entered. */
export const walkImage: WalkImage = async function* (root, signal) {
  const device = (await lstat(root)).dev;
  const directories = [root];
  let entries = 0;
  for (let directory = directories.pop(); directory !== undefined; directory = directories.pop()) {
    for await (const entry of await opendir(directory)) {
      signal.throwIfAborted();
      entries += 1;
      if (entries > WALK_ENTRIES_MAX) return;
      const path = join(directory, entry.name);
      const facts = await lstat(path);
      if (facts.isDirectory() && facts.dev === device) directories.push(path);
      yield await imageFile(path, facts, facts.dev === device);
    }
  }
};

async function imageFile(path: string, facts: Stats, isSameDevice: boolean): Promise<ImageFile> {
  const isRegular = facts.isFile();
  return {
    path,
    type: isRegular
      ? 'regular'
      : facts.isDirectory()
        ? 'directory'
        : facts.isSymbolicLink()
          ? 'symlink'
          : 'other',
    mode: facts.mode & 0o7777,
    sizeBytes: isRegular ? facts.size : 0,
    linkTarget: facts.isSymbolicLink() ? await readlink(path) : '',
    magic: isRegular && isSameDevice && facts.size > 0 ? await firstBytes(path) : new Uint8Array(),
  };
}

async function firstBytes(path: string): Promise<Uint8Array> {
  await using file = await open(path, 'r');
  const { bytesRead, buffer } = await file.read(Buffer.alloc(MAGIC_BYTES), 0, MAGIC_BYTES, 0);
  return buffer.subarray(0, bytesRead);
}
