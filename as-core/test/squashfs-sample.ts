/**
 * A valid image whose tables are not compressed, with the places of its structures, for tests that damage one of them.
 * All tables are in one metadata block each, but for the directories of an image that has an index.
 */
import { readFileSync } from 'node:fs';
import type { SquashfsImage } from '../src/squashfs.ts';

/** Offsets in the superblock. */
export const SUPERBLOCK = {
  inodes: 4,
  blockBytes: 12,
  fragments: 16,
  compression: 20,
  blockLog: 22,
  flags: 24,
  ids: 26,
  version: 28,
  root: 32,
  bytesUsed: 40,
  idTable: 48,
  xattrTable: 56,
  inodeTable: 64,
  directoryTable: 72,
  fragmentTable: 80,
  exportTable: 88,
} as const;

const METADATA_HEADER = 2;
const ENTRY_BYTES = 8;
const DIRECTORY = 1;
const LONG_DIRECTORY = 8;

/** Where things of a valid image are. */
export class Sample {
  readonly #bytes: Buffer;
  readonly #references = new Map<string, bigint>();

  constructor(path: string, image: SquashfsImage) {
    this.#bytes = readFileSync(path);
    for (const entry of image.entries()) this.#references.set(entry.path, entry.reference);
  }

  /** A copy to be damaged. */
  copy(): Buffer {
    return Buffer.from(this.#bytes);
  }

  /** A 64-bit field of the superblock. */
  place(field: keyof typeof SUPERBLOCK): number {
    return Number(this.#bytes.readBigUInt64LE(SUPERBLOCK[field]));
  }

  /** Reference of an inode. */
  reference(path: string): bigint {
    const reference = this.#references.get(path);
    if (reference === undefined) throw new Error(`the sample has no ${path}`);
    return reference;
  }

  /** Offset of an inode in the image. */
  inode(path: string): number {
    const reference = Number(this.reference(path));
    const block = this.place('inodeTable') + Math.floor(reference / 65_536);
    return block + METADATA_HEADER + (reference % 65_536);
  }

  /** Number of an inode. */
  number(path: string): number {
    return this.#bytes.readUInt32LE(this.inode(path) + 12);
  }

  /** Offset of the first header of a directory's listing. */
  listing(path: string): number {
    const inode = this.inode(path);
    const type = this.#bytes.readUInt16LE(inode);
    if (type !== DIRECTORY && type !== LONG_DIRECTORY) throw new Error(`${path} has type ${type}`);
    const isLong = type === LONG_DIRECTORY;
    const block = this.#bytes.readUInt32LE(inode + (isLong ? 24 : 16));
    const offset = this.#bytes.readUInt16LE(inode + (isLong ? 34 : 26));
    return this.place('directoryTable') + block + METADATA_HEADER + offset;
  }

  /** Offset of an entry, which is behind the first header of its listing. */
  entry(path: string): number {
    const slash = path.lastIndexOf('/');
    const name = path.slice(slash + 1);
    let at = this.listing(path.slice(0, slash) || '/') + 12;
    for (;;) {
      const length = this.#bytes.readUInt16LE(at + 6) + 1;
      const found = this.#bytes.toString('utf8', at + ENTRY_BYTES, at + ENTRY_BYTES + length);
      if (found === name) return at;
      if (found > name) throw new Error(`the listing has no ${path}`);
      at += ENTRY_BYTES + length;
    }
  }

  /** Offset of the content of the first block of a table that the superblock points to. */
  firstBlock(field: 'idTable' | 'fragmentTable' | 'exportTable'): number {
    return Number(this.#bytes.readBigUInt64LE(this.place(field))) + METADATA_HEADER;
  }

  /** Offset of the first attribute id. */
  xattrIds(): number {
    return Number(this.#bytes.readBigUInt64LE(this.place('xattrTable') + 16)) + METADATA_HEADER;
  }

  /** Offset of the first attribute list. */
  xattrLists(): number {
    return Number(this.#bytes.readBigUInt64LE(this.place('xattrTable'))) + METADATA_HEADER;
  }
}
