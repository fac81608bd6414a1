// Reader of bundles (proto/src/bundle.ts): the footer, the manifest and the signatures from the last bytes of a bundle,
// the trust file of an image, and the signatures before the metadata of a channel. Every reading returns a status;
// `faultPart` and `faultAt` then say where. No call allocates or throws, and each begins anew.
//
//   input  81,984      the caller writes the end of a bundle, a trust file, or the begin of a channel's file here
//   cells  192 * 8     what was read
import { manifestBytes, manifestOffset, readFooter, signaturesBytes } from './bundle-footer';
import {
  keyCount,
  MANIFEST_CELLS,
  readChannelHead as readHead,
  readManifest,
  readSignatures,
  readTrust as readTrustFile,
  signatureCount,
  TRUST_CELLS,
} from './bundle-documents';
import { cells, FOOTER_BYTES, input, INPUT_BYTES_MAX, TRUST_BYTES_MAX } from './bundle-memory';
import { at } from './bundle-text';
import { STATUS_BUNDLE_PART_TOO_LARGE, STATUS_OK, STATUS_OUT_OF_RANGE } from './status';

const PART_FOOTER: u32 = 1;
const PART_MANIFEST: u32 = 2;
const PART_SIGNATURES: u32 = 3;
const PART_TRUST: u32 = 4;
const PART_CHANNEL: u32 = 5;

/** Part that the last refusal is about: 1 footer, 2 manifest, 3 signatures, 4 trust file, 5 metadata of a channel. */
let part: u32 = 0;
/** Where in `input` it begins. */
let partStart: u32 = 0;

/** Reads the last `length` bytes of a bundle of `size` bytes: all of it, or as many as `input` holds. */
export function readTail(length: u32, size: u64): i32 {
  if (<u64>length != min<u64>(size, <u64>INPUT_BYTES_MAX)) return STATUS_OUT_OF_RANGE;
  part = PART_FOOTER;
  const footer: i32 = readFooter(length, size);
  if (footer != STATUS_OK) return footer;
  const signaturesStart: u32 = length - FOOTER_BYTES - signaturesBytes;
  part = PART_MANIFEST;
  partStart = signaturesStart - manifestBytes;
  const manifest: i32 = readManifest(partStart, manifestBytes, manifestOffset);
  if (manifest != STATUS_OK) return manifest;
  part = PART_SIGNATURES;
  partStart = signaturesStart;
  return readSignatures(partStart, signaturesBytes);
}

/** Reads a trust file of `length` bytes. */
export function readTrust(length: u32): i32 {
  part = PART_TRUST;
  partStart = 0;
  if (length > INPUT_BYTES_MAX) return STATUS_OUT_OF_RANGE;
  return length > TRUST_BYTES_MAX ? STATUS_BUNDLE_PART_TOO_LARGE : readTrustFile(length);
}

/** Reads the signatures of the metadata of a channel, of which `length` bytes are there from its first on. */
export function readChannelHead(length: u32): i32 {
  part = PART_CHANNEL;
  partStart = 0;
  return length > INPUT_BYTES_MAX ? STATUS_OUT_OF_RANGE : readHead(length);
}

/** Where the bytes begin that the signatures are over. */
export function signedStart(): u32 {
  return at;
}

/** Where the caller writes. */
export function inputPointer(): usize {
  return input;
}

/** How much fits. */
export function inputBytesMax(): u32 {
  return INPUT_BYTES_MAX;
}

/** Where what was read lies. */
export function cellsPointer(): usize {
  return cells;
}

/** Where in `input` the manifest begins. */
export function manifestStart(length: u32): u32 {
  return length - FOOTER_BYTES - signaturesBytes - manifestBytes;
}

/** Its length. */
export function manifestLength(): u32 {
  return manifestBytes;
}

/** Cells before those of the signatures. */
export function manifestCells(): u32 {
  return MANIFEST_CELLS;
}

/** Cells before those of the keys. */
export function trustCells(): u32 {
  return TRUST_CELLS;
}

/** Signatures that were read. */
export function signaturesRead(): u32 {
  return signatureCount;
}

/** Keys that were read. */
export function keysRead(): u32 {
  return keyCount;
}

/** See `part`. */
export function faultPart(): u32 {
  return part;
}

/** Byte of that part, for the documents. */
export function faultAt(): u32 {
  return at - partStart;
}
