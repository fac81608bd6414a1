/**
 * The packed kernel within a kernel image: a zstd frame in a bzImage in the section `.linux` of an EFI program. Pure.
 *
 * Sources: Documentation/arch/x86/boot.rst ("payload_offset", protocol 2.08); RFC 8878, 3.1.1 (frames and blocks).
 */
import { KERNEL_WINDOW_LOG } from '@keelos/as-core/kernel-packing.ts';
import { KERNEL_BYTES_MAX } from '@keelos/proto/delta.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { peSection } from './pe.ts';

/** Where it lies. */
export interface KernelPayload {
  /** From the begin of the kernel image. */
  readonly offset: number;
  readonly packedBytes: number;
  /** What its frame says; the window is at most {@link KERNEL_WINDOW_LOG}. */
  readonly unpackedBytes: number;
}

const SETUP_SECTORS_AT = 0x1f1;
const MAGIC_AT = 0x202;
const PROTOCOL_AT = 0x206;
const PAYLOAD_OFFSET_AT = 0x248;
const PAYLOAD_LENGTH_AT = 0x24c;
const HEADER_BYTES = 0x250;
const PROTOCOL_MIN = 0x208;
const SECTOR_BYTES = 512;
/** A 0 means this many. */
const SETUP_SECTORS_DEFAULT = 4;

/** The packed kernel; undefined when there is none, or its frame is not one that a node can unpack in its memory. */
export function kernelPayload(uki: Uint8Array): KernelPayload | undefined {
  const kernel = linuxSection(uki);
  if (kernel === undefined || kernel.length < HEADER_BYTES) return undefined;
  const isImage =
    kernel.toString('latin1', MAGIC_AT, MAGIC_AT + 4) === 'HdrS' &&
    kernel.readUInt16LE(PROTOCOL_AT) >= PROTOCOL_MIN;
  if (!isImage) return undefined;
  const sectors = kernel[SETUP_SECTORS_AT] || SETUP_SECTORS_DEFAULT;
  const start = (sectors + 1) * SECTOR_BYTES + kernel.readUInt32LE(PAYLOAD_OFFSET_AT);
  const end = start + kernel.readUInt32LE(PAYLOAD_LENGTH_AT);
  const frame = frameFacts(kernel.subarray(start, end));
  if (frame === undefined || frame.contentBytes > KERNEL_BYTES_MAX) return undefined;
  return {
    offset: kernel.byteOffset - uki.byteOffset + start,
    packedBytes: frame.bytes,
    unpackedBytes: frame.contentBytes,
  };
}

function linuxSection(uki: Uint8Array): Buffer | undefined {
  try {
    return peSection(uki, '.linux');
  } catch (cause) {
    if (cause instanceof KeelError) return undefined;
    throw cause;
  }
}

const FRAME_MAGIC = 0xfd2fb528;
const WINDOW_LOG_MIN = 10;
const BLOCK_HEADER_BYTES = 3;
const RLE_BLOCK = 1;
const CHECKSUM_BYTES = 4;

/** Size of a frame and of its content; undefined when it is none, does not say its content's, or needs a larger window. */
function frameFacts(
  bytes: Buffer,
): { readonly bytes: number; readonly contentBytes: number } | undefined {
  if (bytes.length < 16 || bytes.readUInt32LE(0) !== FRAME_MAGIC) return undefined;
  const descriptor = bytes[4] ?? 0;
  const isSingle = (descriptor & 0x20) !== 0;
  const hasDictionary = (descriptor & 3) !== 0;
  const sizeFlag = descriptor >> 6;
  const windowAt = 5;
  const contentAt = windowAt + (isSingle ? 0 : 1);
  // Content up to 256 bytes and up to 64 KiB is no kernel.
  if (hasDictionary || sizeFlag < 2) return undefined;
  const contentBytes =
    sizeFlag === 2 ? bytes.readUInt32LE(contentAt) : Number(bytes.readBigUInt64LE(contentAt));
  const window = bytes[windowAt] ?? 0;
  const windowBytes = isSingle
    ? contentBytes
    : 2 ** (WINDOW_LOG_MIN + (window >> 3)) * (1 + (window & 7) / 8);
  if (windowBytes > 2 ** KERNEL_WINDOW_LOG) return undefined;
  let at = contentAt + (sizeFlag === 2 ? 4 : 8);
  for (let isLast = false; !isLast; ) {
    if (at + BLOCK_HEADER_BYTES > bytes.length) return undefined;
    const header = bytes.readUIntLE(at, BLOCK_HEADER_BYTES);
    isLast = (header & 1) !== 0;
    at += BLOCK_HEADER_BYTES + (((header >> 1) & 3) === RLE_BLOCK ? 1 : header >> 3);
  }
  const end = at + ((descriptor & 4) === 0 ? 0 : CHECKSUM_BYTES);
  return end <= bytes.length ? { bytes: end, contentBytes } : undefined;
}
