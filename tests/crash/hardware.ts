/**
 * A machine that is on: devices with page caches over a medium, the state partition, the firmware's variables. Everything
 * that is done to them is noted, so that the power can be cut at any of it afterwards (medium.ts).
 *
 * Each device file has a page cache of its own, as in Linux: what was written through /dev/vda and not flushed is not seen
 * through /dev/vda1, and a page that was read once is not read again until the cache is dropped.
 */
import type { BlockDevice, OpenBlockDevice } from '@keelos/ts-agent/sys/block-device.ts';
import type { FirmwareVariables } from '@keelos/ts-agent/sys/firmware-variables.ts';
import type { FileEvent, FileNames } from './file-names.ts';
import type { Medium, StorageEvent, StoredVariable } from './medium.ts';
import { PAGE_BYTES, SECTOR_BYTES, type Sectors } from './sectors.ts';

/** A part of the disk that has a device file. */
export interface DeviceExtent {
  /** From the start of the disk. */
  readonly offsetBytes: number;
  readonly sizeBytes: number;
}

/** What is on a medium, other than it was meant: a drive that does not do what it says. */
export interface Faults {
  /** True for a write whose first byte reaches the medium with one bit changed. */
  readonly isCorrupted?: (write: {
    readonly device: string;
    readonly offsetBytes: number;
    readonly lengthBytes: number;
  }) => boolean;
}

/** EFI_VARIABLE_NON_VOLATILE: a variable without it is gone when the machine starts anew. */
export const NON_VOLATILE = 1;

interface Page {
  /** As programs see it. */
  readonly bytes: Uint8Array;
  isDirty: boolean;
}

/** A machine that is on. */
export class Hardware {
  /** Everything so far, in order. */
  readonly events: StorageEvent[] = [];
  /** What the medium was when the machine was switched on. */
  readonly base: Medium;
  readonly #extents: ReadonlyMap<string, DeviceExtent>;
  readonly #faults: Faults;
  /** What has been flushed, by whomever. */
  readonly #disk: Sectors;
  /** With everything that has not been synced. */
  readonly #files: FileNames;
  readonly #variables: Map<string, StoredVariable>;
  readonly #caches = new Map<string, Map<number, Page>>();
  readonly #unflushed: Extract<StorageEvent, { kind: 'write' }>[] = [];

  /** @param extents by the paths of their device files, for example "/dev/vda3" */
  constructor(base: Medium, extents: ReadonlyMap<string, DeviceExtent>, faults: Faults = {}) {
    this.base = base;
    this.#extents = extents;
    this.#faults = faults;
    this.#disk = base.disk.copy();
    this.#files = base.files.copy();
    this.#variables = new Map(base.variables);
  }

  /** The files of the state partition as programs see them; changes go through {@link changeFiles}. */
  get files(): Omit<FileNames, 'apply' | 'copy'> {
    return this.#files;
  }

  /** Changes the state partition. */
  changeFiles(event: FileEvent): void {
    this.#files.apply(event);
    this.events.push(event);
  }

  /** Says in reports what happens here. */
  mark(text: string): void {
    this.events.push({ kind: 'mark', text });
  }

