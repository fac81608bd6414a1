/** Waits for what a machine prints on its console, or passes all of it on. */
import { setTimeout as delay } from 'node:timers/promises';
import { stripVTControlCharacters } from 'node:util';
import { KeelError } from '@keelos/proto/errors.ts';

const POLL_MS = 100;
/** Bytes of the console that are passed on at once. */
const PART_BYTES_MAX = 1_048_576;
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

/** As much of a machine as {@link followConsole} needs. */
export interface FollowedMachine {
  readonly consoleOffset: number;
  isRunning(): Promise<boolean>;
  consoleBytes(from: number, bytesMax: number): Promise<Buffer>;
}

/** Passes on every byte that a machine prints from its start on, until it is off. */
export async function followConsole(
  vm: FollowedMachine,
  write: (bytes: Buffer) => void,
): Promise<void> {
  let offset = vm.consoleOffset;
  for (;;) {
    // In this order, as above. And on by what was read: the log has grown since.
    const running = await vm.isRunning();
    const bytes = await vm.consoleBytes(offset, PART_BYTES_MAX);
    if (bytes.length > 0) {
      write(bytes);
      offset += bytes.length;
    } else if (running) {
      await delay(POLL_MS);
    } else {
      return;
    }
  }
}
