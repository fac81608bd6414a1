/**
 * A file that is appended to, without blocking the caller.
 */
import { close, fstat, open, rename, write } from 'node:fs';
import { promisify } from 'node:util';

/** An open file. */
export interface LogFile {
  /** Bytes in the file when it was opened. */
  readonly initialBytes: number;
  append(text: string): Promise<void>;
  close(): Promise<void>;
}

/** Opens and rotates log files. Every method rejects with Node's errors. */
export interface LogFiles {
  open(path: string): Promise<LogFile>;
  rename(from: string, to: string): Promise<void>;
}

const MODE = 0o600;

/** Log files of the running system. */
export const linuxLogFiles: LogFiles = {
  async open(path) {
    const descriptor = await promisify(open)(path, 'a', MODE);
    const { size } = await promisify(fstat)(descriptor);
    return {
      initialBytes: size,
      async append(text) {
        await promisify(write)(descriptor, Buffer.from(text, 'utf8'));
      },
      close: () => promisify(close)(descriptor),
    };
  },
  rename: (from, to) => promisify(rename)(from, to),
};
