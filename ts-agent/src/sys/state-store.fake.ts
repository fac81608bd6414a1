/** A state partition in memory. */
import { dirname } from 'node:path';
import { DAMAGED_SUFFIX, PROBE_TEXT, type StateStore, stateError } from './state-store.ts';

/** Files in memory that a test can make fail. */
export class MemoryStateStore implements StateStore {
  readonly files = new Map<string, Uint8Array>();
  /** Code of the error of every write, for example "ENOSPC"; undefined: writes work. */
  writeFailure: string | undefined;
  /** Code of the error of every read, for example "EIO"; undefined: reads work. */
  readFailure: string | undefined;

  read(path: string): Uint8Array | undefined {
    if (this.readFailure !== undefined) {
      throw stateError('read', path, Object.assign(new Error(), { code: this.readFailure }));
    }
    return this.files.get(path);
  }

  replace(path: string, bytes: Uint8Array): void {
    if (this.writeFailure !== undefined) {
      throw stateError('write', path, Object.assign(new Error(), { code: this.writeFailure }));
    }
    this.files.set(path, Uint8Array.from(bytes));
  }

  async probe(path: string): Promise<void> {
    this.replace(path, Buffer.from(PROBE_TEXT));
  }

  list(directory: string): readonly string[] {
    return [...this.files.keys()]
      .filter((path) => dirname(path) === directory)
      .map((path) => path.slice(directory.length + 1));
  }

  remove(path: string): void {
    this.files.delete(path);
  }

  setAside(path: string): void {
    const bytes = this.files.get(path);
    if (bytes === undefined) return;
    this.replace(path + DAMAGED_SUFFIX, bytes);
    this.files.delete(path);
  }
}
