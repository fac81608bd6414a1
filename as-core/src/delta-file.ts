/** A delta in a file: its manifest, the end of the target's bundle that it carries, and its parts. */
import { createHash } from 'node:crypto';
import { type BundleSignature, type BundleTail, TAIL_BYTES_MAX } from '@keelos/proto/bundle.ts';
import { encodeFooter } from '@keelos/proto/bundle-writer.ts';
import type { DeltaManifest, DeltaPart, DeltaPartName, PlanStep } from '@keelos/proto/delta.ts';
import { DELTA_PARTS } from '@keelos/proto/delta.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { BundleReader } from './bundle.ts';
import { DeltaReader, deltaError } from './delta.ts';
import type { ReadBytes } from './delta-layout.ts';
import { Status } from './status.ts';
import { BLOCK_BYTES } from './verity-hasher.ts';
import { treeShape } from './verity-tree.ts';

/** Bytes that can be read at any place. */
export interface ByteSource {
  readonly sizeBytes: number;
  readonly read: ReadBytes;
}

const READ_BYTES = 65_536;

/** An open delta. Nothing was judged but its form: signatures, the fit and the hashes of the parts are the caller's. */
export class DeltaFile {
  readonly manifest: DeltaManifest;
  /** What the signatures are over, without their context. */
  readonly manifestBytes: Uint8Array;
  readonly signatures: readonly BundleSignature[];
  /** The end of the target's bundle; undefined for a plain SquashFS. */
  readonly target: BundleTail | undefined;
  readonly #reader: DeltaReader;
  readonly #source: ByteSource;

  private constructor(readers: Readers, source: ByteSource) {
    this.#reader = readers.delta;
    this.#source = source;
    const length = Math.min(source.sizeBytes, TAIL_BYTES_MAX);
    const end = new Uint8Array(length);
    source.read(source.sizeBytes - length, end);
    const tail = readers.delta.readTail(end, source.sizeBytes);
    this.manifest = tail.manifest;
    this.manifestBytes = tail.manifestBytes;
    this.signatures = tail.signatures;
    this.target = this.#readTarget(readers.bundle);
  }

  /**
   * @throws KeelError E_DELTA_MALFORMED, E_DELTA_DAMAGED, E_DELTA_VERSION, E_DELTA_ENCODER; E_BUNDLE_… for the end of
   *   the bundle that it carries
   */
  static async open(source: ByteSource): Promise<DeltaFile> {
    const [delta, bundle] = await Promise.all([DeltaReader.create(), BundleReader.create()]);
    return DeltaFile.openWith({ delta, bundle }, source);
  }

  /** Like {@link open}, with readers that are there already and serve one delta at a time. */
  static openWith(readers: Readers, source: ByteSource): DeltaFile {
    return new DeltaFile(readers, source);
  }

  /** A part that is small enough to be in memory. */
  readPart(name: DeltaPartName): Buffer {
    const { offset, size } = this.manifest.parts[name];
    const bytes = Buffer.alloc(size);
    this.#source.read(offset, bytes);
    return bytes;
  }

  /** Last bytes of the target's bundle: what stands in it behind the kernel image. */
  targetEnd(): Buffer {
    const [manifest, signatures] = [
      this.readPart('targetManifest'),
      this.readPart('targetSignatures'),
    ];
    const { dataBytes, ukiBytes } = this.manifest.target;
    const manifestOffset = dataBytes + treeShape(dataBytes / BLOCK_BYTES).sizeBytes + ukiBytes;
    const places = { manifestOffset, manifestBytes: manifest.length };
    const footer = encodeFooter({ ...places, signaturesBytes: signatures.length });
    return Buffer.concat([manifest, signatures, footer]);
  }

  /** Reads in a part. @throws RangeError for a place outside of it */
  readIn(name: DeltaPartName, offset: number, target: Uint8Array): void {
    const part = this.manifest.parts[name];
    if (!(offset >= 0) || offset > part.size - target.length) {
      throw new RangeError(`${offset} + ${target.length} of ${part.size} bytes`);
    }
    this.#source.read(part.offset + offset, target);
  }

  /** @throws KeelError E_DELTA_DAMAGED when a part does not have its hash */
  checkParts(): void {
    for (const name of DELTA_PARTS) this.#checkPart(name, this.manifest.parts[name]);
  }

  /**
   * The steps of the plan, all of them judged.
   *
   * @throws KeelError E_DELTA_MALFORMED
   */
  readPlan(): Iterable<PlanStep> {
    return this.#reader.readPlan(this.readPart('plan'));
  }

  #checkPart(name: DeltaPartName, { offset, size, sha256 }: DeltaPart): void {
    const hash = createHash('sha256');
    const piece = new Uint8Array(READ_BYTES);
    for (let done = 0; done < size; done += READ_BYTES) {
      const bytes = piece.subarray(0, Math.min(READ_BYTES, size - done));
      this.#source.read(offset + done, bytes);
      hash.update(bytes);
    }
    if (hash.digest('hex') === sha256) return;
    const reason = `its part ${name} does not have the SHA-256 of its manifest`;
    throw new KeelError('E_DELTA_DAMAGED', `Cannot use delta: ${reason}`, {
      details: { reason: 'delta-part' },
    });
  }

  /** Reads what the delta carries as if it stood behind the parts of its bundle. */
  #readTarget(reader: BundleReader): BundleTail | undefined {
    const { dataBytes, rootHash, ukiBytes, ukiSha256 } = this.manifest.target;
    if (rootHash === '') return undefined;
    const written = this.targetEnd();
    const sizeBytes =
      dataBytes + treeShape(dataBytes / BLOCK_BYTES).sizeBytes + ukiBytes + written.length;
    const end = Buffer.alloc(Math.min(sizeBytes, TAIL_BYTES_MAX));
    written.copy(end, end.length - written.length);
    const tail = reader.readTail(end, sizeBytes);
    const { root, uki, version } = tail.manifest;
    const isSame =
      root.rootHash === rootHash &&
      root.dataBytes === dataBytes &&
      uki.sha256 === ukiSha256 &&
      version === this.manifest.to;
    if (!isSame) throw deltaError(Status.deltaSides);
    return tail;
  }
}

/** See {@link DeltaFile.openWith}. */
export interface Readers {
  readonly delta: DeltaReader;
  readonly bundle: BundleReader;
}
