/**
 * The state partition as far as a power cut shows it: a file system like ext4 with its default options.
 *
 * * Names change in a journal: they reach the medium in order, and a cut leaves a beginning of what was not synced.
 * * Data of a file reach the medium when they are synced. Without that a name may be there before the data: the file is
 *   then empty, or has a beginning of them (delayed allocation).
 * * Syncing a file or a folder makes every change of a name before it durable, and the data of that file.
 */

import { SECTOR_BYTES } from './sectors.ts';
import type { Draw, Survival } from './survival.ts';

/** One change of the state partition. Files are known by numbers that are never used again. */
export type FileEvent =
  /** A name for a new, empty file. One that had it is gone. */
  | { readonly kind: 'create'; readonly path: string; readonly file: number }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string }
  | { readonly kind: 'unlink'; readonly path: string }
  /** The whole contents of a file from now on. */
  | { readonly kind: 'data'; readonly file: number; readonly bytes: Uint8Array }
  /** Without `file`: of a folder. */
  | { readonly kind: 'sync'; readonly file?: number };

type NameEvent = Extract<FileEvent, { kind: 'create' | 'rename' | 'unlink' }>;

const EMPTY: Uint8Array = new Uint8Array(0);

/** Names and contents, not to be changed by two owners: `copy` first. */
export class FileNames {
  readonly #names: Map<string, number>;
  readonly #data: Map<number, Uint8Array>;

  constructor(
    names: ReadonlyMap<string, number> = new Map(),
    data: ReadonlyMap<number, Uint8Array> = new Map(),
  ) {
    this.#names = new Map(names);
    this.#data = new Map(data);
  }

  copy(): FileNames {
    return new FileNames(this.#names, this.#data);
  }

  /** A number that no file has. */
  nextFile(): number {
    return Math.max(0, ...this.#names.values(), ...this.#data.keys()) + 1;
  }

  /** Number of a file; undefined when nothing has that name. */
  fileOf(path: string): number | undefined {
    return this.#names.get(path);
  }

  /** Contents of a file; undefined when nothing has that name. */
  read(path: string): Uint8Array | undefined {
    const file = this.#names.get(path);
    return file === undefined ? undefined : this.contents(file);
  }

  /** Contents of a file by its number. */
  contents(file: number): Uint8Array {
    return this.#data.get(file) ?? EMPTY;
  }

  /** Names in a folder, without the folder. */
  list(folder: string): string[] {
    const start = `${folder}/`;
    return [...this.#names.keys()]
      .filter((path) => path.startsWith(start) && !path.slice(start.length).includes('/'))
      .map((path) => path.slice(start.length));
  }

  /** Every path. */
  paths(): readonly string[] {
    return [...this.#names.keys()];
  }

  /** Does it at once and for good. */
  apply(event: FileEvent): void {
    switch (event.kind) {
      case 'create':
        this.#names.set(event.path, event.file);
        break;
      case 'rename': {
        const file = this.#names.get(event.from);
        if (file === undefined) break;
        this.#names.delete(event.from);
        this.#names.set(event.to, file);
        break;
      }
      case 'unlink':
        this.#names.delete(event.path);
        break;
      case 'data':
        this.#data.set(event.file, event.bytes);
        break;
      case 'sync':
        break;
    }
  }
}

/** Changes that are not durable yet, on top of those that are. */
export interface PendingFiles {
  /** The next event, with its place among all events. True when it made something durable. */
  add(event: FileEvent, index: number): boolean;
  afterCut(survival: Survival, draw: Draw): { readonly files: FileNames; readonly key: string };
}

/** Nothing pending on what a medium holds. */
export function pendingFiles(base: FileNames): PendingFiles {
  const durable = base.copy();
  let names: { event: NameEvent; index: number }[] = [];
  const data = new Map<number, { bytes: Uint8Array; index: number }>();
  return {
    add(event, index) {
      if (event.kind === 'data') {
        data.set(event.file, { bytes: event.bytes, index });
        return false;
      }
      if (event.kind !== 'sync') {
        names.push({ event, index });
        return false;
      }
      const own = event.file === undefined ? undefined : data.get(event.file);
      const changes = names.length + (own === undefined ? 0 : 1);
      for (const each of names) durable.apply(each.event);
      names = [];
      if (event.file !== undefined && own !== undefined) {
        durable.apply({ kind: 'data', file: event.file, bytes: own.bytes });
        data.delete(event.file);
      }
      return changes > 0;
    },
    afterCut(survival, draw) {
      const files = durable.copy();
      const kept: string[] = [];
      for (const { event, index } of names.slice(0, namesLeft(names.length, survival, draw))) {
        files.apply(event);
        kept.push(String(index));
      }
      for (const [file, { bytes, index }] of data) {
        const length = bytesLeft(bytes.length, survival, draw);
        if (length > 0) {
          files.apply({ kind: 'data', file, bytes: bytes.subarray(0, length) });
          kept.push(`${index}:${length}`);
        }
      }
      return { files, key: kept.join(' ') };
    },
  };
}

function namesLeft(count: number, survival: Survival, draw: Draw): number {
  if (survival === 'none') return 0;
  // The journal has been written, the data have not: what a missing sync of a file looks like.
  if (survival === 'all' || survival === 'newest') return count;
  return draw(count + 1);
}

function bytesLeft(count: number, survival: Survival, draw: Draw): number {
  if (survival === 'none' || survival === 'newest') return 0;
  if (survival === 'all') return count;
  const sectors = draw(Math.ceil(count / SECTOR_BYTES) + 1);
  return Math.min(count, sectors * SECTOR_BYTES);
}
