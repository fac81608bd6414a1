/** A lock between processes: a file that exists while somebody has it, and says who. */
import { randomBytes } from 'node:crypto';
import { link, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';

const MODE = 0o600;
const POLL_MS = 25;
/** A lock that says nobody's name was left by a process that died before it could write. */
const NAMELESS_MS_MAX = 2_000;

/** Nobody let go of the lock in time. */
export class LockTimeout extends Error {
  /** Who has it: process and host. */
  readonly holder: string;

  constructor(holder: string) {
    super(`held by ${holder}`);
    this.holder = holder;
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** True when the one who took the lock can no longer let go of it. */
async function isStale(path: string, text: string): Promise<boolean> {
  const [, pid, host] = /^(\d+) (\S+)\n$/.exec(text) ?? [];
  if (pid !== undefined) return host === hostname() && !isAlive(Number(pid));
  const madeMs = await stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => Number.POSITIVE_INFINITY,
  );
  return Date.now() - madeMs > NAMELESS_MS_MAX;
}

/** Takes a stale lock away. Another process may do the same, and have taken the lock anew: that one is put back. */
async function breakLock(path: string, stale: string): Promise<void> {
  const aside = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    await rename(path, aside);
    if ((await readFile(aside, 'utf8')) !== stale) await link(aside, path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'EEXIST') throw error;
  } finally {
    await rm(aside, { force: true });
  }
}

async function tryTake(path: string, text: string): Promise<boolean> {
  try {
    await using file = await open(path, 'wx', MODE);
    await file.writeFile(text);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Runs `run` while no other process is in a `withFileLock` of the same path. A lock whose process is dead is broken.
 *
 * @throws LockTimeout when the lock is not free in time.
 */
export async function withFileLock<T>(
  path: string,
  options: { readonly timeoutMs: number },
  run: () => Promise<T>,
): Promise<T> {
  const deadline = performance.now() + options.timeoutMs;
  while (!(await tryTake(path, `${process.pid} ${hostname()}\n`))) {
    const held = await readFile(path, 'utf8').catch(() => undefined);
    if (held === undefined) continue; // let go of just now
    if (await isStale(path, held)) {
      await breakLock(path, held);
      continue;
    }
    if (performance.now() > deadline) {
      throw new LockTimeout(
        held === '' ? 'somebody' : `process ${held.trim().replace(' ', ' on ')}`,
      );
    }
    await delay(POLL_MS);
  }
  try {
    return await run();
  } finally {
    await rm(path, { force: true });
  }
}