  /** What the whole disk would be after a flush of everything. */
  get medium(): Medium {
    const disk = this.#disk.copy();
    for (const { offsetBytes, bytes } of this.#unflushed) disk.write(offsetBytes, bytes);
    return { disk, files: this.#files.copy(), variables: new Map(this.#variables) };
  }

  /** Writes back everything, as sync(2) does, and forgets caches and volatile variables: an orderly restart. */
  restart(): void {
    for (const device of this.#extents.keys()) this.#flush(device);
    this.changeFiles({ kind: 'sync' });
    for (const path of this.#files.paths()) {
      const file = this.#files.fileOf(path);
      if (file !== undefined) this.changeFiles({ kind: 'sync', file });
    }
    this.#caches.clear();
    for (const [name, { attributes }] of this.#variables) {
      if ((attributes & NON_VOLATILE) === 0) this.setVariable(name, undefined);
    }
  }

  /** Sets or removes a variable of the firmware. */
  setVariable(name: string, variable: StoredVariable | undefined): void {
    if (variable === undefined) this.#variables.delete(name);
    else this.#variables.set(name, variable);
    this.events.push({ kind: 'variable', name, variable });
  }

  variable(name: string): StoredVariable | undefined {
    return this.#variables.get(name);
  }

  /** The variables as the agent has them. */
  readonly variables: FirmwareVariables = {
    isAvailable: true,
    read: async (name) => this.#variables.get(name),
    write: async (name, { attributes, data }) =>
      this.setVariable(name, { attributes, data: Uint8Array.from(data) }),
    remove: async (name) => this.setVariable(name, undefined),
    list: async () => [...this.#variables.keys()],
  };

  /** Opens a device file. */
  readonly openDevice: OpenBlockDevice = async (path, mode) => {
    const io = this.device(path);
    const device: BlockDevice = {
      sizeBytes: io.sizeBytes,
      readAt: async (offsetBytes, lengthBytes) => io.read(offsetBytes, lengthBytes),
      writeAt: async (offsetBytes, bytes) => {
        if (mode !== 'write') throw Object.assign(new Error(`EBADF: ${path}`), { code: 'EBADF' });
        io.write(offsetBytes, bytes);
      },
      flush: async () => io.flush(),
      dropCache: async () => io.dropCache(),
      close: async () => undefined,
    };
    return device;
  };

  /** A device file without promises, for firmware and loader. @throws Error ENOENT */
  device(path: string): DeviceAccess {
    const extent = this.#extents.get(path);
    if (extent === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
    return {
      sizeBytes: extent.sizeBytes,
      read: (offsetBytes, lengthBytes) => this.#read(path, extent, { offsetBytes, lengthBytes }),
      write: (offsetBytes, bytes) => this.#write(path, extent, { offsetBytes, bytes }),
      flush: () => this.#flush(path),
      dropCache: () => this.#dropCache(path),
    };
  }

  #cache(path: string): Map<number, Page> {
    const cache = this.#caches.get(path) ?? new Map<number, Page>();
    this.#caches.set(path, cache);
    return cache;
  }

  /** Page `index` of a device, which begins at a page of the disk. */
  #page(path: string, extent: DeviceExtent, index: number): Page {
    const cache = this.#cache(path);
    const bytes = () => this.#disk.page(extent.offsetBytes / PAGE_BYTES + index);
    const page = cache.get(index) ?? { bytes: bytes(), isDirty: false };
    cache.set(index, page);
    return page;
  }

  #read(
    path: string,
    extent: DeviceExtent,
    of: { offsetBytes: number; lengthBytes: number },
  ): Buffer {
    const { offsetBytes, lengthBytes } = of;
    checkRange(path, extent, offsetBytes, lengthBytes);
    const bytes = Buffer.alloc(lengthBytes);
    for (let done = 0; done < lengthBytes; ) {
      const at = offsetBytes + done;
      const page = this.#page(path, extent, Math.floor(at / PAGE_BYTES));
      const from = at % PAGE_BYTES;
      const part = page.bytes.subarray(from, Math.min(PAGE_BYTES, from + lengthBytes - done));
      bytes.set(part, done);
      done += part.length;
    }
    return bytes;
  }

  #write(path: string, extent: DeviceExtent, of: { offsetBytes: number; bytes: Uint8Array }): void {
    const { offsetBytes, bytes } = of;
    checkRange(path, extent, offsetBytes, bytes.length);
    for (let done = 0; done < bytes.length; ) {
      const at = offsetBytes + done;
      const index = Math.floor(at / PAGE_BYTES);
      const from = at % PAGE_BYTES;
      const part = bytes.subarray(done, done + PAGE_BYTES - from);
      const page = Uint8Array.from(this.#page(path, extent, index).bytes);
      page.set(part, from);
      this.#cache(path).set(index, { bytes: page, isDirty: true });
      done += part.length;
    }
    this.#noteWrite(path, extent, of);
  }

  /** Notes whole sectors: the kernel writes no less. */
  #noteWrite(
    path: string,
    extent: DeviceExtent,
    { offsetBytes, bytes }: { readonly offsetBytes: number; readonly bytes: Uint8Array },
  ): void {
    if (bytes.length === 0) return;
    const start = Math.floor(offsetBytes / SECTOR_BYTES) * SECTOR_BYTES;
    const end = Math.ceil((offsetBytes + bytes.length) / SECTOR_BYTES) * SECTOR_BYTES;
    const whole = this.#read(path, extent, { offsetBytes: start, lengthBytes: end - start });
    if (
      this.#faults.isCorrupted?.({ device: path, offsetBytes: start, lengthBytes: end - start })
    ) {
      whole[0] = (whole[0] ?? 0) ^ 1;
    }
    const event = {
      kind: 'write',
      device: path,
      offsetBytes: extent.offsetBytes + start,
      bytes: whole,
    } as const;
    this.events.push(event);
    this.#unflushed.push(event);
  }

  #flush(path: string): void {
    const own = this.#unflushed.filter(({ device }) => device === path);
    for (const { offsetBytes, bytes } of own) this.#disk.write(offsetBytes, bytes);
    const others = this.#unflushed.filter(({ device }) => device !== path);
    this.#unflushed.splice(0, this.#unflushed.length, ...others);
    for (const page of this.#cache(path).values()) page.isDirty = false;
    this.events.push({ kind: 'flush', device: path });
  }

  /** Dirty pages stay, as they do when the kernel is asked to drop what it need not keep. */
  #dropCache(path: string): void {
    const cache = this.#cache(path);
    for (const [index, { isDirty }] of cache) if (!isDirty) cache.delete(index);
  }
}

/** A device file, without promises. */
export interface DeviceAccess {
  readonly sizeBytes: number;
  /** @throws Error EIO behind the end */
  read(offsetBytes: number, lengthBytes: number): Buffer;
  write(offsetBytes: number, bytes: Uint8Array): void;
  flush(): void;
  dropCache(): void;
}

function checkRange(path: string, extent: DeviceExtent, offset: number, length: number): void {
  if (offset >= 0 && length >= 0 && offset + length <= extent.sizeBytes) return;
  throw Object.assign(new Error(`EIO: ${length} bytes at ${offset} of ${path}`), { code: 'EIO' });
}
