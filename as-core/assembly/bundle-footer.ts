// The footer: the last 64 bytes of a bundle, all numbers little endian.
//
//   0 "KEELBNDL"  8 version u32  12 zero u32  16 bundle bytes u64  24 manifest offset u64  32 manifest bytes u32
//   36 signatures bytes u32  40 zero, 20 bytes  60 CRC-32 of the 60 bytes before u32
import { FOOTER_BYTES, input, MANIFEST_BYTES_MAX, SIGNATURES_BYTES_MAX } from './bundle-memory';
import {
  STATUS_BUNDLE_FOOTER,
  STATUS_BUNDLE_MAGIC,
  STATUS_BUNDLE_PART_TOO_LARGE,
  STATUS_BUNDLE_PLACES,
  STATUS_BUNDLE_TRAILING,
  STATUS_BUNDLE_TRUNCATED,
  STATUS_BUNDLE_VERSION,
  STATUS_OK,
} from './status';

/** "KEELBNDL" */
const MAGIC: u64 = 0x4c444e424c45454b;
/** "hsqs" */
const SQUASHFS_MAGIC: u32 = 0x73717368;
const VERSION: u32 = 1;
const CRC_POLYNOMIAL: u32 = 0xedb88320;

export let manifestOffset: u64 = 0;
export let manifestBytes: u32 = 0;
export let signaturesBytes: u32 = 0;

/** Reads and judges the footer of a bundle of `size` bytes whose last `length` bytes are in `input`. */
export function readFooter(length: u32, size: u64): i32 {
  if (length < FOOTER_BYTES) {
    return <u64>length == size && isOther(length) ? STATUS_BUNDLE_MAGIC : STATUS_BUNDLE_TRUNCATED;
  }
  const footer: usize = input + length - FOOTER_BYTES;
  const isNamed: bool = load<u64>(footer) == MAGIC;
  const bundleBytes: u64 = load<u64>(footer, 16);
  // With its name or its size it is a footer, even when it is a damaged one.
  if (!isNamed && bundleBytes != size) return withoutFooter(length, size);
  if (!isNamed || !isSound(footer)) return STATUS_BUNDLE_FOOTER;
  if (load<u32>(footer, 8) != VERSION) return STATUS_BUNDLE_VERSION;
  if (!isZero(footer)) return STATUS_BUNDLE_FOOTER;
  if (bundleBytes > size) return STATUS_BUNDLE_TRUNCATED;
  if (bundleBytes < size) return STATUS_BUNDLE_TRAILING;
  manifestOffset = load<u64>(footer, 24);
  manifestBytes = load<u32>(footer, 32);
  signaturesBytes = load<u32>(footer, 36);
  if (manifestBytes > MANIFEST_BYTES_MAX) return STATUS_BUNDLE_PART_TOO_LARGE;
  if (signaturesBytes > SIGNATURES_BYTES_MAX) return STATUS_BUNDLE_PART_TOO_LARGE;
  const behind: u64 = <u64>manifestBytes + <u64>signaturesBytes + <u64>FOOTER_BYTES;
  if (behind > size || manifestOffset != size - behind) return STATUS_BUNDLE_PLACES;
  return STATUS_OK;
}

/** Why there is no footer at the end: bytes behind it, or the end is missing, or it never was a bundle. */
function withoutFooter(length: u32, size: u64): i32 {
  for (let start: u32 = length - FOOTER_BYTES; start > 0; start--) {
    const footer: usize = input + start - 1;
    if (load<u64>(footer) == MAGIC && isSound(footer)) return STATUS_BUNDLE_TRAILING;
  }
  return <u64>length == size && isOther(length) ? STATUS_BUNDLE_MAGIC : STATUS_BUNDLE_TRUNCATED;
}

/** Whether a file that is all in `input` begins as no bundle does. An empty one does not begin at all. */
function isOther(length: u32): bool {
  return length >= 4 && load<u32>(input) != SQUASHFS_MAGIC;
}

function isZero(footer: usize): bool {
  const last: u32 = load<u32>(footer, 56);
  return load<u32>(footer, 12) == 0 && (load<u64>(footer, 40) | load<u64>(footer, 48)) == 0 && last == 0;
}

/** CRC-32 of ISO 3309, as zlib computes it. */
function isSound(footer: usize): bool {
  let crc: u32 = 0xffffffff;
  for (let index: usize = 0; index < 60; index++) {
    crc ^= <u32>load<u8>(footer + index);
    for (let bit: i32 = 0; bit < 8; bit++) {
      crc = (crc >> 1) ^ (CRC_POLYNOMIAL & (0 - (crc & 1)));
    }
  }
  return ~crc == load<u32>(footer, 60);
}
