/** The kernel's log as a stream: what is there, the newest of it, or what comes as well. */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { KmsgRecord } from '../core/kmsg-record.ts';
import { parseKmsgRecord } from '../core/kmsg-record.ts';
import type { KernelLog, KmsgReader } from '../sys/kmsg.ts';

/** Records that a tail can hold in memory. */
export const TAIL_LINES_MAX = 10_000;
/** A follower looks for new records this often: /dev/kmsg cannot be waited for from JavaScript. */
const POLL_MS = 250;
/** Records read in one go before others get a turn. */
const RECORDS_PER_TURN = 64;

/** Which records. */
export interface KernelLogChoice {
  readonly isFollowed: boolean;
  /** Undefined: all that the kernel has. */
  readonly tailLines: number | undefined;
}

/** Records of `log`, oldest first, until the end or, when followed, until `signal`. */
export async function* kernelLogRecords(
  log: KernelLog,
  choice: KernelLogChoice,
  signal: AbortSignal,
): AsyncGenerator<KmsgRecord> {
  const reader = log.open();
  try {
    if (choice.tailLines === undefined) yield* untilEnd(reader, signal);
    else yield* await newest(reader, Math.min(choice.tailLines, TAIL_LINES_MAX), signal);
    while (choice.isFollowed) {
      yield* untilEnd(reader, signal);
      await sleep(POLL_MS, undefined, { signal });
    }
  } finally {
    reader.close();
  }
}

async function* untilEnd(reader: KmsgReader, signal: AbortSignal): AsyncGenerator<KmsgRecord> {
  let inTurn = 0;
  for (let bytes = reader.next(); bytes !== undefined; bytes = reader.next()) {
    const record = parseKmsgRecord(bytes);
    if (record !== undefined) yield record;
    inTurn += 1;
    if (inTurn === RECORDS_PER_TURN) {
      inTurn = 0;
      await nextTurn();
      signal.throwIfAborted();
    }
  }
}

async function newest(
  reader: KmsgReader,
  count: number,
  signal: AbortSignal,
): Promise<readonly KmsgRecord[]> {
  const kept: KmsgRecord[] = [];
  for await (const record of untilEnd(reader, signal)) {
    kept.push(record);
    // Dropping half at a time keeps this linear.
    if (kept.length > 2 * count) kept.splice(0, kept.length - count);
  }
  return count === 0 ? [] : kept.slice(-count);
}
