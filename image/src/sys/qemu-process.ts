/** QEMU as a process: started, found again, ended. */
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { startTicks } from '../../../scripts/lib/process-identity.mjs';

const POLL_MS = 50;
const PORT_MIN = 20_000;
const PORT_END = 32_000;
const PORT_TRIES_MAX = 100;

/** A process that is not mistaken for another one that got its number later. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot at which it started (proc(5), field 22). */
  readonly startTicks: string;
}

/** True while that very process runs. */
export async function isRunning(process: ProcessIdentity): Promise<boolean> {
  return (await startTicks(process.pid)) === process.startTicks;
}

/** The process that was started with exactly this command; undefined when none runs. */
export async function findProcess(
  command: readonly string[],
): Promise<ProcessIdentity | undefined> {
  const wanted = command.map((part) => `${part}\0`).join('');
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const found = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
    if (found !== wanted) continue;
    const ticks = await startTicks(Number(name));
    if (ticks !== undefined) return { pid: Number(name), startTicks: ticks };
  }
  return undefined;
}

/** Waits until the process has ended; false when it has not in time. */
export async function waitForEnd(
  process: ProcessIdentity,
  options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<boolean> {
  const deadline = performance.now() + options.timeoutMs;
  while (await isRunning(process)) {
    if (performance.now() >= deadline) return false;
    await delay(POLL_MS, undefined, options.signal === undefined ? {} : { signal: options.signal });
  }
  return true;
}

/**
 * Starts a program in a session of its own: a Ctrl-C at the terminal is not for it. What it prints goes to `logPath`.
 *
 * @param options.outlivesUs when false, the kernel kills it with this process, however this process ends
 *
 * @throws Error when it cannot be started.
 */
export async function startDetached(
  command: readonly string[],
  options: { readonly cwd: string; readonly logPath: string; readonly outlivesUs: boolean },
): Promise<ProcessIdentity> {
  const bound = options.outlivesUs ? [] : ['setpriv', '--pdeathsig', 'KILL'];
  const [program = '', ...args] = [...bound, ...command];
  const log = openSync(options.logPath, 'w', 0o600);
  try {
    const child = spawn(program, args, {
      cwd: options.cwd,
      detached: true,
      stdio: ['ignore', log, log],
    });
    await new Promise((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    child.unref();
    const pid = child.pid ?? 0;
    return { pid, startTicks: (await startTicks(pid)) ?? '' };
  } finally {
    closeSync(log);
  }
}

/** SIGKILL, and waits for the end. */
export async function killProcess(target: ProcessIdentity, timeoutMs: number): Promise<void> {
  if (await isRunning(target)) {
    try {
      process.kill(target.pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
  if (!(await waitForEnd(target, { timeoutMs }))) {
    throw new Error(`Cannot end process ${target.pid}: still there ${timeoutMs} ms after SIGKILL`);
  }
}

/**
 * A port on 127.0.0.1 where nobody listens, below the ports that Linux gives to outgoing connections (32768 and up,
 * ip_local_port_range in ip-sysctl.rst): a machine that starts again on its old port must find it free.
 *
 * @throws Error when none of {@link PORT_TRIES_MAX} is free
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < PORT_TRIES_MAX; tries += 1) {
    const port = randomInt(PORT_MIN, PORT_END);
    if (await canListen(port)) return port;
  }
  throw new Error(`no free port among ${PORT_TRIES_MAX} from ${PORT_MIN} to ${PORT_END - 1}`);
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
