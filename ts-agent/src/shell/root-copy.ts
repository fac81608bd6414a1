/** Copies the root of a bundle into a slot: bounded memory, a hash over every byte, a record of how far it is. */
import type { Hash } from 'node:crypto';
import { createHash } from 'node:crypto';
import { type ErrorCode, KeelError } from '@keelos/proto/errors.ts';
import type { ResumeRecord } from '@keelos/proto/update-record.ts';
import type { BlockDevice } from '../sys/block-device.ts';
import type { SourceRange, UpdateSource } from '../sys/update-source.ts';

/** Bytes that are written at once. Two such pieces are in memory: one is filled while the other is written. */
export const WRITE_BYTES = 1_048_576;
/** Bytes after which the slot is flushed and the resume record written. */
export const FLUSH_BYTES = 16 * WRITE_BYTES;

/** What is copied, and who is told. */
export interface RootCopy {
  readonly source: UpdateSource;
  readonly sizeBytes: number;
  readonly device: BlockDevice;
  /** Bytes that an earlier try has left in the slot. */
  readonly resumedBytes: number;
  readonly signal: AbortSignal;
  readonly onProgress: (doneBytes: number) => void;
  /** So many bytes are on the medium. */
  readonly onDurable: (writtenBytes: number) => void;
}

/** Bytes of an earlier try that count for this bundle: it wrote the same one into the same slot. */
export function resumableBytes(
  record: ResumeRecord | undefined,
  wanted: Pick<ResumeRecord, 'manifestSha256' | 'slot'> & { readonly sizeBytes: number },
): number {
  const isSame =
    record !== undefined &&
    record.manifestSha256 === wanted.manifestSha256 &&
    record.slot === wanted.slot &&
    record.writtenBytes <= wanted.sizeBytes;
  return isSame ? record.writtenBytes : 0;
}

/**
 * Copies, and returns the hash over all bytes, those of the earlier try as they are read back.
 *
 * @throws what the source throws, and KeelError E_SLOT_WRITE, E_SLOT_READ
 */
export async function copyRoot(copy: RootCopy): Promise<Hash> {
  const { source, sizeBytes, device, resumedBytes, signal } = copy;
  const hash = createHash('sha256');
  await hashSlot(copy, hash);
  const range = { offsetBytes: resumedBytes, lengthBytes: sizeBytes - resumedBytes };
  let offset = resumedBytes;
  let durable = resumedBytes;
  let pending: Promise<void> = Promise.resolve();
  try {
    for await (const piece of inBlocks(source.read(range, signal), range.lengthBytes)) {
      signal.throwIfAborted();
      hash.update(piece);
      await pending;
      if (offset - durable >= FLUSH_BYTES) {
        await slotWrite(device.flush());
        durable = offset;
        copy.onDurable(durable);
      }
      pending = slotWrite(device.writeAt(offset, piece));
      // Awaited with the next piece; until then its failure must not count as unhandled.
      pending.catch(() => undefined);
      offset += piece.length;
      copy.onProgress(offset);
    }
  } finally {
    // The device is closed by the caller, and its last write must have ended by then.
    await pending.catch(() => undefined);
  }
  await pending;
  await slotWrite(device.flush());
  copy.onDurable(offset);
  return hash;
}

async function hashSlot(copy: RootCopy, hash: Hash): Promise<void> {
  const { device, resumedBytes, signal } = copy;
  for (let at = 0; at < resumedBytes; at += WRITE_BYTES) {
    signal.throwIfAborted();
    const lengthBytes = Math.min(WRITE_BYTES, resumedBytes - at);
    hash.update(await slotRead('read', device.readAt(at, lengthBytes)));
    copy.onProgress(at + lengthBytes);
  }
}

/** Reads a range and hashes it; nothing is written. */
export async function hashRange(of: {
  readonly source: UpdateSource;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly hash: Pick<Hash, 'update'>;
  readonly signal: AbortSignal;
  readonly onProgress: (doneBytes: number) => void;
}): Promise<void> {
  const { source, signal, hash, onProgress, ...range } = of;
  let done = 0;
  for await (const piece of exactly(source.read(range, signal), range.lengthBytes)) {
    signal.throwIfAborted();
    hash.update(piece);
    done += piece.length;
    onProgress(done);
  }
}

/** Pieces as they come, and no fewer or more bytes than were asked for. */
export async function* exactly(
  pieces: AsyncIterable<Uint8Array>,
  lengthBytes: number,
): AsyncGenerator<Uint8Array> {
  let left = lengthBytes;
  for await (const piece of pieces) {
    if (piece.length > left) {
      throw new KeelError('E_SOURCE_LONG', 'Cannot read bundle: more bytes than were asked for');
    }
    left -= piece.length;
    yield piece;
  }
  if (left > 0) {
    throw new KeelError(
      'E_BUNDLE_TRUNCATED',
      `Cannot read bundle: it ends ${left} bytes too early`,
    );
  }
}

/** A short range in one piece. */
export async function readPiece(
  source: UpdateSource,
  range: SourceRange,
  signal: AbortSignal,
): Promise<Buffer> {
  if (range.lengthBytes === 0) return Buffer.alloc(0);
  const pieces: Uint8Array[] = [];
  for await (const piece of exactly(source.read(range, signal), range.lengthBytes)) {
    // A source may use its memory again for the next piece.
    pieces.push(Buffer.from(piece));
  }
  return Buffer.concat(pieces);
}

/** Blocks of {@link WRITE_BYTES}, the last one shorter. A block is overwritten when the one after the next is filled. */
async function* inBlocks(
  pieces: AsyncIterable<Uint8Array>,
  lengthBytes: number,
): AsyncGenerator<Uint8Array> {
  const [first, second] = [Buffer.allocUnsafe(WRITE_BYTES), Buffer.allocUnsafe(WRITE_BYTES)];
  let block = first;
  let filled = 0;
  for await (const piece of exactly(pieces, lengthBytes)) {
    for (let at = 0; at < piece.length; ) {
      const part = piece.subarray(at, at + WRITE_BYTES - filled);
      block.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled < WRITE_BYTES) continue;
      yield block;
      block = block === first ? second : first;
      filled = 0;
    }
  }
  if (filled > 0) yield block.subarray(0, filled);
}

/** An error of the device in the table's terms. @throws KeelError E_SLOT_WRITE */
export function slotWrite<T>(work: Promise<T>): Promise<T> {
  return slotWork(work, 'E_SLOT_WRITE', 'write');
}

/** The same for what writes nothing; `verb` says what it is. @throws KeelError E_SLOT_READ */
export function slotRead<T>(verb: 'open' | 'read' | 'verify', work: Promise<T>): Promise<T> {
  return slotWork(work, 'E_SLOT_READ', verb);
}

async function slotWork<T>(work: Promise<T>, code: ErrorCode, verb: string): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    if (cause instanceof KeelError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new KeelError(code, `Cannot ${verb} slot: ${reason}`, { cause });
  }
}
