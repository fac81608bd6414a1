/// <reference path="./web-assembly.d.ts" />
/**
 * Reads the end of a bundle and trust files, untrusted ones too: the bytes are parsed in a WebAssembly memory of 128 KiB.
 * Only the one canonical form is taken (docs/reference/bundle-format.md). Signatures and hashes are not checked here.
 */
import { createHash } from 'node:crypto';
import type {
  BundleManifest,
  BundleSignature,
  BundleTail,
  TrustedKey,
  TrustFile,
} from '@keelos/proto/bundle.ts';
import { TRUST_BYTES_MAX } from '@keelos/proto/bundle.ts';
import { keyIdOf } from '@keelos/proto/bundle-writer.ts';
import type { SignedBytes } from '@keelos/proto/channel.ts';
import { CHANNEL_BYTES_MAX } from '@keelos/proto/channel.ts';
import { type ErrorCode, KeelError } from '@keelos/proto/errors.ts';
import { compileModule } from './load.ts';
import { CoreError, expectOk, Status } from './status.ts';

interface Exports {
  readonly memory: WebAssembly.Memory;
  readTail(length: number, size: bigint): number;
  readTrust(length: number): number;
  readChannelHead(length: number): number;
  signedStart(): number;
  inputPointer(): number;
  inputBytesMax(): number;
  cellsPointer(): number;
  manifestStart(length: number): number;
  manifestLength(): number;
  manifestCells(): number;
  trustCells(): number;
  signaturesRead(): number;
  keysRead(): number;
  faultPart(): number;
  faultAt(): number;
}

/** What `faultPart` answers; the footer has no places of its own. */
const PARTS = ['', '', 'manifest', 'signatures', 'trust file', 'file'];
const CELL_BYTES = 8;
const SIGNATURE_CELLS = 2;
const TRUSTED_KEY_CELLS = 4;

/** Statuses that are another error than "malformed". */
const CODES: ReadonlyMap<number, ErrorCode> = new Map([
  [Status.bundleTruncated, 'E_BUNDLE_TRUNCATED'],
  [Status.bundleTrailing, 'E_BUNDLE_OVERSIZE'],
  [Status.bundlePartTooLarge, 'E_BUNDLE_OVERSIZE'],
]);

const TRUST_ACTION = 'read trust file';
const CHANNEL_ACTION = 'read metadata of a channel';
/** Actions whose every refusal is one error. */
const CODES_OF_ACTIONS: ReadonlyMap<string, ErrorCode> = new Map([
  [TRUST_ACTION, 'E_IMAGE_INVALID'],
  [CHANNEL_ACTION, 'E_CHANNEL_MALFORMED'],
]);
/** "}" */
const CLOSING_BRACE = 0x7d;

/** Reads as many bundles and trust files as wanted, one after the other. */
export class BundleReader {
  readonly #module: WebAssembly.Module;
  #exports: Exports;

  /** @param module of `compileModule('bundle')` */
  constructor(module: WebAssembly.Module) {
    this.#module = module;
    this.#exports = this.#instantiate();
  }

  static async create(): Promise<BundleReader> {
    return new BundleReader(await compileModule('bundle'));
  }

