// `keel-verify verity IMAGE`: every block of a dm-verity image (format 1, sha256, 4096/4096, no superblock) against its
// hash tree, and the tree against the root hash.
//
// One level after another, from the data up: whole blocks go through the hasher, and what comes out is compared with
// the bytes of the level above. Nothing but one piece of each is in memory, however large the image is.
import {
  digestsPointer,
  hashBlocks,
  inputBlocksMax,
  inputPointer,
  saltPointer,
  setSalt,
} from '../assembly/verity';
import { argumentAt, argumentCount, argumentIs, bytesOf, numberOf } from './arguments';
import { fileBytes, openFile, readAt } from './file';
import { flush, print, printHex, printNumber } from './output';
import { EXIT_OK, EXIT_REFUSED, unreadable, wrongUsage } from './verdict';

const BLOCK_BYTES: u64 = 4096;
const DIGEST_BYTES: u32 = 32;
const DIGESTS_PER_BLOCK: u64 = 128;
// 64 TiB of data.
const LEVELS_MAX: u32 = 5;
const DATA_BLOCKS_MAX: i64 = 1 << 34;
const BAD_PRINTED_MAX: u64 = 16;
const SALT_BYTES_MAX: u32 = 256;

/** Bytes of the level above that belong to the blocks in hand. */
const expected: usize = memory.data(64 * 32, 16);
const root: usize = memory.data(32, 16);
const superblock: usize = memory.data(48, 16);
/** u64 for each level: blocks, and where it begins in the file. */
const levelBlocks: usize = memory.data(6 * 8, 8);
const levelOffsets: usize = memory.data(6 * 8, 8);

let hasRoot: bool = false;
let dataBlocks: i64 = -1;
let hashOffset: i64 = -1;
let badCount: u64 = 0;

/** @param path index of the argument that names the image; options follow it */
export function verityCommand(path: u32): i32 {
  const usage: i32 = readOptions(path + 1);
  if (usage != 0) return usage;
  const opened: i32 = openFile(argumentAt(path));
  if (opened != 0) return unreadable(path, opened);
  if (dataBlocks < 0) dataBlocks = dataBlocksOfSquashfs();
  if (dataBlocks <= 0) return wrongUsage('this is no SquashFS image: say --data-blocks N');
  if (hashOffset < 0) hashOffset = dataBlocks * <i64>BLOCK_BYTES;
  const levels: u32 = layLevels();
  const size: i64 = fileBytes();
  const end: u64 = <u64>hashOffset + treeBlocks(levels) * BLOCK_BYTES;
  if (size < 0 || end > <u64>size || <u64>(dataBlocks * <i64>BLOCK_BYTES) > <u64>size) {
    print('refused: the image is too short for its hash tree\n');
    return EXIT_REFUSED;
  }
  for (let level: u32 = 0; level <= levels; level++) {
    const errno: i32 = checkLevel(level, level == levels);
    if (errno != 0) return unreadable(path, errno);
  }
  return report(levels);
}

/** Options are pairs of a name and a value. */
function readOptions(first: u32): i32 {
  let salt: i32 = 0;
  for (let index: u32 = first; index < argumentCount(); index += 2) {
    if (index + 1 == argumentCount()) return wrongUsage('an option needs a value');
    if (argumentIs(index, '--root-hash')) {
      hasRoot = bytesOf(index + 1, root, DIGEST_BYTES) == DIGEST_BYTES;
      if (!hasRoot) return wrongUsage('--root-hash has 64 hexadecimal digits');
    } else if (argumentIs(index, '--salt')) {
      // As in the kernel's table, "-" is no salt at all.
      salt = argumentIs(index + 1, '-') ? 0 : bytesOf(index + 1, saltPointer(), SALT_BYTES_MAX);
      if (salt < 0) return wrongUsage('--salt has hexadecimal digits, at most 512, or is "-"');
    } else if (argumentIs(index, '--data-blocks')) {
      dataBlocks = numberOf(index + 1);
      if (dataBlocks <= 0 || dataBlocks > DATA_BLOCKS_MAX)
        return wrongUsage('--data-blocks is 1 to 17179869184');
    } else if (argumentIs(index, '--hash-offset')) {
      hashOffset = numberOf(index + 1);
      if (hashOffset < 0 || hashOffset % 4096 != 0)
        return wrongUsage('--hash-offset is a multiple of 4096');
    } else return wrongUsage('verity has no such option');
  }
  setSalt(salt);
  return 0;
}

