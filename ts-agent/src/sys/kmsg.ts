/** The kernel's log, read from /dev/kmsg, and a line of ours in it. */
import { appendFileSync, closeSync, constants, openSync, readSync } from 'node:fs';

/** Longest record that the kernel hands out (PRINTKRB_RECORD_MAX, CONSOLE_EXT_LOG_MAX). */
export const KMSG_RECORD_BYTES_MAX = 8_192;

/** An open place in the kernel's log. */
export interface KmsgReader {
  /** The next record as read(2) returned it; undefined when there is no newer one yet. */
  next(): Uint8Array | undefined;
  close(): void;
}

/** The port. */
export interface KernelLog {
  /** Opens the log at its oldest record. @throws the error of open(2) */
  open(): KmsgReader;
}

/** Reads that met an overwritten record, one after the other, before giving up for now. */
const OVERRUNS_MAX = 1_000;

/** Adds a warning of the agent to the log behind `path`; where that cannot be, the log does without. */
export function warnKernelLog(path: string, line: string): void {
  try {
    appendFileSync(path, `<4>keel-agent: ${line}\n`);
  } catch {
    // The agent's own log has it as well.
  }
}

/** The log behind `path`. */
export function kernelLog(path: string): KernelLog {
  return {
    open() {
      const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
      const buffer = Buffer.alloc(KMSG_RECORD_BYTES_MAX);
      return {
        next() {
          for (let overruns = 0; overruns < OVERRUNS_MAX; overruns += 1) {
            try {
              const count = readSync(file, buffer, 0, buffer.length, null);
              return count === 0 ? undefined : Uint8Array.from(buffer.subarray(0, count));
            } catch (cause) {
              const code = cause instanceof Error && 'code' in cause ? cause.code : '';
              if (code === 'EAGAIN') return undefined;
              // EPIPE: the record was overwritten before it was read; the next read finds the oldest that is left.
              if (code !== 'EPIPE') throw cause;
            }
          }
          return undefined;
        },
        close: () => closeSync(file),
      };
    },
  };
}
