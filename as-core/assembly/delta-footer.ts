// The footer of a delta: the last 64 bytes. Little endian:
//
//   0 magic  8 version u32  12 zero u32  16 size of the delta u64  24 place of the manifest u64
//   32 size of the manifest u32  36 size of the signatures u32  40 zero  60 CRC-32 of the 60 bytes before
import { FOOTER_BYTES, input, MANIFEST_BYTES_MAX, SIGNATURES_BYTES_MAX } from './bundle-memory';
import {
  STATUS_DELTA_FOOTER,
  STATUS_DELTA_MAGIC,
  STATUS_DELTA_PLACES,
  STATUS_DELTA_TOO_LARGE,
  STATUS_DELTA_TRAILING,
  STATUS_DELTA_TRUNCATED,
  STATUS_DELTA_VERSION,
  STATUS_OK,
} from './status';

/** "KEELDLTA" */
const MAGIC: u64 = 0x41544c444c45454b;
const VERSION: u32 = 1;
const CRC_POLYNOMIAL: u32 = 0xedb88320;

export let manifestOffset: u64 = 0;
export let manifestBytes: u32 = 0;
export let signaturesBytes: u32 = 0;

/** Reads and judges the footer of a delta of `size` bytes whose last `length` bytes are in `input`. */
export function readFooter(length: u32, size: u64): i32 {
  if (length < FOOTER_BYTES) return STATUS_DELTA_TRUNCATED;
  const footer: usize = input + length - FOOTER_BYTES;
  if (load<u64>(footer) != MAGIC) return withoutFooter(length);
  if (!isSound(footer)) return STATUS_DELTA_FOOTER;
  // Magic, version and checksum are where they are in every version; of another one nothing else is looked at.
  if (load<u32>(footer, 8) != VERSION) return STATUS_DELTA_VERSION;
  if (!isZero(footer)) return STATUS_DELTA_FOOTER;
  const deltaBytes: u64 = load<u64>(footer, 16);
  if (deltaBytes > size) return STATUS_DELTA_TRUNCATED;
  if (deltaBytes < size) return STATUS_DELTA_TRAILING;
  manifestOffset = load<u64>(footer, 24);
  manifestBytes = load<u32>(footer, 32);
  signaturesBytes = load<u32>(footer, 36);
  if (manifestBytes > MANIFEST_BYTES_MAX) return STATUS_DELTA_TOO_LARGE;
  if (signaturesBytes > SIGNATURES_BYTES_MAX) return STATUS_DELTA_TOO_LARGE;
  const behind: u64 = <u64>manifestBytes + <u64>signaturesBytes + <u64>FOOTER_BYTES;
  if (behind > size || manifestOffset != size - behind) return STATUS_DELTA_PLACES;
  return STATUS_OK;
}

/** Why there is no footer at the end: bytes behind it, or it is no delta, or its end is missing, which looks the same. */
function withoutFooter(length: u32): i32 {
  for (let start: u32 = length - FOOTER_BYTES; start > 0; start--) {
    const footer: usize = input + start - 1;
    if (load<u64>(footer) == MAGIC && isSound(footer)) return STATUS_DELTA_TRAILING;
  }
  return STATUS_DELTA_MAGIC;
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
