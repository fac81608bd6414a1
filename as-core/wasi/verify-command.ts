// `keel-verify verify IMAGE`: every structure of a SquashFS, and every block of its data.
import {
  blocksDecoded,
  bytesDecoded,
  directoriesChecked,
  filesChecked,
  othersChecked,
  partEnd,
  symlinksChecked,
  verify,
} from '../assembly/squashfs';
import { STATUS_OK } from '../assembly/status';
import { print, printNumber } from './output';
import { openImage, refused } from './squashfs-image';
import { EXIT_OK } from './verdict';

/** Part whose end is the end of the image. */
const LAST_PART: u32 = 4;

/** @param path index of the argument that names the image */
export function verifyCommand(path: u32): i32 {
  const opened: i32 = openImage(path);
  if (opened != EXIT_OK) return opened;
  const status: i32 = verify();
  if (status != STATUS_OK) return refused(status);
  printFigure('files', filesChecked());
  printFigure('directories', directoriesChecked());
  printFigure('symlinks', symlinksChecked());
  printFigure('others', othersChecked());
  printFigure('blocks', blocksDecoded());
  printFigure('content-bytes', bytesDecoded());
  printFigure('image-bytes', partEnd(LAST_PART));
  print('ok\n');
  return EXIT_OK;
}

function printFigure(name: string, value: u64): void {
  print(name);
  print(' ');
  printNumber(value);
  print('\n');
}
