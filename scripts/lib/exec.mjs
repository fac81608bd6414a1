// Runs one command to its end. Everything that builds and tests start and wait for goes through here, so that a failure
// always says which command, why, the last lines it wrote and where the rest is, and nothing outlives its starter.

import { spawn } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { endWithUs, isEnding, signalCommand } from './children.mjs';

const CAPTURE_BYTES_MAX = 64 * 1024 * 1024;
const LOGGED_CAPTURE_BYTES_MAX = 1024 * 1024;
const TAIL_LINES = 25;
const GRACE_MS = 5_000;

/**
 * @typedef {object} ExecOptions
 * @property {string} [cwd] working directory
 * @property {Record<string, string | undefined>} [env] added to this process's environment; `undefined` removes a name
 * @property {string | Uint8Array} [input] standard input; empty when absent
 * @property {string} [logFile] both streams are appended here too, with the command line in front
 * @property {number} [timeoutMs] SIGTERM after this, SIGKILL `graceMs` (five seconds) later
 * @property {number} [graceMs]
 * @property {boolean} [anyExit] whatever status it exits with is an answer and no failure; -1 when a signal ended it
 * @property {boolean} [show] its output goes where ours goes, and none of it is returned
 * @property {boolean} [terminal] leave it the terminal, to ask for a password; else it has a process group of its own
 * @property {AbortSignal} [signal] stops the command like a timeout
 * @property {(text: string) => void} [onOutput] sees both streams as they come, cut anywhere
 */

/**
 * How a command ended.
 * @typedef {{ exitCode: number, stdout: string, stderr: string }} Ended
 */

/**
 * Keeps the last bytes of a stream; says whether it had to drop the first ones.
 * @param {number} bytesMax
 */
function createCapture(bytesMax) {
  /** @type {Buffer[]} */
  const chunks = [];
  let sizeBytes = 0;
  let dropped = false;
  return {
    /** @param {Buffer} chunk */
    push(chunk) {
      chunks.push(chunk);
      sizeBytes += chunk.length;
      while (sizeBytes > bytesMax && chunks.length > 1) {
        sizeBytes -= chunks.shift()?.length ?? 0;
        dropped = true;
      }
    },
    text: () => Buffer.concat(chunks).toString('utf8'),
    dropped: () => dropped,
  };
}

/**
 * The last lines of a text, indented for an error message.
 * @param {string} text
 */
function tail(text) {
  const lines = text.trimEnd().split('\n').slice(-TAIL_LINES);
  return lines.map((line) => `  | ${line}`).join('\n');
}

/**
 * What a command that failed said, for the message.
 * @param {Ended} ended @param {ExecOptions} options
 */
function said({ stdout, stderr }, options) {
  if (options.show === true) return '(its output is above)';
  const where = options.logFile === undefined ? '' : `\nfull log: ${options.logFile}`;
  return `${tail(stderr.trim() === '' ? stdout : stderr)}${where}`;
}

/**
 * @param {string} command
 * @param {readonly string[]} args
 * @param {ExecOptions} options
 */
function spawnChild(command, args, options) {
  /** @type {NodeJS.ProcessEnv} */
  const env = { ...process.env, ...options.env };
  return spawn(command, args, {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env,
    stdio: options.show === true ? ['pipe', 'inherit', 'inherit'] : ['pipe', 'pipe', 'pipe'],
    detached: options.terminal !== true,
  });
}

/**
 * Runs `command` and waits for it. When this process is told to end, the command ends first, with everything that it
 * started. Without a log file more than 64 MiB of output is an error; with one, only the last
 * MiB of each stream is returned and the file has everything.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {ExecOptions} [options]
 * @returns {Promise<Ended>}
 * @throws {Error} when the command cannot start, exits with something other than 0, or runs over its time
 */
export function exec(command, args, options = {}) {
  const { promise, resolve, reject } = deferred();
  const bytesMax = options.logFile === undefined ? CAPTURE_BYTES_MAX : LOGGED_CAPTURE_BYTES_MAX;
  const stdout = createCapture(bytesMax);
  const stderr = createCapture(bytesMax);
  const log = options.logFile === undefined ? -1 : openSync(options.logFile, 'a');
  if (log >= 0) writeSync(log, `$ ${[command, ...args].join(' ')}\n`);

  const child = spawnChild(command, args, options);
  const running = { pid: child.pid ?? 0, ownGroup: options.terminal !== true };
  const release = child.pid === undefined ? () => {} : endWithUs(running);
  let stopped = '';
  /** @type {NodeJS.Timeout | undefined} */
  let killTimer;
  /** @param {string} reason */
  const stop = (reason) => {
    if (stopped !== '') return;
    stopped = reason;
    signalCommand(running, 'SIGTERM');
    killTimer = setTimeout(() => signalCommand(running, 'SIGKILL'), options.graceMs ?? GRACE_MS);
  };
  const onAbort = () => stop('stopped on request');
  if (options.signal?.aborted === true) onAbort();
  options.signal?.addEventListener('abort', onAbort, { once: true });
  const timer =
    options.timeoutMs === undefined
      ? undefined
      : setTimeout(() => stop(`still running after ${options.timeoutMs} ms`), options.timeoutMs);

  for (const [stream, capture] of /** @type {const} */ ([
    [child.stdout, stdout],
    [child.stderr, stderr],
  ])) {
    stream?.on('data', (/** @type {Buffer} */ chunk) => {
      if (log >= 0) writeSync(log, chunk);
      capture.push(chunk);
      options.onOutput?.(chunk.toString('latin1'));
      if (log < 0 && capture.dropped()) stop(`wrote more than ${bytesMax} bytes`);
    });
  }
  // A command may end without reading its input; its exit status tells whether that was right.
  child.stdin?.on('error', () => {});
  child.stdin?.end(options.input ?? '');

  const finish = () => {
    clearTimeout(timer);
    clearTimeout(killTimer);
    release();
    options.signal?.removeEventListener('abort', onAbort);
    if (log >= 0) closeSync(log);
  };
  child.once('error', (cause) => {
    finish();
    reject(new Error(`Cannot run ${command}: ${cause.message}`, { cause }));
  });
  child.once('close', (code, signalName) => {
    if (isEnding()) return; // `process.exit` comes next
    finish();
    const ended = { exitCode: code ?? -1, stdout: stdout.text(), stderr: stderr.text() };
    if (stopped === '' && (code === 0 || options.anyExit === true)) {
      resolve(ended);
      return;
    }
    const reason = stopped !== '' ? stopped : (signalName ?? `exit status ${code}`);
    const shown = [command, ...args].join(' ').slice(0, 300);
    reject(new Error(`Command failed (${reason}): ${shown}\n${said(ended, options)}`));
  });
  return promise;
}

function deferred() {
  /** @type {(value: Ended) => void} */
  let resolve = () => {};
  /** @type {(reason: Error) => void} */
  let reject = () => {};
  /** @type {Promise<Ended>} */
  const promise = new Promise((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
