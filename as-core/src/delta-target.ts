/// <reference path="./web-assembly.d.ts" />
/** The target of a delta as it comes to be: hashed on its way, its hash tree made when its data are there. */
import { createHash } from 'node:crypto';
import type { BundleTail } from '@keelos/proto/bundle.ts';
import type { DeltaManifest } from '@keelos/proto/delta.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { BLOCK_BYTES, DIGEST_BYTES, VerityHasher } from './verity-hasher.ts';
import { treeOver } from './verity-tree.ts';

/** Which file bytes belong to. */
export type TargetPart = 'root' | 'uki';

/**
 * Takes bytes of the target, in the order of their place in each part; the root with its hash tree comes first. They are
 * good until it returns, or what it returns is settled.
 */
export type WriteTarget = (
  part: TargetPart,
  offset: number,
  bytes: Uint8Array,
) => void | Promise<void>;

/** Takes what the plan makes. */
export class DeltaTarget {
  readonly #manifest: DeltaManifest;
  readonly #write: WriteTarget;
  readonly #leaves: LeafHasher | undefined;
  readonly #data = createHash('sha256');
  readonly #uki = createHash('sha256');
  #place = 0;

  /** @param of.verity module of that name; the salt is that of `tail` */
  constructor(of: {
    readonly manifest: DeltaManifest;
    readonly tail: BundleTail | undefined;
    readonly verity: WebAssembly.Module;
    readonly write: WriteTarget;
  }) {
    const { manifest, tail, verity, write } = of;
    this.#manifest = manifest;
    this.#write = write;
    if (tail === undefined) return;
    const { salt, dataBytes } = tail.manifest.root;
    const hasher = new VerityHasher(verity, Buffer.from(salt, 'hex'));
    this.#leaves = new LeafHasher(hasher, dataBytes / BLOCK_BYTES);
  }

  /** Bytes of data and kernel image that are there. */
  get place(): number {
    return this.#place;
  }

  /** The part that a place belongs to, and where in it that is. */
  partAt(place: number): { readonly part: TargetPart; readonly offset: number } {
    const { dataBytes } = this.#manifest.target;
    if (place < dataBytes) return { part: 'root', offset: place };
    return { part: 'uki', offset: place - dataBytes };
  }

  /**
   * The next bytes, which do not reach over the end of the data.
   *
   * @param isKept they are written already
   */
  async put(bytes: Uint8Array, { isKept = false } = {}): Promise<void> {
    const { part, offset } = this.partAt(this.#place);
    (part === 'root' ? this.#data : this.#uki).update(bytes);
    if (part === 'root') this.#leaves?.add(bytes);
    if (!isKept) await this.#write(part, offset, bytes);
    this.#place += bytes.length;
    if (this.#place === this.#manifest.target.dataBytes) await this.#endData();
  }

  /** Everything was put. @throws KeelError E_DELTA_DAMAGED when the kernel image is not that of the target */
  finish(): void {
    const { ukiSha256 } = this.#manifest.target;
    if (ukiSha256 === '') return;
    this.#compare('SHA-256 of the kernel image', this.#uki.digest('hex'), ukiSha256);
  }

  async #endData(): Promise<void> {
    const { dataBytes, sha256, rootHash } = this.#manifest.target;
    this.#compare('SHA-256 of the root', this.#data.digest('hex'), sha256);
    if (this.#leaves === undefined) return;
    const { tree, rootHash: made } = this.#leaves.finish();
    this.#compare('root hash', Buffer.from(made).toString('hex'), rootHash);
    if (tree.length > 0) await this.#write('root', dataBytes, tree);
  }

  #compare(what: string, found: string, expected: string): void {
    if (found === expected) return;
    const reason = `the ${what} is ${found}, expected ${expected}`;
    throw new KeelError('E_DELTA_DAMAGED', `Cannot apply delta: ${reason}`, {
      details: { reason: 'delta-result' },
    });
  }
}

/** Hashes blocks out of pieces of any length. */
class LeafHasher {
  readonly #hasher: VerityHasher;
  readonly #digests: Buffer;
  readonly #block = Buffer.alloc(BLOCK_BYTES);
  #held = 0;
  #done = 0;

  constructor(hasher: VerityHasher, blocks: number) {
    this.#hasher = hasher;
    this.#digests = Buffer.alloc(blocks * DIGEST_BYTES);
  }

  add(bytes: Uint8Array): void {
    let rest = bytes;
    if (this.#held > 0) {
      const missing = rest.subarray(0, BLOCK_BYTES - this.#held);
      this.#block.set(missing, this.#held);
      this.#held += missing.length;
      rest = rest.subarray(missing.length);
      if (this.#held < BLOCK_BYTES) return;
      this.#hash(this.#block);
    }
    const whole = rest.length - (rest.length % BLOCK_BYTES);
    this.#hash(rest.subarray(0, whole));
    this.#block.set(rest.subarray(whole));
    this.#held = rest.length - whole;
  }

  finish() {
    return treeOver(this.#digests, (blocks) => this.#hasher.hash(blocks));
  }

  #hash(blocks: Uint8Array): void {
    const digests = this.#hasher.hash(blocks);
    this.#digests.set(digests, this.#done);
    this.#done += digests.length;
  }
}
