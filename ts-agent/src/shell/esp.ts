/**
 * The EFI system partition, written sector by sector (docs/decisions/0010-updates.md): a file's bytes, then the tables,
 * then its name, with a flush after each; a rename changes one sector; a removal takes the name first. Everything is
 * durable when a method returns. One at a time: nobody else may have the device open for writing.
 */
import { formatBytes } from '@keelos/proto/byte-text.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { BytesFailure, type FileBytes, inPieces } from '../core/esp-pieces.ts';
import {
  type FatRecord,
  newDirectory,
  recordNamed,
  withContents,
  withName,
  withoutRecord,
  withRecord,
} from '../core/fat-directory.ts';
import { clusterOffset, type FatShape } from '../core/fat-shape.ts';
import {
  allocated,
  freeCount,
  pickFree,
  withChain,
  withCounts,
  withFree,
  withLink,
} from '../core/fat-table.ts';
import { type FatFolder, FatVolume, PIECE_BYTES_MAX } from '../core/fat-volume.ts';
import { changedSectors, runsOf, type SectorWrite } from '../core/fat-writes.ts';
import type { BlockDevice } from '../sys/block-device.ts';

interface Found {
  readonly folder: FatFolder;
  readonly name: string;
  readonly record: FatRecord | undefined;
}

