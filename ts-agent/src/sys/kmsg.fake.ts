/** A kernel log in memory. */
import type { KernelLog } from './kmsg.ts';

/** A log that a test fills. */
export interface FakeKernelLog extends KernelLog {
  readonly records: string[];
  openReaders: number;
}

/** An empty log. */
export function createFakeKernelLog(): FakeKernelLog {
  const fake: FakeKernelLog = {
    records: [],
    openReaders: 0,
    open() {
      let index = 0;
      fake.openReaders += 1;
      return {
        next() {
          const record = fake.records[index];
          if (record === undefined) return undefined;
          index += 1;
          return Buffer.from(record);
        },
        close() {
          fake.openReaders -= 1;
        },
      };
    },
  };
  return fake;
}
