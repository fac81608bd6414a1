// One file at a time, found below the folders that the host has opened for this program.
import { lengthOf } from './arguments';
import { print, printNumber } from './output';
import {
  ERRNO_ACCES,
  ERRNO_ISDIR,
  ERRNO_NOENT,
  ERRNO_NOTCAPABLE,
  fdFilestatGet,
  fdPread,
  fdPrestatDirName,
  fdPrestatGet,
  fdRead,
  LOOKUP_FOLLOW,
  pathOpen,
  RIGHTS_READ,
} from './preview1';

const FIRST_FOLDER: i32 = 3;
const FOLDERS_MAX: i32 = 64;
const FOLDER_NAME_MAX: u32 = 4096;

const prestat: usize = memory.data(8, 8);
const folderName: usize = memory.data(4096, 16);
const result: usize = memory.data(8, 8);
const piece: usize = memory.data(8, 8);
const filestat: usize = memory.data(64, 8);

let fd: i32 = -1;

/** Opens the file at `path` (ends with a NUL) as the one that is read from now on: 0 or an errno. */
export function openFile(path: usize): i32 {
  const length: u32 = lengthOf(path);
  let best: i32 = -1;
  // Bytes of `path` that the best folder stands for.
  let bestBytes: u32 = 0;
  for (let folder: i32 = FIRST_FOLDER; folder < FIRST_FOLDER + FOLDERS_MAX; folder++) {
    if (fdPrestatGet(folder, prestat) != 0) break;
    const nameBytes: u32 = load<u32>(prestat, 4);
    if (load<u8>(prestat) != 0 || nameBytes > FOLDER_NAME_MAX) continue;
    if (fdPrestatDirName(folder, folderName, nameBytes) != 0) continue;
    const covered: i32 = coveredBytes(path, length, nameBytes);
    if (covered < 0 || (best >= 0 && <u32>covered < bestBytes)) continue;
    best = folder;
    bestBytes = covered;
  }
  if (best < 0) return ERRNO_NOTCAPABLE;
  const rest: usize = path + bestBytes;
  const errno: i32 = pathOpen(
    best,
    LOOKUP_FOLLOW,
    rest,
    length - bestBytes,
    0,
    RIGHTS_READ,
    0,
    0,
    result,
  );
  if (errno == 0) fd = load<i32>(result);
  return errno;
}

/**
 * How many bytes of `path` the folder in `folderName` stands for, the slash behind it among them; -1 when the path does
 * not lie below it. "." stands for nothing, and "/" for the first byte.
 */
function coveredBytes(path: usize, length: u32, nameBytes: u32): i32 {
  const isAbsolute: bool = length > 0 && load<u8>(path) == 0x2f;
  let size: u32 = nameBytes;
  // Some hosts count the NUL in, and some people write "folder/".
  while (size > 0 && load<u8>(folderName + size - 1) == 0) size -= 1;
  while (size > 1 && load<u8>(folderName + size - 1) == 0x2f) size -= 1;
  if (size == 1 && load<u8>(folderName) == 0x2e) return isAbsolute ? -1 : 0;
  if (size == 1 && load<u8>(folderName) == 0x2f) return isAbsolute && length > 1 ? 1 : -1;
  if (size == 0 || length <= size + 1 || load<u8>(path + size) != 0x2f) return -1;
  for (let index: u32 = 0; index < size; index++) {
    if (load<u8>(path + index) != load<u8>(folderName + index)) return -1;
  }
  return size + 1;
}

/** Size of the open file, at most 2^53 bytes; -1 when the host does not tell. */
export function fileBytes(): i64 {
  if (fdFilestatGet(fd, filestat) != 0) return -1;
  const size: u64 = load<u64>(filestat, 32);
  return size <= 1 << 53 ? <i64>size : -1;
}

/** Reads on from where the last call ended: bytes, 0 at the end, or a negative errno. */
export function readNext(target: usize, length: u32): i32 {
  store<u32>(piece, <u32>target, 0);
  store<u32>(piece, length, 4);
  store<u32>(result, 0);
  const errno: i32 = fdRead(fd, piece, 1, result);
  return errno != 0 ? -errno : load<i32>(result);
}

/** Reads exactly `length` bytes at `offset`: 0, an errno, or -1 when the file ends before. */
export function readAt(offset: u64, target: usize, length: u32): i32 {
  let done: u32 = 0;
  while (done < length) {
    store<u32>(piece, <u32>(target + done), 0);
    store<u32>(piece, length - done, 4);
    store<u32>(result, 0);
    const errno: i32 = fdPread(fd, piece, 1, offset + done, result);
    if (errno != 0) return errno;
    const count: u32 = load<u32>(result);
    if (count == 0 || count > length - done) return -1;
    done += count;
  }
  return 0;
}

/** Prints what an errno means here. */
export function printErrno(errno: i32): void {
  if (errno == ERRNO_NOENT) print('there is no such file');
  else if (errno == ERRNO_ACCES) print('it may not be read');
  else if (errno == ERRNO_ISDIR) print('it is a folder');
  else if (errno == ERRNO_NOTCAPABLE)
    print('it is in no folder that the host has opened for this program');
  else if (errno < 0) print('it ends too early');
  else {
    print('the host says errno ');
    printNumber(errno);
  }
}