/** Blocks of the file system at the start of the image; 0 when there is none. */
function dataBlocksOfSquashfs(): i64 {
  if (readAt(0, superblock, 48) != 0 || load<u32>(superblock) != 0x73717368) return 0;
  const bytes: u64 = load<u64>(superblock, 40);
  return bytes <= 1 << 46 ? <i64>((bytes + BLOCK_BYTES - 1) / BLOCK_BYTES) : 0;
}

/** Level 0 is the data; the highest level has one block and comes first on the disk. Returns the highest. */
function layLevels(): u32 {
  let level: u32 = 0;
  store<u64>(levelBlocks, dataBlocks);
  for (let blocks: u64 = dataBlocks; blocks > 1 && level < LEVELS_MAX; ) {
    blocks = (blocks + DIGESTS_PER_BLOCK - 1) / DIGESTS_PER_BLOCK;
    level += 1;
    store<u64>(levelBlocks + 8 * level, blocks);
  }
  let offset: u64 = hashOffset;
  for (let each: u32 = level; each > 0; each--) {
    store<u64>(levelOffsets + 8 * each, offset);
    offset += load<u64>(levelBlocks + 8 * each) * BLOCK_BYTES;
  }
  store<u64>(levelOffsets, 0);
  return level;
}

function treeBlocks(levels: u32): u64 {
  let blocks: u64 = 0;
  for (let each: u32 = 1; each <= levels; each++) blocks += load<u64>(levelBlocks + 8 * each);
  return blocks;
}

/** Hashes a level and compares it with the one above, or the highest with the root hash: 0 or an errno. */
function checkLevel(level: u32, isHighest: bool): i32 {
  const blocks: u64 = load<u64>(levelBlocks + 8 * level);
  const offset: u64 = load<u64>(levelOffsets + 8 * level);
  const above: u64 = load<u64>(levelOffsets + 8 * (level + 1));
  for (let first: u64 = 0; first < blocks; first += inputBlocksMax()) {
    const left: u64 = blocks - first;
    const count: u32 = left < inputBlocksMax() ? <u32>left : inputBlocksMax();
    const errno: i32 = readAt(
      offset + first * BLOCK_BYTES,
      inputPointer(),
      count * <u32>BLOCK_BYTES,
    );
    if (errno != 0) return errno;
    hashBlocks(count);
    if (isHighest) {
      if (!hasRoot) memory.copy(root, digestsPointer(), DIGEST_BYTES);
      memory.copy(expected, root, DIGEST_BYTES);
    } else {
      const missing: i32 = readAt(above + first * DIGEST_BYTES, expected, count * DIGEST_BYTES);
      if (missing != 0) return missing;
    }
    for (let index: u32 = 0; index < count; index++) compareDigest(level, first, index);
  }
  return 0;
}

function compareDigest(level: u32, first: u64, index: u32): void {
  const found: usize = digestsPointer() + index * DIGEST_BYTES;
  if (memory.compare(found, expected + index * DIGEST_BYTES, DIGEST_BYTES) == 0) return;
  badCount += 1;
  if (badCount > BAD_PRINTED_MAX) return;
  print('bad block ');
  printNumber(first + index);
  print(' of level ');
  printNumber(level);
  print('\n');
}

function report(levels: u32): i32 {
  print('root-hash ');
  printHex(root, DIGEST_BYTES);
  print(hasRoot ? '\n' : ' (of the image itself: nothing to compare with)\n');
  print('data-blocks ');
  printNumber(dataBlocks);
  print('\nhash-blocks ');
  printNumber(treeBlocks(levels));
  print('\nbad-blocks ');
  printNumber(badCount);
  print(badCount == 0 ? '\nok\n' : '\nrefused\n');
  flush();
  return badCount == 0 ? EXIT_OK : EXIT_REFUSED;
}
