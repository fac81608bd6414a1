/**
 * Makes the new bytes of a patch, as many at a time as are asked for. Untrusted: whatever the stream holds, it ends with the
 * bytes that were encoded or with an error, within the fixed memory of the module and the bytes that are asked for.
 */
import { crc32 } from 'node:zlib';
import { PatchInstance, type ReadOld, SIDE_BYTES_MAX, Wants } from './delta-patch-instance.ts';
import { CoreError, expectOk, Status } from './status.ts';

const ACTION = 'apply a patch';

/** What a decoder reads from. Both are called while `read` or `finish` runs. */
export interface PatchSource {
  /** Bytes of the old side. */
  readonly oldBytes: number;
  /** Most calls go forward from the one before. */
  readonly readOld: ReadOld;
  /** Puts the next bytes of the stream into `target` and answers how many; 0 when there are no more. */
  readonly readStream: (target: Uint8Array) => number;
}

/** One patch. After an error it is not to be used again. */
export class PatchDecoder {
  readonly #source: PatchSource;
  readonly #instance: PatchInstance;
  /** Bytes of the piece that was made last, and how many of them were taken. */
  #pieceBytes = 0;
  #takenBytes = 0;
  #isDone = false;
  #crc = 0;

  /**
   * @param module of `compileModule('delta-coder')`
   * @throws RangeError for an old side of 4 GiB or more
   */
  constructor(module: WebAssembly.Module, source: PatchSource) {
    const { oldBytes } = source;
    if (!Number.isSafeInteger(oldBytes) || oldBytes < 0 || oldBytes > SIDE_BYTES_MAX) {
      throw new RangeError(`Cannot ${ACTION}: an old side of ${oldBytes} bytes`);
    }
    this.#source = source;
    this.#instance = new PatchInstance(module, source.readOld);
    this.#instance.exports.beginDecoder(oldBytes);
  }

  /** Memory that it holds, in bytes. */
  get memoryBytes(): number {
    return this.#instance.memory.length;
  }

  /**
   * Fills `target` with the next bytes.
   *
   * @throws CoreError "delta-patch-…" or "delta-version" when the stream is malformed or has fewer bytes
   * @throws what `readOld` or `readStream` throws
   */
  read(target: Uint8Array): void {
    for (let done = 0; done < target.length; ) {
      if (this.#takenBytes === this.#pieceBytes) this.#nextPiece();
      const count = Math.min(target.length - done, this.#pieceBytes - this.#takenBytes);
      if (count === 0) expectOk(Status.deltaPatchEnd, ACTION);
      const pointer = this.#instance.exports.piecePointer() + this.#takenBytes;
      target.set(this.#instance.view(pointer, count), done);
      done += count;
      this.#takenBytes += count;
    }
  }

  /**
   * Looks whether all was read and the stream ends here.
   *
   * @throws CoreError like `read`, and "delta-patch-content" when other bytes were made than were encoded
   */
  finish(): void {
    if (this.#takenBytes === this.#pieceBytes) this.#nextPiece();
    if (this.#takenBytes < this.#pieceBytes) expectOk(Status.deltaPatchEnd, ACTION);
    if (this.#crc !== this.#instance.exports.checksum() >>> 0) {
      throw new CoreError(Status.deltaPatchContent, `Cannot ${ACTION}: other bytes came out`);
    }
  }

  #nextPiece(): void {
    if (this.#isDone) return;
    const { exports } = this.#instance;
    if (this.#pieceBytes > 0) expectOk(exports.pieceTaken(), ACTION);
    this.#pieceBytes = 0;
    this.#takenBytes = 0;
    let wanted = this.#instance.run(ACTION);
    while (wanted === Wants.stream) {
      this.#feed();
      wanted = this.#instance.run(ACTION);
    }
    this.#isDone = wanted === Wants.nothing;
    this.#pieceBytes = exports.pieceBytes();
    this.#crc = crc32(this.#instance.view(exports.piecePointer(), this.#pieceBytes), this.#crc);
  }

  #feed(): void {
    const { exports } = this.#instance;
    const unread = exports.makeRoom();
    const room = this.#instance.view(
      exports.streamPointer() + unread,
      exports.streamBytesMax() - unread,
    );
    const count = this.#source.readStream(room);
    expectOk(exports.streamGrew(count, count === 0 ? 1 : 0), ACTION);
  }
}
