// Build products, kept by the hash of everything that went into them. A product's directory appears by one rename
// after its bytes are on the disk: it is complete or it is not there, whenever the build is interrupted.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import {
  chmod,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  utimes,
} from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { leasedKeys, leaseProductOf, takeLease } from './lease.mjs';

const REPOSITORY = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const HASH_CHARACTERS = 16;
const PRODUCTS_KEPT = 3;
const LOCK_WAIT_SECONDS = 2 * 3600;
const TEMPORARY_PREFIX = '.building-';

/** The folder for everything that is downloaded or built: `$KEEL_CACHE`, else the XDG place. @returns {string} */
export function cacheRoot() {
  if (process.env.KEEL_CACHE) return resolve(process.env.KEEL_CACHE);
  if (process.env.XDG_CACHE_HOME) return join(resolve(process.env.XDG_CACHE_HOME), 'keelos');
  return join(homedir(), '.cache', 'keelos');
}

/**
 * JSON with the keys of every object sorted, so that equal values give equal text.
 * @param {unknown} value
 * @returns {string}
 */
function canonicalJson(value) {
  return JSON.stringify(value, (_key, inner) => {
    if (inner === null || typeof inner !== 'object' || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

/**
 * The SHA-256 of a set of inputs, in hex. A file counts with its content and its path inside the repository (its
 * name alone when it is outside), so the hash is the same in every checkout; the order of `files` does not matter.
 *
 * @param {{ files?: readonly string[], values?: Record<string, unknown> }} inputs
 * @returns {Promise<string>}
 */
export async function hashInputs({ files = [], values = {} }) {
  const entries = [];
  for (const file of files) {
    const inside = relative(REPOSITORY, resolve(file));
    const name = inside.startsWith('..') || isAbsolute(inside) ? basename(file) : inside;
    const content = createHash('sha256').update(await readFile(file));
    entries.push(`${name}\0${content.digest('hex')}\n`);
  }
  entries.sort();
  const hash = createHash('sha256');
  for (const entry of entries) hash.update(entry);
  return hash.update(canonicalJson(values)).digest('hex');
}

/**
 * Takes the lock file with flock(1) and holds it for as long as this process keeps the returned pipe open. The kernel
 * drops it when we die, however we die: there is no stale lock to break.
 * @param {string} file
 * @param {number} waitSeconds 0 fails at once when somebody else has it
 * @returns {Promise<{ release: () => Promise<void> } | undefined>}
 */
async function takeLock(file, waitSeconds) {
  const wait = waitSeconds === 0 ? ['--nonblock'] : ['--wait', String(waitSeconds)];
  const child = spawn(
    'flock',
    ['--exclusive', '--no-fork', ...wait, file, 'sh', '-c', 'echo held; read _'],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
      // A terminal's Ctrl-C goes to every process of the group: the lock must outlive the clean-up that follows it.
      detached: true,
    },
  );
  const closed = new Promise((done) => child.once('close', done));
  child.stdin.on('error', () => {});
  const held = await new Promise((done, fail) => {
    child.stdout.once('data', () => done(true));
    child.once('close', () => done(false));
    child.once('error', (cause) => {
      fail(new Error('Cannot take a lock: flock (package util-linux) does not start', { cause }));
    });
  });
  if (!held) return undefined;
  return {
    release: async () => {
      child.stdin.end();
      await closed;
    },
  };
}

/**
 * Takes a lock if nobody has it. It ends with `release`, or with this process.
 * @param {string} path a file or a directory that is there
 * @returns {Promise<{ release: () => Promise<void> } | undefined>} undefined: another process has it
 */
export function tryLock(path) {
  return takeLock(path, 0);
}

/**
 * Runs `run` while no other process is in a `withLock` of the same file. Says so on stderr when it has to wait.
 *
 * @template T
 * @param {string} file made when absent, never removed
 * @param {() => Promise<T>} run
 * @returns {Promise<T>}
 * @throws {Error} when the lock is not free within two hours
 */
export async function withLock(file, run) {
  await mkdir(dirname(file), { recursive: true });
  let lock = await tryLock(file);
  if (lock === undefined) {
    process.stderr.write(`  waiting for another process that works on ${dirname(file)}\n`);
    lock = await takeLock(file, LOCK_WAIT_SECONDS);
  }
  if (lock === undefined) throw new Error(`Cannot take the lock ${file}: held for two hours`);
  try {
    return await run();
  } finally {
    await lock.release();
  }
}

/**
 * Keeps the product that a file is in, if any, for as long as this process runs.
 * @param {string} file
 */
export async function useProductOf(file) {
  await leaseProductOf(file, cacheRoot());
}

/** @param {string} path a file or a directory */
async function syncPath(path) {
  const handle = await open(path, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** @param {string} directory synced with everything in it; links are left alone */
async function syncTree(directory) {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else if (entry.isFile()) await syncPath(path);
  }
  await syncPath(directory);
}

/** @param {string} path */
async function isDirectory(path) {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false; // absent, or not ours to read: build it
  }
}

/**
 * Removes what interrupted builds left, and all but the last used products and those that somebody uses now.
 * @param {string} folder
 * @param {string} kept the product that must stay
 */
async function tidy(folder, kept) {
  const products = [];
  const leased = await leasedKeys(folder);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.name.startsWith(TEMPORARY_PREFIX))
      await rm(path, { recursive: true, force: true, maxRetries: 5 });
    else if (entry.isDirectory() && !entry.name.startsWith('.') && entry.name !== kept) {
      products.push({ path, usedMs: (await stat(path)).mtimeMs });
    }
  }
  products.sort((a, b) => b.usedMs - a.usedMs);
  for (const product of products.slice(PRODUCTS_KEPT - 1)) {
    if (leased.has(basename(product.path))) continue;
    await rm(product.path, { recursive: true, force: true, maxRetries: 5 });
  }
}

/**
 * Returns the directory of a product, and builds it first when these inputs have not been built before. Two processes
 * that want the same one build it once. `build` writes into the directory it is given; when it throws, nothing is kept.
 * The product stays at least for as long as this process runs.
 *
 * @param {{ name: string, inputs: { files?: readonly string[], values?: Record<string, unknown> } | string,
 *           build: (dir: string) => Promise<void> }} options
 *   `inputs`: what `hashInputs` takes, or its result; `name` may contain slashes
 * @returns {Promise<{ dir: string, built: boolean }>}
 */
export async function product({ name, inputs, build }) {
  const hash = typeof inputs === 'string' ? inputs : await hashInputs(inputs);
  const key = hash.slice(0, HASH_CHARACTERS);
  const folder = join(cacheRoot(), name);
  const dir = join(folder, key);
  await takeLease(folder, key); // first, so that no other build removes what we are about to find
  const markUsed = () => utimes(dir, new Date(), new Date());
  if (await isDirectory(dir)) {
    await markUsed();
    return { dir, built: false };
  }
  return withLock(join(folder, '.lock'), async () => {
    if (await isDirectory(dir)) {
      await markUsed();
      return { dir, built: false };
    }
    await tidy(folder, key);
    // A name of its own: what a killed builder left running may still write into the old one.
    const temporary = await mkdtemp(join(folder, `${TEMPORARY_PREFIX}${key}-`));
    await chmod(temporary, 0o755);
    try {
      await build(temporary);
      await syncTree(temporary);
      await rename(temporary, dir);
      await syncPath(folder);
    } catch (error) {
      await rm(temporary, { recursive: true, force: true, maxRetries: 5 });
      throw error;
    }
    await tidy(folder, key);
    return { dir, built: true };
  });
}
