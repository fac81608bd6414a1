/** Deltas that were made on demand, in a folder: named after both releases' manifests, as many as fit. */
import { mkdir, readdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { ServedDelta } from '../core/served-delta.ts';
import { fileFacts } from './release-directory.ts';

const NAME = /^[0-9a-f]{64}-[0-9a-f]{64}\.kdelta$/;

interface Stored {
  readonly sizeBytes: number;
  /** Known once it was asked for. */
  facts: Promise<ServedDelta> | undefined;
}

/** The folder. Used by one process at a time. */
export class DeltaStore {
  readonly #dir: string;
  readonly #bytesMax: number;
  /** In the order of their last use. */
  readonly #stored = new Map<string, Stored>();
  #sizeBytes = 0;
  /** Deltas that gave way to others. */
  evictions = 0;

  private constructor(dir: string, bytesMax: number) {
    this.#dir = dir;
    this.#bytesMax = bytesMax;
  }

  /** Opens a folder, made when it is not there. What an interrupted generator left in it is removed. */
  static async open(dir: string, bytesMax: number): Promise<DeltaStore> {
    await mkdir(dir, { recursive: true });
    const store = new DeltaStore(dir, bytesMax);
    const found: { name: string; sizeBytes: number; usedMs: number }[] = [];
    for (const name of await readdir(dir)) {
      const facts = await stat(join(dir, name));
      if (!facts.isFile()) continue;
      if (NAME.test(name)) found.push({ name, sizeBytes: facts.size, usedMs: facts.mtimeMs });
      else if (/^[0-9a-f]{64}-[0-9a-f]{64}\.kdelta\./.test(name)) await rm(join(dir, name));
    }
    for (const { name, sizeBytes } of found.sort((a, b) => a.usedMs - b.usedMs)) {
      store.#add(name, { sizeBytes, facts: undefined });
    }
    await store.#makeRoom();
    return store;
  }

  /** Bytes of all deltas. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Name of the delta between two releases, given by the hashes of their manifests. */
  static nameOf(fromSha256: string, toSha256: string): string {
    return `${fromSha256}-${toSha256}.kdelta`;
  }

  /** Where a delta lies or is to be made. */
  pathOf(name: string): string {
    return join(this.#dir, name);
  }

  /** A delta that is there; undefined when it is not, or is gone. */
  async find(name: string): Promise<ServedDelta | undefined> {
    const stored = this.#stored.get(name);
    if (stored === undefined) return undefined;
    this.#stored.delete(name);
    this.#stored.set(name, stored);
    stored.facts ??= this.#read(name);
    try {
      const found = await stored.facts;
      const now = new Date();
      // Only the order of the next start depends on it.
      await utimes(found.path, now, now);
      return found;
    } catch {
      this.#forget(name, stored);
      return undefined;
    }
  }

  async #read(name: string): Promise<ServedDelta> {
    const path = this.pathOf(name);
    const facts = await fileFacts(path);
    if (facts === undefined) throw new Error(`${path} is gone`);
    return { path, sizeBytes: facts.size, sha256: facts.sha256, key: facts.sha256 };
  }

  /** Takes in a delta that lies at {@link pathOf}; others may give way. It is never the one that does. */
  async take(name: string): Promise<ServedDelta> {
    const facts = this.#read(name);
    const { sizeBytes } = await facts;
    this.#add(name, { sizeBytes, facts });
    await this.#makeRoom();
    return facts;
  }

  /** Removes a file at {@link pathOf} that is not to be taken. */
  async discard(name: string): Promise<void> {
    await rm(this.pathOf(name), { force: true });
  }

  #add(name: string, stored: Stored): void {
    const before = this.#stored.get(name);
    if (before !== undefined) this.#forget(name, before);
    this.#stored.set(name, stored);
    this.#sizeBytes += stored.sizeBytes;
  }

  #forget(name: string, stored: Stored): void {
    if (this.#stored.get(name) !== stored) return;
    this.#stored.delete(name);
    this.#sizeBytes -= stored.sizeBytes;
  }

  async #makeRoom(): Promise<void> {
    for (const [name, stored] of this.#stored) {
      if (this.#sizeBytes <= this.#bytesMax || this.#stored.size === 1) return;
      this.#forget(name, stored);
      this.evictions += 1;
      await rm(this.pathOf(name), { force: true });
    }
  }
}
