// keel-verify: what a node does with an image, as a command for every WASI preview 1 host.
import { argumentCount, argumentIs, readArguments } from './arguments';
import { listCommand } from './list-command';
import { flush, print } from './output';
import { procExit } from './preview1';
import { sha256Command } from './sha256-command';
import { EXIT_OK, wrongUsage } from './verdict';
import { verifyCommand } from './verify-command';
import { verityCommand } from './verity-command';

export { readAt } from './file';

const HELP: string = `Usage: keel-verify COMMAND FILE [options]

Commands:
  verify IMAGE    every structure and every block of a SquashFS image
  list IMAGE      what is in it: TYPE MODE UID GID SIZE MTIME PATH [-> TARGET]
  verity IMAGE    every block against its dm-verity hash tree (format 1, sha256, 4096-byte blocks)
    --root-hash HEX     what the tree must come to
    --salt HEX          salt, "-" for none (default -)
    --data-blocks N     blocks before the tree (default: what a SquashFS superblock says)
    --hash-offset N     where the tree begins, in bytes (default: behind the data)
  sha256 FILE     the SHA-256 of a file, as sha256sum prints it
  --help          this text

Exit status: 0 the file is sound, 1 it is not, 2 wrong usage, 3 the file cannot be read.
The host must open the folder of the file for the program.
`;

/** Where a WASI host begins. */
export function _start(): void {
  const status: i32 = run();
  flush();
  procExit(status);
}

function run(): i32 {
  if (!readArguments()) return wrongUsage('the command line is too long');
  if (argumentCount() < 2) return wrongUsage('say what to do');
  if (argumentIs(1, '--help') || argumentIs(1, '-h')) {
    print(HELP);
    return EXIT_OK;
  }
  if (argumentCount() < 3) return wrongUsage('say which file');
  if (argumentIs(1, 'verity')) return verityCommand(2);
  if (argumentCount() > 3) return wrongUsage('one file at a time');
  if (argumentIs(1, 'verify')) return verifyCommand(2);
  if (argumentIs(1, 'list')) return listCommand(2);
  if (argumentIs(1, 'sha256')) return sha256Command(2);
  return wrongUsage('there is no such command');
}
