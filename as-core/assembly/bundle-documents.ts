// The three documents: manifest and signatures of a bundle, and the trust file of an image. What is read lies in cells,
// in the order in which it stands in the document; as-core/src/bundle.ts knows the order too.
import {
  ROOT_BYTES_MAX,
  SIGNATURES_MAX,
  TRUST_KEYS_MAX,
  UKI_BYTES_MAX,
} from './bundle-memory';
import {
  closeDocument,
  endObject,
  expect,
  formatName,
  HEX,
  isBefore,
  key,
  lengthIn,
  NAME,
  number,
  numberIn,
  oneOf,
  openDocument,
  peek,
  PRINTABLE,
  refuse,
  status,
  text,
} from './bundle-text';
import {
  STATUS_BUNDLE_LIST_ORDER,
  STATUS_BUNDLE_LIST_TOO_LONG,
  STATUS_BUNDLE_PART_TOO_LARGE,
  STATUS_BUNDLE_PLACES,
  STATUS_BUNDLE_TEXT,
  STATUS_BUNDLE_THRESHOLD,
  STATUS_OK,
} from './status';

const NAME_MAX: u32 = 64;
const SHA256_DIGITS: u32 = 64;
const KEY_ID_DIGITS: u32 = 16;
const SIGNATURE_DIGITS: u32 = 128;
const SALT_DIGITS_MAX: u32 = 512;
const EPOCH_MAX: u64 = (1 << 31) - 1;
const TIME_MAX: u64 = 253402300799;
/** 2^53 - 1. */
const INTEGER_MAX: u64 = 0x1fffffffffffff;
const BLOCK_BYTES: u64 = 4096;
const DIGESTS_PER_BLOCK: u64 = 128;

const MANIFEST_KEYS: string =
  'arch buildEpochSeconds epoch format kernelVersion root uki variant version';
const ROOT_KEYS: string = 'dataBytes offset rootHash salt sha256 size';
const UKI_KEYS: string = 'offset sha256 size';

const ROOT_DATA: u32 = 4;
const ROOT_OFFSET: u32 = 5;
const ROOT_SALT: u32 = 7;
const ROOT_SIZE: u32 = 9;
const UKI_OFFSET: u32 = 10;
const UKI_SIZE: u32 = 12;
/** Cells of a manifest. */
export const MANIFEST_CELLS: u32 = 15;

/** Reads a manifest of which the parts must end at `partsEnd`. */
export function readManifest(start: u32, length: u32, partsEnd: u64): i32 {
  openDocument(start, length);
  key(MANIFEST_KEYS, 0);
  oneOf(0, 'x86_64 aarch64', STATUS_BUNDLE_TEXT);
  key(MANIFEST_KEYS, 1);
  number(1, 0, TIME_MAX);
  key(MANIFEST_KEYS, 2);
  number(2, 1, EPOCH_MAX);
  key(MANIFEST_KEYS, 3);
  formatName('keelos-bundle/1');
  key(MANIFEST_KEYS, 4);
  text(3, NAME, 1, NAME_MAX);
  key(MANIFEST_KEYS, 5);
  readRoot();
  key(MANIFEST_KEYS, 6);
  readUki();
  key(MANIFEST_KEYS, 7);
  text(13, NAME, 1, NAME_MAX);
  key(MANIFEST_KEYS, 8);
  text(14, NAME, 1, NAME_MAX);
  endObject(MANIFEST_KEYS);
  const read: i32 = closeDocument();
  return read == STATUS_OK ? judgePlaces(partsEnd) : read;
}

function readRoot(): void {
  key(ROOT_KEYS, 0);
  number(ROOT_DATA, 0, INTEGER_MAX);
  key(ROOT_KEYS, 1);
  number(ROOT_OFFSET, 0, INTEGER_MAX);
  key(ROOT_KEYS, 2);
  text(6, HEX, SHA256_DIGITS, SHA256_DIGITS);
  key(ROOT_KEYS, 3);
  text(ROOT_SALT, HEX, 0, SALT_DIGITS_MAX);
  key(ROOT_KEYS, 4);
  text(8, HEX, SHA256_DIGITS, SHA256_DIGITS);
  key(ROOT_KEYS, 5);
  number(ROOT_SIZE, 0, INTEGER_MAX);
  endObject(ROOT_KEYS);
}

function readUki(): void {
  key(UKI_KEYS, 0);
  number(UKI_OFFSET, 0, INTEGER_MAX);
  key(UKI_KEYS, 1);
  text(11, HEX, SHA256_DIGITS, SHA256_DIGITS);
  key(UKI_KEYS, 2);
  number(UKI_SIZE, 0, INTEGER_MAX);
  endObject(UKI_KEYS);
}

/** The parts begin at 0, lie one behind the other, are whole blocks where they must be, and end where the manifest begins. */
function judgePlaces(partsEnd: u64): i32 {
  const data: u64 = numberIn(ROOT_DATA);
  const root: u64 = numberIn(ROOT_SIZE);
  const uki: u64 = numberIn(UKI_SIZE);
  if ((lengthIn(ROOT_SALT) & 1) != 0) return STATUS_BUNDLE_TEXT;
  if (root > ROOT_BYTES_MAX || uki > UKI_BYTES_MAX) return STATUS_BUNDLE_PART_TOO_LARGE;
  if (data == 0 || data % BLOCK_BYTES != 0 || data > root || uki == 0) return STATUS_BUNDLE_PLACES;
  if (root - data != treeBytes(data / BLOCK_BYTES)) return STATUS_BUNDLE_PLACES;
  if (numberIn(ROOT_OFFSET) != 0 || numberIn(UKI_OFFSET) != root) return STATUS_BUNDLE_PLACES;
  return root + uki == partsEnd ? STATUS_OK : STATUS_BUNDLE_PLACES;
}

