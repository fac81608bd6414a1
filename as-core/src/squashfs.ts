/**
 * Reads and verifies SquashFS 4.0 images with zstd, untrusted ones too: structure is parsed in a WebAssembly memory of
 * 15 MiB, and whatever is malformed is a {@link CoreError} with its own code (docs/reference/squashfs-verifier.md).
 *
 * Reading alone refuses what it stumbles upon; only {@link SquashfsImage.verify} has looked at everything. SquashFS has
 * no checksums: that the bytes are the right ones is for dm-verity to say.
 */
import { compileModule } from './load.ts';
import { describeEntry, type SquashfsEntry } from './squashfs-entry.ts';
import { SquashfsInstance } from './squashfs-instance.ts';
import { nameFiles, Place } from './squashfs-places.ts';
import { readSuperblockRecord, type Superblock } from './squashfs-records.ts';
import { findPath, readRoot, walk } from './squashfs-walk.ts';
import { ZstdDecoder } from './zstd.ts';

export type { Attribute, SquashfsEntry } from './squashfs-entry.ts';
export type { DeviceNumbers, EntryType, Superblock } from './squashfs-records.ts';

/** Most bytes that one job reads and decodes unless told otherwise: half a minute of work. */
export const WORK_BYTES_MAX = 16 * 1024 ** 3;

const SUPERBLOCK_BYTES = 96;
const PROGRESS_BYTES = 4 * 1024 * 1024;

/** An image in a file. */
export interface OpenOptions {
  /** Open for reading until `close`. */
  readonly fd: number;
  /** Where in the file the image begins, 0 unless told. */
  readonly offsetBytes?: number;
  /** Where it ends at the latest: there may be less in it. */
  readonly sizeBytes: number;
  /** See {@link WORK_BYTES_MAX}. */
  readonly workBytesMax?: number;
}

/** What was verified. */
export interface VerifyReport {
  readonly ok: true;
  readonly files: number;
  readonly directories: number;
  readonly symlinks: number;
  /** Devices, fifos and sockets. */
  readonly others: number;
  /** Bytes of content, holes too, hard links once. */
  readonly bytes: number;
  /** Data and fragment blocks, holes too. */
  readonly blocks: number;
  /** Bytes of the image itself. */
  readonly usedBytes: number;
}

/** Compiled modules of a process that opens many images. */
export interface SquashfsModules {
  readonly module: WebAssembly.Module;
  readonly decoder: ZstdDecoder;
}

/** Compiles what {@link SquashfsImage.openWith} needs. The decoder serves one image at a time. */
export async function compileSquashfs(): Promise<SquashfsModules> {
  const [module, decoder] = await Promise.all([compileModule('squashfs'), ZstdDecoder.create()]);
  return { module, decoder };
}

/** An open image. Synchronous: run it in a worker where that matters. */
export class SquashfsImage {
  readonly superblock: Superblock;
  readonly #instance: SquashfsInstance;
  #isClosed = false;
  #isReading = false;

  private constructor(instance: SquashfsInstance) {
    this.#instance = instance;
    const { exports } = instance;
    const view = instance.view(exports.superblockPointer(), SUPERBLOCK_BYTES);
    this.superblock = readSuperblockRecord(view);
  }

  /**
   * Opens an image with modules of its own.
   *
   * @throws CoreError when its superblock, compressor options, ids or header of attributes are malformed
   */
  static async open(options: OpenOptions): Promise<SquashfsImage> {
    return SquashfsImage.openWith(await compileSquashfs(), options);
  }

