/** Block devices that an update writes to: partitions and the whole disk. */

/** The port. A crash test gives a simulated disk that knows what was flushed. */
export interface BlockDevice {
  readonly sizeBytes: number;
  /** Exactly `lengthBytes` bytes. @throws the error of the read; a read past the end fails too */
  readAt(offsetBytes: number, lengthBytes: number): Promise<Uint8Array>;
  /** Not durable before {@link BlockDevice.flush}. Sectors of 512 bytes are written whole or not at all. */
  writeAt(offsetBytes: number, bytes: Uint8Array): Promise<void>;
  /** Returns when everything that was written is on the medium. */
  flush(): Promise<void>;
  /** Forgets what the page cache holds, so that the next read comes from the medium. */
  dropCache(): Promise<void>;
  close(): Promise<void>;
}

/** Opens a device by its path, for example "/dev/vda1". */
export type OpenBlockDevice = (path: string, mode: 'read' | 'write') => Promise<BlockDevice>;
