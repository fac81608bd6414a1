// How a command ends.
import { argumentAt, lengthOf } from './arguments';
import { printErrno } from './file';
import { print, printName, toErrors } from './output';

/** The file is what it should be. */
export const EXIT_OK: i32 = 0;
/** It is not. */
export const EXIT_REFUSED: i32 = 1;
/** The command line is wrong. */
export const EXIT_USAGE: i32 = 2;
/** The file cannot be read. */
export const EXIT_UNREADABLE: i32 = 3;

/** Says on standard error that the file of argument `index` cannot be read. */
export function unreadable(index: u32, errno: i32): i32 {
  toErrors();
  print('keel-verify: cannot read ');
  const path: usize = argumentAt(index);
  printName(path, lengthOf(path));
  print(': ');
  printErrno(errno);
  print('\n');
  return EXIT_UNREADABLE;
}

/** Says on standard error what is wrong with the command line. */
export function wrongUsage(reason: string): i32 {
  toErrors();
  print('keel-verify: ');
  print(reason);
  print('\nkeel-verify --help tells more.\n');
  return EXIT_USAGE;
}
