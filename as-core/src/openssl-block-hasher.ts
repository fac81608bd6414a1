/** Digests of dm-verity blocks by the OpenSSL inside Node, for processors with instructions for SHA-256. */
import { hash } from 'node:crypto';
import { readFileSync, readvSync } from 'node:fs';
import { expectOk, Status } from './status.ts';
import {
  BLOCK_BYTES,
  type BlockHasher,
  DIGEST_BYTES,
  type FileBlocks,
  SALT_BYTES_MAX,
} from './verity-hasher.ts';

const BLOCKS_MAX = 64;
/** Room for the salt, then the block: what is hashed lies in one piece. */
const STRIDE_BYTES = SALT_BYTES_MAX + BLOCK_BYTES;

/**
 * Whether this processor has instructions for SHA-256, as Linux tells: "sha_ni" on x86, "sha2" on Arm. False where nobody
 * tells.
 */
export function hasShaInstructions(cpuInfo: () => string = readCpuInfo): boolean {
  let text: string;
  try {
    text = cpuInfo();
  } catch {
    // No /proc: the answer only decides about speed.
    return false;
  }
  return /^(flags|Features)\s*:.*\b(sha_ni|sha2)\b/m.test(text);
}

function readCpuInfo(): string {
  return readFileSync('/proc/cpuinfo', 'utf8');
}

/** Hashes blocks with one salt, one at a time. Holds 272 KiB. */
export class OpensslBlockHasher implements BlockHasher {
  readonly blocksMax = BLOCKS_MAX;
  readonly #memory = Buffer.alloc(BLOCKS_MAX * STRIDE_BYTES);
  /** Where each block is read to. */
  readonly #blocks: readonly Buffer[];
  /** Each block with its salt before it. */
  #messages: readonly Buffer[] = [];
  #readBlocks = 0;

  /** @throws RangeError for a salt of more than 256 bytes */
  constructor(salt: Uint8Array) {
    this.#blocks = Array.from({ length: BLOCKS_MAX }, (_, index) => this.#message(index, 0));
    this.setSalt(salt);
  }

  setSalt(salt: Uint8Array): void {
    if (salt.length > SALT_BYTES_MAX) {
      throw new RangeError(`Cannot use a salt of ${salt.length} bytes`);
    }
    this.#messages = this.#blocks.map((_, index) => {
      const message = this.#message(index, salt.length);
      message.set(salt);
      return message;
    });
  }

  read({ fd, offsetBytes, count }: FileBlocks, see?: (bytes: Uint8Array) => void): void {
    if (count > BLOCKS_MAX) throw new RangeError(`Cannot read ${count} blocks at a time`);
    this.#readBlocks = 0;
    const blocks = this.#blocks.slice(0, count);
    const sizeBytes = count * BLOCK_BYTES;
    for (let done = 0; done < sizeBytes; ) {
      const [partial, ...whole] = blocks.slice(Math.floor(done / BLOCK_BYTES));
      if (partial === undefined) break;
      const missing = [partial.subarray(done % BLOCK_BYTES), ...whole];
      const read = readvSync(fd, missing, offsetBytes + done);
      if (read === 0) expectOk(Status.verityImageTooShort, `read at byte ${offsetBytes + done}`);
      done += read;
    }
    this.#readBlocks = count;
    if (see !== undefined) for (const block of blocks) see(block);
  }

  hashRead(target: Uint8Array): void {
    if (target.length < this.#readBlocks * DIGEST_BYTES) throw new RangeError('Too small a target');
    const digests = Buffer.from(target.buffer, target.byteOffset, target.length);
    for (const [index, message] of this.#messages.slice(0, this.#readBlocks).entries()) {
      // A third faster than asking for a buffer.
      const digest = hash('sha256', message, 'binary');
      digests.write(digest, index * DIGEST_BYTES, 'latin1');
    }
  }

  #message(index: number, saltBytes: number): Buffer {
    const start = index * STRIDE_BYTES + SALT_BYTES_MAX;
    return this.#memory.subarray(start - saltBytes, start + BLOCK_BYTES);
  }
}
