/**
 * Reads the kernel log, record by record.
 */
import { constants, openSync, readSync } from 'node:fs';
import { NODE_PATHS } from '@keelos/proto/node-paths.ts';

/** The reading side of the kernel log. */
export interface KernelLogReader {
  /** Records since the last call, oldest first, at most `recordsMax`; the first call begins with the oldest one kept. */
  read(recordsMax: number): readonly string[];
}

/** Longest record with its dictionary (CONSOLE_EXT_LOG_MAX). */
const RECORD_BYTES_MAX = 8_192;

/** The log of the running kernel; opened at the first reading. */
export function kernelLogReader(path: string = NODE_PATHS.kmsg): KernelLogReader {
  let descriptor: number | undefined;
  const buffer = Buffer.alloc(RECORD_BYTES_MAX);
  return {
    read(recordsMax) {
      descriptor ??= openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
      const records: string[] = [];
      for (let count = 0; count < recordsMax; count += 1) {
        try {
          const bytes = readSync(descriptor, buffer);
          if (bytes === 0) break;
          records.push(buffer.toString('utf8', 0, bytes));
        } catch (error) {
          const code = error instanceof Error && 'code' in error ? error.code : '';
          // EPIPE: records were overwritten before they were read; the next read goes on behind them.
          if (code === 'EPIPE') continue;
          if (code === 'EAGAIN') break;
          throw error;
        }
      }
      return records;
    },
  };
}