  /** Like {@link open}, with modules that are there already. */
  static openWith(modules: SquashfsModules, options: OpenOptions): SquashfsImage {
    const { fd, offsetBytes = 0, sizeBytes, workBytesMax = WORK_BYTES_MAX } = options;
    for (const [name, value] of Object.entries({ fd, offsetBytes, sizeBytes, workBytesMax })) {
      if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${name} is ${value}`);
    }
    const source = { fd, offsetBytes, sizeBytes };
    return new SquashfsImage(new SquashfsInstance({ ...modules, source, workBytesMax }));
  }

  #ready(): SquashfsInstance {
    if (this.#isClosed) throw new RangeError('the image is closed');
    if (this.#isReading) throw new RangeError('a callback cannot call the image that calls it');
    return this.#instance;
  }

  /**
   * Everything in the image: the root, then its content in the order of names, each directory before what is in it. A
   * hard link comes under each of its names.
   *
   * @throws CoreError at the first thing that is malformed
   */
  *entries(): Generator<SquashfsEntry> {
    for (const found of walk(() => this.#ready())) {
      yield describeEntry(this.#instance, found);
    }
  }

  /**
   * What lies at a path from the root; links on the way are not followed. Undefined when there is nothing.
   *
   * @throws CoreError when a directory on the way is malformed
   */
  lookup(path: string): SquashfsEntry | undefined {
    const found = findPath(this.#ready(), path);
    return found === undefined ? undefined : describeEntry(this.#instance, found);
  }

  /**
   * Gives the content of a file to `sink`, in order, in pieces of at most a block that are the sink's own.
   *
   * @throws RangeError when there is no such file
   * @throws CoreError when its data are malformed
   */
  readFile(file: string | SquashfsEntry, sink: (piece: Uint8Array) => void): void {
    const entry = typeof file === 'string' ? this.lookup(file) : file;
    if (entry?.type !== 'file') {
      throw new RangeError(`There is no file ${typeof file === 'string' ? file : file.path}`);
    }
    const instance = this.#ready();
    const action = `read ${entry.path}`;
    instance.begin();
    instance.run(action, (exports) => exports.readInodeAt(entry.reference));
    instance.run(action, (exports) => exports.openContent());
    this.#isReading = true;
    try {
      while (instance.exports.hasPiece() !== 0) {
        instance.run(action, (exports) => exports.nextPiece());
        const { exports } = instance;
        sink(instance.copy(exports.piecePointer(), exports.pieceBytes()));
      }
    } finally {
      this.#isReading = false;
    }
  }

  /**
   * Checks everything: tables, inodes, directories, links, and decodes every block.
   *
   * @param options.onProgress called with the bytes of the image that were read, now and then; what it throws ends the
   *   verification and comes out of it
   * @throws CoreError at the first thing that is malformed
   */
  verify(options: { readonly onProgress?: (doneBytes: number) => void } = {}): VerifyReport {
    const instance = this.#ready();
    instance.begin();
    instance.onRead = progressOf(options.onProgress, this.superblock.usedBytes);
    this.#isReading = true;
    try {
      instance.run('verify a SquashFS', (exports) => exports.verify());
    } finally {
      this.#isReading = false;
      instance.onRead = undefined;
    }
    const { exports } = instance;
    return {
      ok: true,
      files: exports.filesChecked(),
      directories: exports.directoriesChecked(),
      symlinks: exports.symlinksChecked(),
      others: exports.othersChecked(),
      bytes: Number(exports.bytesDecoded()),
      blocks: Number(exports.blocksDecoded()),
      usedBytes: this.superblock.usedBytes,
    };
  }

  /**
   * What the bytes of the image from `byteOffset` on belong to: paths of files, or parts in brackets such as
   * "[inode table]". Several files, at most 64, when their tails share a block or when they have the same content.
   * Empty for bytes that belong to nothing.
   *
   * @throws CoreError when what must be read for the answer is malformed
   */
  fileOfBlock(byteOffset: number, options: { readonly spanBytes?: number } = {}): string[] {
    const { spanBytes = 1 } = options;
    return this.filesAt([byteOffset], { spanBytes })[0] ?? [];
  }

  /** Like {@link fileOfBlock} for many places with one walk. */
  filesAt(byteOffsets: readonly number[], options: { readonly spanBytes: number }): string[][] {
    const instance = this.#ready();
    instance.begin();
    const places = byteOffsets.map((offset) => new Place(instance, { offset, ...options }));
    const open = places.filter(({ isData }) => isData);
    if (open.length > 0) {
      nameFiles(instance, { places: open, files: walk(() => this.#ready()) });
    }
    return places.map(({ names }) => names);
  }

  /** What the root directory's inode says. */
  get root(): SquashfsEntry {
    return describeEntry(this.#ready(), readRoot(this.#ready()));
  }

  /** Ends the use of the image; the file stays open. */
  close(): void {
    this.#isClosed = true;
  }
}

function progressOf(report: ((doneBytes: number) => void) | undefined, usedBytes: number) {
  if (report === undefined) return undefined;
  let done = 0;
  let next = PROGRESS_BYTES;
  return (bytes: number) => {
    // Blocks that files share are read again.
    done = Math.min(done + bytes, usedBytes);
    if (done < next) return;
    next = done + PROGRESS_BYTES;
    report(done);
  };
}
