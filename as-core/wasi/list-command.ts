// `keel-verify list IMAGE`: one line for each entry of a SquashFS, directories before what is in them:
//
//   TYPE MODE UID GID SIZE MTIME PATH [-> TARGET]
//
// TYPE is one of d f l b c p s, MODE octal, SIZE in bytes (MAJOR,MINOR for a device), MTIME in seconds since 1970. Bytes
// of a name that could play tricks on a terminal are printed as \ooo.
import {
  hasDirectoryEntry,
  inodePointer,
  listingPointer,
  nextDirectoryEntry,
  openDirectory,
  readInodeAt,
  root,
  targetPointer,
} from '../assembly/squashfs';
import { Listing, LISTING_BYTES, LISTING_NAME } from '../assembly/squashfs-directory';
import {
  Inode,
  TYPE_BLOCK_DEVICE,
  TYPE_CHARACTER_DEVICE,
  TYPE_DIRECTORY,
  TYPE_FILE,
  TYPE_SYMLINK,
} from '../assembly/squashfs-inode';
import {
  STATUS_OK,
  STATUS_SQUASHFS_DIRECTORY_LOOP,
  STATUS_SQUASHFS_DIRECTORY_PARENT,
  STATUS_SQUASHFS_DIRECTORY_TOO_DEEP,
  STATUS_SQUASHFS_ENTRY_TYPE,
  STATUS_SQUASHFS_INODE_REFERENCE,
  STATUS_SQUASHFS_ROOT_INODE,
  STATUS_SQUASHFS_TOO_MUCH_WORK,
} from '../assembly/status';
import { print, printByte, printMode, printName, printNumber } from './output';
import { openImage, refused } from './squashfs-image';
import { EXIT_OK } from './verdict';

// The same limits as in as-core/src/squashfs-walk.ts.
const DEPTH_MAX: u32 = 2048;
const ENTRIES_MAX: u32 = 1 << 22;

/** Listings of the directories on the way, number and end of the path of each. */
const listings: usize = memory.data(2049 * 616, 16);
const numbers: usize = memory.data(2049 * 4, 16);
const pathEnds: usize = memory.data(2049 * 4, 16);
/** The path in hand: at most DEPTH_MAX + 1 names of 255 bytes, and their slashes. */
const path: usize = memory.data(2050 * 256, 16);

/** @param image index of the argument that names the image */
export function listCommand(image: u32): i32 {
  const opened: i32 = openImage(image);
  if (opened != EXIT_OK) return opened;
  const status: i32 = listAll();
  return status == STATUS_OK ? EXIT_OK : refused(status);
}

function record(): Inode {
  return changetype<Inode>(inodePointer());
}

function listAll(): i32 {
  const status: i32 = readInodeAt(root());
  if (status != STATUS_OK) return status;
  if (record().type != TYPE_DIRECTORY) return STATUS_SQUASHFS_ROOT_INODE;
  const rootNumber: u32 = record().number;
  store<u8>(path, 0x2f);
  printLine(1);
  const entered: i32 = enter(0, 0);
  if (entered != STATUS_OK) return entered;
  let entries: u32 = 0;
  let depth: i32 = 0;
  while (depth >= 0) {
    memory.copy(listingPointer(), listings + <usize>depth * LISTING_BYTES, LISTING_BYTES);
    if (!hasDirectoryEntry()) {
      depth -= 1;
      continue;
    }
    if (++entries > ENTRIES_MAX) return STATUS_SQUASHFS_TOO_MUCH_WORK;
    const end: i32 = readEntry(depth, rootNumber);
    if (end < 0) return -end;
    printLine(end);
    if (record().type != TYPE_DIRECTORY) continue;
    if (<u32>depth == DEPTH_MAX) return STATUS_SQUASHFS_DIRECTORY_TOO_DEEP;
    depth += 1;
    const opened: i32 = enter(depth, end);
    if (opened != STATUS_OK) return opened;
  }
  return STATUS_OK;
}

/** Opens the listing of the directory in the inode record as the one at `depth`. */
function enter(depth: u32, pathEnd: u32): i32 {
  store<u32>(numbers + 4 * depth, record().number);
  store<u32>(pathEnds + 4 * depth, pathEnd);
  const status: i32 = openDirectory();
  if (status == STATUS_OK) memory.copy(listings + depth * LISTING_BYTES, listingPointer(), LISTING_BYTES);
  return status;
}

/** Reads the next entry at `depth` and its inode: the end of its path, or -status. */
function readEntry(depth: u32, rootNumber: u32): i32 {
  const read: i32 = nextDirectoryEntry();
  if (read != STATUS_OK) return -read;
  memory.copy(listings + depth * LISTING_BYTES, listingPointer(), LISTING_BYTES);
  const entry = changetype<Listing>(listingPointer());
  const start: u32 = load<u32>(pathEnds + 4 * depth);
  store<u8>(path + start, 0x2f);
  memory.copy(path + start + 1, listingPointer() + LISTING_NAME, entry.nameLength);
  const status: i32 = readInodeAt(entry.reference);
  if (status != STATUS_OK) return -status;
  if (record().number != entry.number) return -STATUS_SQUASHFS_INODE_REFERENCE;
  if (record().type != entry.type) return -STATUS_SQUASHFS_ENTRY_TYPE;
  if (record().type == TYPE_DIRECTORY) {
    if (record().number == rootNumber) return -STATUS_SQUASHFS_DIRECTORY_LOOP;
    if (record().parent != load<u32>(numbers + 4 * depth)) return -STATUS_SQUASHFS_DIRECTORY_PARENT;
  }
  return start + 1 + entry.nameLength;
}

function printLine(pathEnd: u32): void {
  const inode = record();
  const types: string = ' dflbcps';
  printByte(types.charCodeAt(inode.type));
  print(' ');
  printMode(inode.mode);
  printColumn(inode.uid);
  printColumn(inode.gid);
  if (inode.type == TYPE_BLOCK_DEVICE || inode.type == TYPE_CHARACTER_DEVICE) {
    // As new_encode_dev of the kernel's kdev_t.h packs them.
    printColumn((inode.device >> 8) & 0xfff);
    print(',');
    printNumber((inode.device & 0xff) | ((inode.device >> 12) & 0xfff00));
  } else printColumn(inode.type == TYPE_FILE || inode.type == TYPE_SYMLINK ? inode.size : 0);
  printColumn(inode.time);
  print(' ');
  printName(path, pathEnd);
  if (inode.type == TYPE_SYMLINK) {
    print(' -> ');
    printName(targetPointer(), <u32>inode.size);
  }
  print('\n');
}

function printColumn(value: u64): void {
  print(' ');
  printNumber(value);
}