  /**
   * @param tail the last bytes of a bundle: all of it, or TAIL_BYTES_MAX
   * @throws KeelError E_BUNDLE_MALFORMED, E_BUNDLE_TRUNCATED, E_BUNDLE_OVERSIZE
   * @throws RangeError when `tail` has another length
   */
  readTail(tail: Uint8Array, sizeBytes: number): BundleTail {
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) throw new RangeError(`${sizeBytes}`);
    this.#run('read bundle', tail, (exports) => exports.readTail(tail.length, BigInt(sizeBytes)));
    const exports = this.#exports;
    const start = exports.manifestStart(tail.length);
    const manifestBytes = tail.slice(start, start + exports.manifestLength());
    return {
      manifest: this.#manifest(),
      manifestBytes,
      manifestSha256: createHash('sha256').update(manifestBytes).digest('hex'),
      signatures: this.#signatures(),
    };
  }

  /** @throws KeelError E_IMAGE_INVALID when it is no trust file in its one form */
  readTrust(bytes: Uint8Array): TrustFile {
    if (bytes.length > TRUST_BYTES_MAX) {
      const reason = `${bytes.length} bytes, at most ${TRUST_BYTES_MAX}`;
      throw new KeelError('E_IMAGE_INVALID', `Cannot read trust file: ${reason}`);
    }
    this.#run(TRUST_ACTION, bytes, (exports) => exports.readTrust(bytes.length));
    const keys = this.#keys();
    const strange = keys.find(({ id, publicKey }) => keyIdOf(Buffer.from(publicKey, 'hex')) !== id);
    if (strange !== undefined) {
      throw errorOf(Status.bundleKeyId, TRUST_ACTION, ` (key ${strange.id})`);
    }
    return {
      format: 'keelos-trust/1',
      threshold: this.#number(1),
      epoch: this.#number(0),
      keys,
    };
  }

  /**
   * Takes the metadata of a channel apart, and reads nothing of what is signed: that is for whoever knows that the
   * signatures count.
   *
   * @throws KeelError E_CHANNEL_MALFORMED
   */
  readChannelHead(bytes: Uint8Array): SignedBytes {
    if (bytes.length > CHANNEL_BYTES_MAX) {
      const reason = `file: ${bytes.length} bytes, at most ${CHANNEL_BYTES_MAX}`;
      throw new KeelError('E_CHANNEL_MALFORMED', `Cannot ${CHANNEL_ACTION}: ${reason}`);
    }
    const head = bytes.subarray(0, this.#exports.inputBytesMax());
    this.#run(CHANNEL_ACTION, head, (exports) => exports.readChannelHead(head.length));
    const start = this.#exports.signedStart();
    if (bytes.at(-1) !== CLOSING_BRACE) {
      throw new KeelError('E_CHANNEL_MALFORMED', `Cannot ${CHANNEL_ACTION}: file: cut short`);
    }
    return { signedBytes: bytes.slice(start, -1), signatures: this.#signatures() };
  }

  #manifest(): BundleManifest {
    return {
      arch: this.#text(0) as BundleManifest['arch'],
      buildEpochSeconds: this.#number(1),
      epoch: this.#number(2),
      format: 'keelos-bundle/1',
      kernelVersion: this.#text(3),
      root: {
        dataBytes: this.#number(4),
        offset: this.#number(5),
        rootHash: this.#text(6),
        salt: this.#text(7),
        sha256: this.#text(8),
        size: this.#number(9),
      },
      uki: { offset: this.#number(10), sha256: this.#text(11), size: this.#number(12) },
      variant: this.#text(13),
      version: this.#text(14),
    };
  }

  #signatures(): BundleSignature[] {
    const first = this.#exports.manifestCells();
    return Array.from({ length: this.#exports.signaturesRead() }, (_, index) => {
      const cell = first + index * SIGNATURE_CELLS;
      return { keyId: this.#text(cell), signature: this.#text(cell + 1) };
    });
  }

  #keys(): TrustedKey[] {
    const first = this.#exports.trustCells();
    return Array.from({ length: this.#exports.keysRead() }, (_, index) => {
      const cell = first + index * TRUSTED_KEY_CELLS;
      return {
        id: this.#text(cell),
        name: this.#text(cell + 1),
        notAfter: this.#number(cell + 2),
        publicKey: this.#text(cell + 3),
      };
    });
  }

  #instantiate(): Exports {
    return new WebAssembly.Instance(this.#module).exports as unknown as Exports;
  }

  #run(action: string, bytes: Uint8Array, call: (exports: Exports) => number): void {
    const exports = this.#exports;
    if (bytes.length > exports.inputBytesMax()) {
      throw new RangeError(`Cannot ${action}: ${bytes.length} bytes at once`);
    }
    new Uint8Array(exports.memory.buffer, exports.inputPointer(), bytes.length).set(bytes);
    let status: number;
    try {
      status = call(exports);
    } catch (cause) {
      this.#exports = this.#instantiate();
      throw errorOf(Status.bundleTrap, action, '', cause);
    }
    if (status === Status.ok) return;
    const part = PARTS[exports.faultPart()] ?? '';
    throw errorOf(status, action, part === '' ? '' : ` (${part}, byte ${exports.faultAt()})`);
  }

  #text(cell: number): string {
    const { memory, cellsPointer, inputPointer } = this.#exports;
    const view = new DataView(memory.buffer, cellsPointer() + cell * CELL_BYTES, CELL_BYTES);
    const [start, length] = [view.getUint32(0, true), view.getUint32(4, true)];
    return Buffer.from(memory.buffer, inputPointer() + start, length).toString('latin1');
  }

  #number(cell: number): number {
    const { memory, cellsPointer } = this.#exports;
    const view = new DataView(memory.buffer, cellsPointer() + cell * CELL_BYTES, CELL_BYTES);
    return Number(view.getBigUint64(0, true));
  }
}

function errorOf(status: number, action: string, place: string, given?: unknown): Error {
  try {
    expectOk(status, `${action}${place}`);
  } catch (cause) {
    if (!(cause instanceof CoreError)) return cause as Error;
    const code = CODES_OF_ACTIONS.get(action) ?? CODES.get(status) ?? 'E_BUNDLE_MALFORMED';
    const details = { reason: cause.code };
    return new KeelError(code, cause.message, { cause: given ?? cause, details });
  }
  return new RangeError(`Cannot ${action}: it was not refused`);
}

/** Like {@link BundleReader.readTail}, for one bundle. */
export async function readBundleTail(tail: Uint8Array, sizeBytes: number): Promise<BundleTail> {
  return (await BundleReader.create()).readTail(tail, sizeBytes);
}

/** Like {@link BundleReader.readTrust}, for one file. */
export async function readTrustFile(bytes: Uint8Array): Promise<TrustFile> {
  return (await BundleReader.create()).readTrust(bytes);
}
