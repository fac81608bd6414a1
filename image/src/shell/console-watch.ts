/** Waits for what a machine prints on its console. */
import { setTimeout as delay } from 'node:timers/promises';
import { stripVTControlCharacters } from 'node:util';
import { KeelError } from '@keelos/proto/errors.ts';

const POLL_MS = 100;
/** Characters of the console that an error message quotes. */
const QUOTED_CHARACTERS = 2000;

/** How long to wait for something. */
export interface WaitOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** As much of a machine as is needed here. */
export interface WatchedMachine {
  readonly dir: string;
  readonly consoleLog: string;
  readonly commandLine: string;
  isRunning(): Promise<boolean>;
  consoleText(fromOffset?: number): Promise<string>;
}

function quoted(text: string): string {
  const printable = stripVTControlCharacters(text).replace(/[^\n -~]/g, '');
  const lines = printable.slice(-QUOTED_CHARACTERS).trim().split('\n');
  return lines.map((line) => `  | ${line}`).join('\n');
}

/**
 * Asks `read` about the console until it answers something.
 *
 * @throws KeelError E_TIMEOUT when the machine ends or time is up first: with the end of the console and the command.
 */
export async function watchConsole<T>(
  vm: WatchedMachine,
  options: WaitOptions & { readonly what: string; readonly fromOffset?: number },
  read: (text: string) => T | undefined,
): Promise<T> {
  const { what, timeoutMs, signal, fromOffset } = options;
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    // In this order: what a machine printed last is seen although it has ended.
    const running = await vm.isRunning();
    const text = await vm.consoleText(fromOffset);
    const found = read(text);
    if (found !== undefined) return found;
    if (!running || performance.now() >= deadline) {
      const reason = running ? `not within ${timeoutMs} ms` : 'the machine has ended';
      const message = [
        `Cannot see ${what} on the console: ${reason}`,
        quoted(text),
        `console: ${vm.consoleLog}`,
        `in ${vm.dir}: ${vm.commandLine}`,
      ];
      throw new KeelError('E_TIMEOUT', message.join('\n'));
    }
    await delay(POLL_MS, undefined, signal === undefined ? {} : { signal });
  }
}
