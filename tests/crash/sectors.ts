/** The contents of a disk, of which most is zero. A copy costs little: pages are shared until one of the two writes. */

/** Bytes that a disk writes whole or not at all. */
export const SECTOR_BYTES = 512;
/** Bytes of a page of the page cache. */
export const PAGE_BYTES = 4096;

const ZERO_PAGE: Uint8Array = new Uint8Array(PAGE_BYTES);

/** What a disk holds. */
export class Sectors {
  readonly sizeBytes: number;
  /** Pages that are not all zero. None is ever changed in place. */
  readonly #pages: Map<number, Uint8Array>;

  constructor(sizeBytes: number, pages: ReadonlyMap<number, Uint8Array> = new Map()) {
    if (sizeBytes % PAGE_BYTES !== 0) throw new RangeError(`a disk of ${sizeBytes} bytes`);
    this.sizeBytes = sizeBytes;
    this.#pages = new Map(pages);
  }

  /** The same contents; writes to the one do not reach the other. */
  copy(): Sectors {
    return new Sectors(this.sizeBytes, this.#pages);
  }

  /** Page `index`, not to be changed. */
  page(index: number): Uint8Array {
    return this.#pages.get(index) ?? ZERO_PAGE;
  }

  /** A copy of `lengthBytes` bytes. @throws RangeError behind the end */
  read(offsetBytes: number, lengthBytes: number): Buffer {
    this.#check(offsetBytes, lengthBytes);
    const bytes = Buffer.alloc(lengthBytes);
    for (let done = 0; done < lengthBytes; ) {
      const at = offsetBytes + done;
      const page = this.page(Math.floor(at / PAGE_BYTES));
      const from = at % PAGE_BYTES;
      const part = page.subarray(from, Math.min(PAGE_BYTES, from + lengthBytes - done));
      if (page !== ZERO_PAGE) bytes.set(part, done);
      done += part.length;
    }
    return bytes;
  }

  /** Puts bytes in their place. @throws RangeError behind the end */
  write(offsetBytes: number, bytes: Uint8Array): void {
    this.#check(offsetBytes, bytes.length);
    for (let done = 0; done < bytes.length; ) {
      const at = offsetBytes + done;
      const index = Math.floor(at / PAGE_BYTES);
      const from = at % PAGE_BYTES;
      const part = bytes.subarray(done, done + PAGE_BYTES - from);
      const page = Uint8Array.from(this.page(index));
      page.set(part, from);
      this.#pages.set(index, page);
      done += part.length;
    }
  }

  #check(offsetBytes: number, lengthBytes: number): void {
    if (!(offsetBytes >= 0 && lengthBytes >= 0 && offsetBytes + lengthBytes <= this.sizeBytes)) {
      throw new RangeError(`${lengthBytes} bytes at ${offsetBytes} of ${this.sizeBytes}`);
    }
  }
}