/** Size of a dm-verity tree over so many blocks: none over a single one. */
function treeBytes(dataBlocks: u64): u64 {
  let bytes: u64 = 0;
  let blocks: u64 = dataBlocks;
  while (blocks > 1) {
    blocks = (blocks + DIGESTS_PER_BLOCK - 1) / DIGESTS_PER_BLOCK;
    bytes += blocks * BLOCK_BYTES;
  }
  return bytes;
}

const SIGNATURE_KEYS: string = 'keyId signature';
const SIGNATURE_CELLS: u32 = 2;
/** Signatures of the list that was read last. */
export let signatureCount: u32 = 0;

/** Reads the list of signatures, into the cells behind those of the manifest. */
export function readSignatures(start: u32, length: u32): i32 {
  openDocument(start, length);
  key('signatures', 0);
  readSignatureList();
  endObject('signatures');
  return closeDocument();
}

const CHANNEL_KEYS: string = 'signatures signed';

/**
 * Reads the metadata of a channel up to what is signed: its signatures, as above. The cursor then stands at the first byte
 * that is signed. Nothing behind it is looked at.
 */
export function readChannelHead(length: u32): i32 {
  openDocument(0, length);
  key(CHANNEL_KEYS, 0);
  readSignatureList();
  key(CHANNEL_KEYS, 1);
  return status;
}

function readSignatureList(): void {
  signatureCount = 0;
  expect(0x5b);
  while (status == STATUS_OK && peek() != 0x5d) {
    const cell: u32 = MANIFEST_CELLS + signatureCount * SIGNATURE_CELLS;
    if (signatureCount == SIGNATURES_MAX) refuse(STATUS_BUNDLE_LIST_TOO_LONG);
    if (signatureCount > 0) expect(0x2c);
    if (status != STATUS_OK) break;
    key(SIGNATURE_KEYS, 0);
    text(cell, HEX, KEY_ID_DIGITS, KEY_ID_DIGITS);
    key(SIGNATURE_KEYS, 1);
    text(cell + 1, HEX, SIGNATURE_DIGITS, SIGNATURE_DIGITS);
    endObject(SIGNATURE_KEYS);
    if (status == STATUS_OK && signatureCount > 0 && !isBefore(cell - SIGNATURE_CELLS, cell)) {
      refuse(STATUS_BUNDLE_LIST_ORDER);
    }
    signatureCount += 1;
  }
  expect(0x5d);
}

const TRUST_KEYS: string = 'epoch format keys threshold';
const TRUSTED_KEY_KEYS: string = 'id name notAfter publicKey';
const TRUSTED_KEY_CELLS: u32 = 4;
/** Cells of a trust file before those of its keys: epoch and threshold. */
export const TRUST_CELLS: u32 = 2;
/** Keys of the trust file that was read last. */
export let keyCount: u32 = 0;

/** Reads a trust file. That ids fit their keys is not looked at. */
export function readTrust(length: u32): i32 {
  keyCount = 0;
  openDocument(0, length);
  key(TRUST_KEYS, 0);
  number(0, 1, EPOCH_MAX);
  key(TRUST_KEYS, 1);
  formatName('keelos-trust/1');
  key(TRUST_KEYS, 2);
  readKeys();
  key(TRUST_KEYS, 3);
  number(1, 1, SIGNATURES_MAX);
  endObject(TRUST_KEYS);
  const read: i32 = closeDocument();
  if (read != STATUS_OK) return read;
  return numberIn(1) > <u64>max<u32>(keyCount, 1) ? STATUS_BUNDLE_THRESHOLD : STATUS_OK;
}

function readKeys(): void {
  expect(0x5b);
  while (status == STATUS_OK && peek() != 0x5d) {
    const cell: u32 = TRUST_CELLS + keyCount * TRUSTED_KEY_CELLS;
    if (keyCount == TRUST_KEYS_MAX) refuse(STATUS_BUNDLE_LIST_TOO_LONG);
    if (keyCount > 0) expect(0x2c);
    if (status != STATUS_OK) break;
    key(TRUSTED_KEY_KEYS, 0);
    text(cell, HEX, KEY_ID_DIGITS, KEY_ID_DIGITS);
    key(TRUSTED_KEY_KEYS, 1);
    text(cell + 1, PRINTABLE, 1, NAME_MAX);
    key(TRUSTED_KEY_KEYS, 2);
    number(cell + 2, 0, TIME_MAX);
    key(TRUSTED_KEY_KEYS, 3);
    text(cell + 3, HEX, SHA256_DIGITS, SHA256_DIGITS);
    endObject(TRUSTED_KEY_KEYS);
    if (status == STATUS_OK && keyCount > 0 && !isBefore(cell - TRUSTED_KEY_CELLS, cell)) {
      refuse(STATUS_BUNDLE_LIST_ORDER);
    }
    keyCount += 1;
  }
  expect(0x5d);
}
