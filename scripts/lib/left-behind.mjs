// What a run leaves behind when it is killed: programs that were meant to outlive their starter, and their files. They
// are known by the run's own folder, which is in the environment of everything that the run starts.

import { spawn } from 'node:child_process';
import { readdir, readFile, rm } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(import.meta.url);
const END_TIMEOUT_MS = 10_000;
const POLL_MS = 50;
const CLOSED = 'closed';

/**
 * The programs that run with `folder`, or a path in it, as a value in their environment.
 * @param {string} folder
 */
async function programsOf(folder) {
  const found = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    // Not there any more, or somebody else's.
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    if (environment.includes(`=${folder}\0`) || environment.includes(`=${folder}/`)) {
      found.push(Number(pid));
    }
  }
  return found;
}

/**
 * Kills all programs of a folder, and those that they start meanwhile, until none is left.
 * @param {string} folder absolute path
 * @returns {Promise<number>} how many there were
 * @throws {Error} when there are some after ten seconds
 */
export async function endPrograms(folder) {
  /** @type {Set<number>} */
  const ended = new Set();
  const deadline = performance.now() + END_TIMEOUT_MS;
  for (;;) {
    const programs = await programsOf(folder);
    if (programs.length === 0) return ended.size;
    if (performance.now() > deadline) {
      throw new Error(`Cannot end processes ${programs.join(', ')} of ${folder}`);
    }
    for (const pid of programs) {
      ended.add(pid);
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // ended by itself since we saw it
      }
    }
    await delay(POLL_MS);
  }
}

/**
 * Watches over a folder from a process of its own: when this one ends without having closed the guard, even by SIGKILL,
 * all programs of the folder are killed and the folder is removed.
 * @param {string} folder absolute path
 * @returns {{ process: import('node:child_process').ChildProcess, close: () => void }}
 */
export function guardFolder(folder) {
  const guard = spawn(process.execPath, [PROGRAM, folder], {
    cwd: '/',
    env: {}, // it is no program of a folder itself
    detached: true, // no Ctrl-C for it
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  guard.on('error', () => {}); // without a guard the run goes on
  guard.stdin.on('error', () => {});
  guard.unref();
  if ('unref' in guard.stdin && typeof guard.stdin.unref === 'function') guard.stdin.unref();
  return { process: guard, close: () => void guard.stdin.end(CLOSED) };
}

if (process.argv[1] === PROGRAM) {
  const [folder = ''] = process.argv.slice(2);
  // Nobody but our starter has the other end of this pipe: it ends with our starter.
  if ((await text(process.stdin)) !== CLOSED) {
    await endPrograms(folder);
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
