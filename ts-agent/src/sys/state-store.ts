/** Small files on the state partition, replaced whole: written beside, synced, renamed, directory synced. */
import {
  closeSync,
  constants,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { KeelError } from '@keelos/proto/errors.ts';

/** Largest file that is read. */
export const STATE_FILE_BYTES_MAX = 2 * 1_048_576;
const TEMPORARY_SUFFIX = '.new';
/** Suffix of a file that {@link StateStore.setAside} renamed. */
export const DAMAGED_SUFFIX = '.damaged';
/** What {@link StateStore.probe} writes. */
export const PROBE_TEXT = 'written by a health check\n';

/** The port. Records are read and written synchronously: they are small, and two writers never interleave. */
export interface StateStore {
  /** Bytes of a file; undefined when it is not there. @throws KeelError E_STATE_UNAVAILABLE, E_RECORD_DAMAGED */
  read(path: string): Uint8Array | undefined;
  /** Replaces a file; after a crash either the old or the new one is there. @throws KeelError E_STATE_FULL, E_STATE_UNAVAILABLE */
  replace(path: string, bytes: Uint8Array): void;
  /**
   * Writes a small file and waits until the disk has it; a disk that hangs does not hang the thread.
   *
   * @throws KeelError E_STATE_FULL, E_STATE_UNAVAILABLE
   */
  probe(path: string): Promise<void>;
  /** Names in a directory, temporary files left out. */
  list(directory: string): readonly string[];
  /** Removes a file; one that is not there is fine. @throws KeelError E_STATE_UNAVAILABLE */
  remove(path: string): void;
  /**
   * Renames a damaged file to `<path>.damaged`, so that what is left of it can be looked at; one that is not there is
   * fine. @throws KeelError E_STATE_FULL, E_STATE_UNAVAILABLE
   */
  setAside(path: string): void;
}

const FULL_CODES: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT']);

function codeOf(cause: unknown): unknown {
  return cause instanceof Error && 'code' in cause ? cause.code : undefined;
}

/** The error of the table for one of the file system: E_STATE_FULL or E_STATE_UNAVAILABLE. */
export function stateError(verb: string, path: string, cause: unknown): KeelError {
  const isFull = FULL_CODES.has(codeOf(cause));
  const reason = isFull ? 'no space left' : String(codeOf(cause) ?? cause);
  return new KeelError(
    isFull ? 'E_STATE_FULL' : 'E_STATE_UNAVAILABLE',
    `Cannot ${verb} ${path}: ${reason}`,
    { cause },
  );
}

/** The calls that a store makes, as node:fs has them: a crash test gives a file system that can be cut. */
export interface FileCalls {
  sizeOf(path: string): number;
  read(path: string): Uint8Array;
  list(directory: string): readonly string[];
  makeDirectory(path: string): void;
  /** For writing, empty; a symbolic link is not followed. */
  create(path: string): number;
  write(file: number, bytes: Uint8Array): number;
  sync(file: number): void;
  close(file: number): void;
  openDirectory(path: string): number;
  rename(from: string, to: string): void;
  /** One that is not there is fine. */
  remove(path: string): void;
}

const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW, O_RDONLY, O_DIRECTORY } = constants;

/** The calls of this machine. Files have mode 0600, directories 0700. */
const nodeCalls: FileCalls = {
  sizeOf: (path) => statSync(path).size,
  read: (path) => readFileSync(path),
  list: (directory) => readdirSync(directory),
  makeDirectory: (path) => mkdirSync(path, { recursive: true, mode: 0o700 }),
  create: (path) => openSync(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600),
  write: (file, bytes) => writeSync(file, bytes),
  sync: fsyncSync,
  close: closeSync,
  openDirectory: (path) => openSync(path, O_RDONLY | O_DIRECTORY),
  rename: renameSync,
  remove: (path) => rmSync(path, { force: true }),
};

/** A store over a file system. */
export function createStateStore(calls: FileCalls): Omit<StateStore, 'probe'> {
  return {
    read(path) {
      try {
        if (calls.sizeOf(path) > STATE_FILE_BYTES_MAX) {
          throw new KeelError('E_RECORD_DAMAGED', `Cannot read ${path}: larger than any record`);
        }
        return calls.read(path);
      } catch (cause) {
        if (codeOf(cause) === 'ENOENT') return undefined;
        throw cause instanceof KeelError ? cause : stateError('read', path, cause);
      }
    },
    replace(path, bytes) {
      const temporary = path + TEMPORARY_SUFFIX;
      try {
        calls.makeDirectory(dirname(path));
        writeSynced(calls, temporary, bytes);
        calls.rename(temporary, path);
        syncDirectory(calls, dirname(path));
      } catch (cause) {
        removeQuietly(calls, temporary);
        throw stateError('write', path, cause);
      }
    },
    list(directory) {
      try {
        return calls.list(directory).filter((name) => !name.endsWith(TEMPORARY_SUFFIX));
      } catch {
        // Not there, or not readable: either way there is nothing to show.
        return [];
      }
    },
    remove(path) {
      try {
        calls.remove(path);
        syncDirectory(calls, dirname(path));
      } catch (cause) {
        // Without the directory there is nothing to remove.
        if (codeOf(cause) !== 'ENOENT') throw stateError('remove', path, cause);
      }
    },
    setAside(path) {
      try {
        calls.rename(path, path + DAMAGED_SUFFIX);
        syncDirectory(calls, dirname(path));
      } catch (cause) {
        if (codeOf(cause) !== 'ENOENT') throw stateError('rename', path, cause);
      }
    },
  };
}

/** The state partition. */
export const diskStateStore: StateStore = {
  ...createStateStore(nodeCalls),
  async probe(path) {
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await writeFile(path, PROBE_TEXT, { mode: 0o600, flush: true });
    } catch (cause) {
      throw stateError('write', path, cause);
    }
  },
};

function writeSynced(calls: FileCalls, path: string, bytes: Uint8Array): void {
  const file = calls.create(path);
  try {
    let written = 0;
    while (written < bytes.length) written += calls.write(file, bytes.subarray(written));
    calls.sync(file);
  } finally {
    calls.close(file);
  }
}

function syncDirectory(calls: FileCalls, directory: string): void {
  const handle = calls.openDirectory(directory);
  try {
    calls.sync(handle);
  } finally {
    calls.close(handle);
  }
}

function removeQuietly(calls: FileCalls, path: string): void {
  try {
    calls.remove(path);
  } catch {
    // The first error is the one to report; the next replacement truncates what is left.
  }
}
