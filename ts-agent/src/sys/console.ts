/** The console: /dev/console, never /dev/kmsg, so that what is secret does not get into the kernel's log. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

/** The port. Writes lines; a console that is not there is passed over. */
export type WriteConsole = (lines: readonly string[]) => Promise<void>;

/** The console behind `path`. */
export function consoleWriter(path: string): WriteConsole {
  return async (lines) => {
    try {
      // O_NOCTTY: a session leader must not get the console as its controlling terminal.
      await using file = await open(path, constants.O_WRONLY | constants.O_NOCTTY);
      await file.writeFile(`${lines.join('\n')}\n`);
    } catch {
      // A machine without a console has nobody in front of it.
    }
  };
}
