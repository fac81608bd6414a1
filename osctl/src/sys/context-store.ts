/** The contexts file on disk: mode 0600, replaced by fsync and rename. */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, realpath, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { KeelError } from '@keelos/proto/errors.ts';
import {
  CONTEXTS_BYTES_MAX,
  type ContextsFile,
  NO_CONTEXTS,
  parseContexts,
  serialiseContexts,
} from '../core/contexts.ts';
import { LockTimeout, withFileLock } from './file-lock.ts';

const FILE_NAME = 'osctl.yaml';
const MODE = 0o600;
const OTHERS = 0o077;
const LOCK_TIMEOUT_MS = 5_000;

/** Reads and replaces the contexts file. */
export interface ContextStore {
  readonly path: string;
  /**
   * The contexts; none when there is no file.
   *
   * @throws KeelError E_CONTEXT_FILE when others can read it, or it is damaged.
   */
  load(): Promise<ContextsFile>;
  /** Replaces the file, whatever is in it; after a crash it is the old one or the new one. */
  save(file: ContextsFile): Promise<void>;
  /**
   * Reads the file, edits it and replaces it, while no other osctl does so. What `edit` throws leaves it as it is.
   *
   * @throws KeelError E_CONTEXT_FILE as `load` and `save` do, or when another osctl has the file for five seconds.
   */
  update(edit: (file: ContextsFile) => ContextsFile): Promise<void>;
}

/** Path of the contexts file: `option`, else $OSCTL_CONFIG, else the XDG place. */
export function contextsPath(option: string | undefined, env: NodeJS.ProcessEnv): string {
  if (option !== undefined) return resolve(option);
  if (env.OSCTL_CONFIG) return resolve(env.OSCTL_CONFIG);
  const base = env.XDG_CONFIG_HOME || join(env.HOME || homedir(), '.config');
  return resolve(base, 'keelos', FILE_NAME);
}

function unusable(verb: string, path: string, cause: unknown): KeelError {
  const reason = (cause as NodeJS.ErrnoException).code ?? String((cause as Error).message);
  return new KeelError('E_CONTEXT_FILE', `Cannot ${verb} contexts file ${path}: ${reason}`, {
    cause,
    details: { path },
    hint: 'Check the permissions of the file and its folder, and the room on that disk.',
  });
}

async function load(path: string): Promise<ContextsFile> {
  let text: string;
  try {
    await using file = await open(path, 'r');
    const facts = await file.stat();
    if (facts.isDirectory()) {
      throw new KeelError(
        'E_CONTEXT_FILE',
        `Cannot read contexts file ${path}: it is a directory`,
        {
          details: { path },
          hint: `Name a file in it, for example ${join(path, FILE_NAME)}`,
        },
      );
    }
    const { mode, size } = facts;
    if ((mode & OTHERS) !== 0) {
      const octal = (mode & 0o777).toString(8).padStart(4, '0');
      throw new KeelError(
        'E_CONTEXT_FILE',
        `Cannot use contexts file ${path}: others can get at the private keys in it (mode ${octal}, expected 0600)`,
        { details: { path, mode: octal }, hint: `Run chmod 600 ${path}` },
      );
    }
    if (size > CONTEXTS_BYTES_MAX) {
      throw new KeelError(
        'E_CONTEXT_FILE',
        `Cannot use contexts file ${path}: it is larger than ${CONTEXTS_BYTES_MAX} bytes`,
      );
    }
    text = await file.readFile('utf8');
  } catch (error) {
    if (error instanceof KeelError) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return NO_CONTEXTS;
    throw unusable('read', path, error);
  }
  return parseContexts(text, path);
}

/** The file that a symbolic link points to, so that a rename replaces the file and keeps the link. */
async function target(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    // There is no file yet (or the link leads nowhere): it is made where it was named.
    return path;
  }
}

async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r');
  await handle.sync();
}

async function save(path: string, contexts: ContextsFile): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const final = await target(path);
    const temporary = `${final}.${randomBytes(6).toString('hex')}.tmp`;
    try {
      {
        const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
        await using file = await open(temporary, flags, MODE);
        await file.writeFile(serialiseContexts(contexts));
        await file.sync();
      }
      await rename(temporary, final);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    await syncFolder(dirname(final));
  } catch (error) {
    throw unusable('write', path, error);
  }
}

async function update(path: string, edit: (file: ContextsFile) => ContextsFile): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 }).catch((error) => {
    throw unusable('write', path, error);
  });
  const lock = `${await target(path)}.lock`;
  try {
    const timeoutMs = LOCK_TIMEOUT_MS;
    await withFileLock(lock, { timeoutMs }, async () => save(path, edit(await load(path))));
  } catch (error) {
    if (error instanceof KeelError) throw error;
    if (!(error instanceof LockTimeout)) throw unusable('write', path, error);
    throw new KeelError(
      'E_CONTEXT_FILE',
      `Cannot write contexts file ${path}: another osctl has had it for ${LOCK_TIMEOUT_MS / 1000} s (${error.holder})`,
      { cause: error, details: { path, lock }, hint: `If no osctl runs, remove ${lock}` },
    );
  }
}

/** The store at `path`. */
export function contextStore(path: string): ContextStore {
  return {
    path,
    load: () => load(path),
    save: (file) => save(path, file),
    update: (edit) => update(path, edit),
  };
}
