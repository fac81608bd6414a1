/** The consoles: their devices, never /dev/kmsg, so that what is secret does not get into the kernel's log. */
import { constants } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** The port. Writes lines; a console that is not there, or takes nothing, is passed over. */
export type WriteConsole = (lines: readonly string[]) => Promise<void>;

/** Where the consoles are. */
export interface ConsolePaths {
  /** The kernel's list of its consoles: "tty0 ttyS0". */
  readonly active: string;
  /** Directory of the devices in the list. */
  readonly devices: string;
  /** The kernel's own choice, for when none of the list takes anything. */
  readonly fallback: string;
}

/** Time for one console to take all of it: serial lines are slow, and one with flow control may stand still. */
export const CONSOLE_WRITE_MS = 2_000;
const RETRY_MS = 20;

/** Every console of the kernel: the screen and the serial line, whichever the person looks at. */
export function consoleWriter(paths: ConsolePaths): WriteConsole {
  return async (lines) => {
    const bytes = Buffer.from(`${lines.join('\n')}\n`);
    const list = await readFile(paths.active, 'utf8').catch(() => '');
    const names = list.split(/\s+/).filter((name) => name !== '');
    const taken = await Promise.all(names.map((name) => write(`${paths.devices}/${name}`, bytes)));
    if (!taken.includes(true)) await write(paths.fallback, bytes);
  };
}

async function write(path: string, bytes: Buffer): Promise<boolean> {
  const deadlineMs = performance.now() + CONSOLE_WRITE_MS;
  // O_NOCTTY: a session leader must not get the console as its controlling terminal.
  const { O_WRONLY, O_NOCTTY, O_NONBLOCK } = constants;
  try {
    await using file = await open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK);
    let written = 0;
    while (written < bytes.length) {
      const count = await file.write(bytes, written).then(
        ({ bytesWritten }) => bytesWritten,
        (cause: unknown) => {
          if (cause instanceof Error && 'code' in cause && cause.code === 'EAGAIN') return 0;
          throw cause;
        },
      );
      written += count;
      if (count > 0) continue;
      if (performance.now() >= deadlineMs) return false;
      await sleep(RETRY_MS);
    }
    return true;
  } catch {
    // A machine without a console has nobody in front of it.
    return false;
  }
}