/** An open EFI system partition. Paths have "/" between names and none at the start; case does not matter. */
export class Esp {
  readonly #device: BlockDevice;
  #volume: FatVolume;
  /** A write has failed: what is on the disk is not known until it is read again. */
  #isStale = false;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(device: BlockDevice, volume: FatVolume) {
    this.#device = device;
    this.#volume = volume;
  }

  /** Reads boot sector and table. The device stays the caller's. @throws KeelError E_ESP_DAMAGED */
  static async open(device: BlockDevice): Promise<Esp> {
    try {
      return new Esp(device, await openVolume(device));
    } catch (cause) {
      throw espError('read', cause);
    }
  }

  /** Room for files, in bytes. */
  get freeBytes(): number {
    const { table, shape } = this.#volume;
    return freeCount(table, shape) * shape.clusterBytes;
  }

  /** Room that a file of that size takes. */
  roomFor(sizeBytes: number): number {
    return clustersFor(this.#volume.shape, sizeBytes) * this.#volume.shape.clusterBytes;
  }

  /** What is in a directory; undefined when there is none. @throws KeelError E_ESP_DAMAGED */
  list(directory: string): Promise<readonly FatRecord[] | undefined> {
    return this.#run('read', async () => (await this.#volume.folder(directory))?.records);
  }

  /** The first `maxBytes` bytes of a file, 1 MiB at most; undefined when there is none. @throws KeelError E_ESP_DAMAGED */
  read(path: string, maxBytes: number): Promise<Buffer | undefined> {
    return this.readRange(path, { offsetBytes: 0, lengthBytes: maxBytes });
  }

  /** A piece of a file, 1 MiB at most, shorter at its end; undefined when there is none. @throws KeelError E_ESP_DAMAGED */
  readRange(
    path: string,
    range: { readonly offsetBytes: number; readonly lengthBytes: number },
  ): Promise<Buffer | undefined> {
    return this.#run('read', async () => {
      const found = await this.#find(path);
      const file = found?.record;
      if (file === undefined || file.isDirectory) return undefined;
      return this.#volume.readFile(file, range);
    });
  }

  /**
   * Writes a new file, and the directories on its way. A cut before the end leaves no name, at most lost clusters.
   *
   * @throws KeelError E_ESP_FULL, E_ESP_DAMAGED
   * @throws RangeError when there are fewer or more bytes than `sizeBytes`; the error of `bytes` itself is passed on
   * @throws TypeError when the name is taken
   */
  write(path: string, bytes: FileBytes, sizeBytes: number): Promise<void> {
    return this.#change(async () => {
      await this.#makeFolders(path);
      const found = await this.#find(path);
      if (found === undefined) throw new RangeError(`Cannot write ${path}: no directory`);
      if (found.record !== undefined) throw new TypeError(`Cannot write ${path}: it is there`);
      const clusters = this.#pick(path, sizeBytes);
      await this.#writeData(clusters, { bytes, sizeBytes });
      await this.#replaceTable(withChain(this.#volume.table, clusters));
      const firstCluster = clusters[0] ?? 0;
      const { name, folder } = found;
      await this.#addRecord(folder, { name, isDirectory: false, firstCluster, sizeBytes });
    });
  }

  /**
   * Gives a file another name in its directory, by a change of one sector. Only when that sector has no room the new name
   * is written elsewhere and the old one then taken away: a cut leaves both.
   *
   * @throws KeelError E_ESP_FULL, E_ESP_DAMAGED
   * @throws TypeError when there is no such file, or the new name is taken
   */
  rename(path: string, newName: string): Promise<void> {
    return this.#change(async () => {
      const { folder, record } = await this.#existing(path);
      const taken = recordNamed(folder.records, newName);
      if (taken !== undefined && taken.lastEntry !== record.lastEntry) {
        throw new TypeError(`Cannot rename ${path}: ${newName} is there`);
      }
      const states = withName(folder.bytes, record, newName);
      if (states !== undefined) return this.#replaceFolder(folder, states);
      await this.#addRecord(folder, { ...record, name: newName });
      const after = await this.#existing(path);
      await this.#replaceFolder(after.folder, withoutRecord(after.folder.bytes, after.record));
    });
  }

  /**
   * Gives a file the contents of another one, whose name goes first, by a change of one sector: cut anywhere, it has the
   * old ones or the new ones whole, and at most clusters are lost.
   *
   * @throws KeelError E_ESP_DAMAGED
   * @throws TypeError when there is no such file
   */
  replace(path: string, from: string): Promise<void> {
    return this.#change(async () => {
      const other = await this.#existing(from);
      const before = await this.#existing(path);
      if (before.record.isDirectory || other.record.isDirectory) {
        throw new TypeError(`Cannot replace ${path}: only a file, by a file`);
      }
      await this.#replaceFolder(other.folder, withoutRecord(other.folder.bytes, other.record));
      const { folder, record } = await this.#existing(path);
      await this.#replaceFolder(folder, withContents(folder.bytes, record, other.record));
      await this.#freeLost();
    });
  }

  /** Removes a file: its name, then its clusters. One that is not there is fine. @throws KeelError E_ESP_DAMAGED */
  remove(path: string): Promise<void> {
    return this.#change(async () => {
      const found = await this.#find(path);
      const record = found?.record;
      if (found === undefined || record === undefined) return;
      if (record.isDirectory) throw new TypeError(`Cannot remove ${path}: it is a directory`);
      await this.#replaceFolder(found.folder, withoutRecord(found.folder.bytes, record));
      // What another name has too stays: firmware that was cut in a rename may leave two for one file.
      const used = await this.#volume.usedClusters();
      const gone = this.#volume.chain(record.firstCluster).filter((cluster) => !used.has(cluster));
      await this.#replaceTable(withFree(this.#volume.table, gone));
    });
  }

  /**
   * Frees what no name leads to, makes the tables equal and the counts right: what a cut leaves behind. Returns the bytes
   * that were freed.
   *
   * @throws KeelError E_ESP_DAMAGED; then nothing was freed
   */
  reclaim(): Promise<number> {
    return this.#change(async () => {
      await this.#equalTables();
      return this.#freeLost();
    });
  }

  async #freeLost(): Promise<number> {
    const { table, shape } = this.#volume;
    const used = await this.#volume.usedClusters();
    const lost = allocated(table, shape).filter((cluster) => !used.has(cluster));
    await this.#replaceTable(withFree(table, lost));
    return lost.length * shape.clusterBytes;
  }

  async #find(path: string): Promise<Found | undefined> {
    const names = path.split('/');
    const name = names.pop() ?? '';
    const folder = await this.#volume.folder(names.join('/'));
    return folder && { folder, name, record: recordNamed(folder.records, name) };
  }

  async #existing(path: string): Promise<{ folder: FatFolder; record: FatRecord }> {
    const found = await this.#find(path);
    if (found?.record === undefined) throw new TypeError(`Cannot change ${path}: not there`);
    return { folder: found.folder, record: found.record };
  }

  #pick(path: string, sizeBytes: number): number[] {
    const { table, shape } = this.#volume;
    const wanted = clustersFor(shape, sizeBytes);
    const clusters = wanted === 0 ? [] : pickFree(table, shape, wanted);
    if (clusters !== undefined) return clusters;
    const room = `${formatBytes(sizeBytes)} needed, ${formatBytes(this.freeBytes)} free`;
    throw new KeelError('E_ESP_FULL', `Cannot write ${path}: ${room}`);
  }

  async #writeData(
    clusters: readonly number[],
    of: { readonly bytes: FileBytes; readonly sizeBytes: number },
  ): Promise<void> {
    const { shape } = this.#volume;
    const reader = inPieces(of.bytes, of.sizeBytes);
    const placeOf = (cluster: number) => clusterOffset(shape, cluster);
    try {
      for (const run of runsOf(clusters, { clusterBytes: shape.clusterBytes, placeOf })) {
        for (let done = 0; done < run.lengthBytes; done += PIECE_BYTES_MAX) {
          const piece = await reader.next(Math.min(PIECE_BYTES_MAX, run.lengthBytes - done));
          await this.#device.writeAt(run.offsetBytes + done, piece);
        }
      }
      await reader.end();
    } finally {
      await reader.close();
    }
    await this.#device.flush();
  }

  /** Both tables and the counts: nothing leads to what changes here, so the order does not matter. */
  async #replaceTable(table: Buffer): Promise<void> {
    const { shape, table: before } = this.#volume;
    const writes: SectorWrite[] = [];
    for (let copy = 0; copy < shape.tableCount; copy += 1) {
      const start = shape.tableOffset + copy * shape.tableBytes;
      writes.push(...changedSectors(before, table, (at) => start + at));
    }
    if (shape.infoOffset !== 0) {
      const info = Buffer.from(await this.#device.readAt(shape.infoOffset, shape.sectorBytes));
      const counted = withCounts(info, table, shape);
      writes.push(...changedSectors(info, counted, (at) => shape.infoOffset + at));
    }
    await this.#writeAndFlush(writes);
    this.#volume = this.#volume.withTable(table);
  }

  async #equalTables(): Promise<void> {
    const { shape, table } = this.#volume;
    for (let copy = 1; copy < shape.tableCount; copy += 1) {
      const start = shape.tableOffset + copy * shape.tableBytes;
      const other = Buffer.from(await this.#device.readAt(start, shape.tableBytes));
      await this.#writeAndFlush(changedSectors(other, table, (at) => start + at));
    }
  }

  /** Contents of a directory, one after the other. */
  async #replaceFolder(folder: FatFolder, states: readonly Buffer[]): Promise<void> {
    const { shape } = this.#volume;
    const placeOf = (at: number) =>
      clusterOffset(shape, folder.clusters[Math.floor(at / shape.clusterBytes)] ?? 0) +
      (at % shape.clusterBytes);
    let before = folder.bytes;
    for (const after of states) {
      await this.#writeAndFlush(changedSectors(before, after, placeOf));
      before = after;
    }
  }

  async #addRecord(folder: FatFolder, record: Parameters<typeof withRecord>[1]): Promise<void> {
    const states = withRecord(folder.bytes, record);
    if (states !== undefined) return this.#replaceFolder(folder, states);
    const grown = await this.#grown(folder);
    const inGrown = withRecord(grown.bytes, record);
    if (inGrown === undefined) throw new RangeError(`no room for ${record.name}`);
    await this.#replaceFolder(grown, inGrown);
  }

  /** A directory with one cluster more, empty and durable before anything leads to it. */
  async #grown(folder: FatFolder): Promise<FatFolder> {
    const { shape } = this.#volume;
    const [cluster = 0] = this.#pick('a directory', shape.clusterBytes);
    const empty = Buffer.alloc(shape.clusterBytes);
    await this.#writeAndFlush([{ offsetBytes: clusterOffset(shape, cluster), bytes: empty }]);
    await this.#replaceTable(withChain(this.#volume.table, [cluster]));
    await this.#replaceTable(withLink(this.#volume.table, folder.clusters.at(-1) ?? 0, cluster));
    return {
      clusters: [...folder.clusters, cluster],
      bytes: Buffer.concat([folder.bytes, empty]),
      records: folder.records,
    };
  }

  async #makeFolders(path: string): Promise<void> {
    const names = path.split('/').slice(0, -1);
    for (let depth = 1; depth <= names.length; depth += 1) {
      const own = names.slice(0, depth).join('/');
      const found = await this.#find(own);
      if (found === undefined) throw new RangeError(`Cannot make ${own}: no directory above it`);
      if (found.record?.isDirectory === true) continue;
      if (found.record !== undefined) throw new TypeError(`Cannot make ${own}: it is a file`);
      const { shape } = this.#volume;
      const [cluster = 0] = this.#pick(own, shape.clusterBytes);
      const parent = depth === 1 ? 0 : (found.folder.clusters[0] ?? 0);
      const bytes = newDirectory(shape.clusterBytes, { own: cluster, parent });
      await this.#writeAndFlush([{ offsetBytes: clusterOffset(shape, cluster), bytes }]);
      await this.#replaceTable(withChain(this.#volume.table, [cluster]));
      const record = { name: found.name, isDirectory: true, firstCluster: cluster, sizeBytes: 0 };
      await this.#addRecord(found.folder, record);
    }
  }

  async #writeAndFlush(writes: readonly SectorWrite[]): Promise<void> {
    if (writes.length === 0) return;
    for (const { offsetBytes, bytes } of writes) await this.#device.writeAt(offsetBytes, bytes);
    await this.#device.flush();
  }

  #change<T>(change: () => Promise<T>): Promise<T> {
    return this.#run('write', async () => {
      this.#isStale = true;
      const result = await change();
      this.#isStale = false;
      return result;
    });
  }

  /** One after the other; every error of the disk or of what lies on it becomes one of the table. */
  #run<T>(verb: 'read' | 'write', act: () => Promise<T>): Promise<T> {
    const run = this.#last.then(async () => {
      try {
        if (this.#isStale) {
          this.#volume = await openVolume(this.#device);
          this.#isStale = false;
        }
        return await act();
      } catch (cause) {
        throw espError(verb, cause);
      }
    });
    // Who made this call hears of its error; the next call does not.
    this.#last = run.catch(() => undefined);
    return run;
  }
}

function openVolume(device: BlockDevice): Promise<FatVolume> {
  return FatVolume.open((offsetBytes, lengthBytes) => device.readAt(offsetBytes, lengthBytes));
}

function clustersFor(shape: FatShape, sizeBytes: number): number {
  return Math.ceil(sizeBytes / shape.clusterBytes);
}

/** Errors of the disk, and of what lies on it, are one error of the table; those of the caller stay what they are. */
function espError(verb: 'read' | 'write', cause: unknown): unknown {
  if (cause instanceof BytesFailure) return cause.cause;
  if (cause instanceof KeelError || cause instanceof TypeError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new KeelError('E_ESP_DAMAGED', `Cannot ${verb} EFI system partition: ${reason}`, {
    cause,
  });
}
