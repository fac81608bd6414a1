/** Blocks of files in memory: many nodes read the same bundle at about the same time. */
import { type FileHandle, open } from 'node:fs/promises';

/** Bytes of a block. */
export const BLOCK_BYTES = 262_144;

/** A file whose bytes never change while its key stays the same. */
export interface BlockFile {
  readonly path: string;
  readonly key: string;
  readonly sizeBytes: number;
}

interface Block {
  readonly bytes: Promise<Buffer>;
  /** The same, once it is there. */
  ready?: Buffer;
  readonly sizeBytes: number;
}

/** The last blocks that were read, as many as fit. */
export class FileBlocks {
  readonly #bytesMax: number;
  /** In the order of their last use. */
  readonly #blocks = new Map<string, Block>();
  /** Open files, by key and path, and how many hold them. */
  readonly #open = new Map<string, { readonly file: Promise<FileHandle>; readers: number }>();
  #sizeBytes = 0;
  /** Blocks that were here, and that had to be read. */
  hits = 0;
  misses = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Bytes in memory. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** A block that has been read; undefined when it has not. Nobody may change it. */
  inMemory(file: BlockFile, index: number): Buffer | undefined {
    const key = `${file.key}/${index}`;
    const known = this.#blocks.get(key);
    if (known?.ready === undefined) return undefined;
    this.#use(key, known);
    return known.ready;
  }

  #use(key: string, block: Block): void {
    this.hits += 1;
    this.#blocks.delete(key);
    this.#blocks.set(key, block);
  }

  /** A block, which nobody may change. @throws when the file cannot be read, or ends before the block does */
  async block(file: BlockFile, index: number): Promise<Buffer> {
    const key = `${file.key}/${index}`;
    const known = this.#blocks.get(key);
    if (known !== undefined) {
      this.#use(key, known);
      return known.bytes;
    }
    this.misses += 1;
    const offset = index * BLOCK_BYTES;
    const sizeBytes = Math.min(BLOCK_BYTES, file.sizeBytes - offset);
    const block: Block = { bytes: this.#read(file, { offset, sizeBytes }), sizeBytes };
    this.#blocks.set(key, block);
    this.#sizeBytes += sizeBytes;
    this.#dropOldest();
    try {
      block.ready = await block.bytes;
      return block.ready;
    } catch (error) {
      this.#drop(key, block);
      throw error;
    }
  }

  #dropOldest(): void {
    for (const [key, block] of this.#blocks) {
      if (this.#sizeBytes <= this.#bytesMax || this.#blocks.size === 1) return;
      this.#drop(key, block);
    }
  }

  #drop(key: string, block: Block): void {
    if (this.#blocks.get(key) !== block) return;
    this.#blocks.delete(key);
    this.#sizeBytes -= block.sizeBytes;
  }

  /** Keeps a file open until what is returned is called: its bytes can be read also when its name is gone. */
  hold(file: BlockFile): () => Promise<void> {
    return this.#acquire(file).release;
  }

  #acquire(of: BlockFile): {
    readonly file: Promise<FileHandle>;
    readonly release: () => Promise<void>;
  } {
    const key = `${of.key} ${of.path}`;
    const opened = this.#open.get(key) ?? { file: open(of.path, 'r'), readers: 0 };
    // Who reads hears of it.
    opened.file.catch(() => undefined);
    this.#open.set(key, opened);
    opened.readers += 1;
    const release = async () => {
      opened.readers -= 1;
      if (opened.readers > 0) return;
      this.#open.delete(key);
      await opened.file.then((handle) => handle.close()).catch(() => undefined);
    };
    return { file: opened.file, release };
  }

  async #read(
    of: BlockFile,
    { offset, sizeBytes }: { readonly offset: number; readonly sizeBytes: number },
  ): Promise<Buffer> {
    const acquired = this.#acquire(of);
    try {
      const file = await acquired.file;
      const bytes = Buffer.allocUnsafeSlow(sizeBytes);
      for (let done = 0; done < sizeBytes; ) {
        const { bytesRead } = await file.read(bytes, done, sizeBytes - done, offset + done);
        if (bytesRead === 0) throw new Error(`${of.path} ends at ${offset + done}`);
        done += bytesRead;
      }
      return bytes;
    } finally {
      await acquired.release();
    }
  }
}
