/**
 * A kernel log that a test fills.
 */
import type { KernelLogReader } from './kernel-log-reader.ts';

/** A log of records that were not read yet. */
export interface FakeKernelLogReader extends KernelLogReader {
  /** Adds a record. */
  add(seconds: number, text: string): void;
}

/** An empty log. */
export function createFakeKernelLogReader(): FakeKernelLogReader {
  const records: string[] = [];
  let sequence = 0;
  return {
    add(seconds, text) {
      sequence += 1;
      records.push(`6,${sequence},${Math.round(seconds * 1_000_000)},-;${text}\n SUBSYSTEM=x\n`);
    },
    read: (recordsMax) => records.splice(0, recordsMax),
  };
}
