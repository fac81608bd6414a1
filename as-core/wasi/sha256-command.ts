// `keel-verify sha256 FILE`: the digest of the whole file, as sha256sum prints it.
import {
  digestPointer,
  finish,
  init,
  inputBytesMax,
  inputPointer,
  update,
} from '../assembly/sha256';
import { argumentAt, lengthOf } from './arguments';
import { openFile, readNext } from './file';
import { print, printBytes, printHex } from './output';
import { EXIT_OK, EXIT_UNREADABLE, unreadable } from './verdict';

/** @param path index of the argument that names the file */
export function sha256Command(path: u32): i32 {
  const errno: i32 = openFile(argumentAt(path));
  if (errno != 0) return unreadable(path, errno);
  init();
  for (;;) {
    const count: i32 = readNext(inputPointer(), inputBytesMax());
    if (count < 0) return unreadable(path, -count);
    if (count == 0) break;
    if (update(count) != 0) return EXIT_UNREADABLE;
  }
  if (finish() != 0) return EXIT_UNREADABLE;
  printHex(digestPointer(), 32);
  print('  ');
  printBytes(argumentAt(path), lengthOf(argumentAt(path)));
  print('\n');
  return EXIT_OK;
}
