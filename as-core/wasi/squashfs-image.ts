// What `verify` and `list` have in common: opening the image, and saying why it is refused.
import { begin, faultInodeNumber, faultPlace, open } from '../assembly/squashfs';
import { STATUS_OK, STATUS_SQUASHFS_READ_FAILED } from '../assembly/status';
import { statusName } from '../build/status-name';
import { argumentAt } from './arguments';
import { fileBytes, openFile } from './file';
import { flush, print, printNumber } from './output';
import { EXIT_OK, EXIT_REFUSED, EXIT_UNREADABLE, unreadable } from './verdict';

/** Most bytes that one command reads and decodes. */
const WORK_BYTES_MAX: u64 = 1 << 38;

/** Opens the image of argument `path`: EXIT_OK, or how the command ends. */
export function openImage(path: u32): i32 {
  const errno: i32 = openFile(argumentAt(path));
  if (errno != 0) return unreadable(path, errno);
  const size: i64 = fileBytes();
  if (size < 0) return unreadable(path, -1);
  const status: i32 = open(size, WORK_BYTES_MAX);
  if (status != STATUS_OK) return refused(status);
  begin(WORK_BYTES_MAX);
  return EXIT_OK;
}

/** Says why an image is refused, and where the fault is. */
export function refused(status: i32): i32 {
  print('refused: ');
  print(statusName(status));
  print(' at byte ');
  printNumber(faultPlace());
  if (faultInodeNumber() != 0) {
    print(', inode ');
    printNumber(faultInodeNumber());
  }
  print('\n');
  flush();
  return status == STATUS_SQUASHFS_READ_FAILED ? EXIT_UNREADABLE : EXIT_REFUSED;
}
