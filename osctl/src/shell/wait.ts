/** Waiting for a state of a node: ask, sleep, ask again, until it is there or the time is up. */
import { type ErrorCode, KeelError } from '@keelos/proto/errors.ts';
import { formatDuration } from '../core/duration.ts';
import type { Clock } from '../sys/clock.ts';

/** What one look at the node showed. */
export type Attempt<T> =
  | { readonly done: true; readonly value: T }
  /** `seen` says what is missing, for the message when the time is up; `lack` what the error is then instead. */
  | { readonly done: false; readonly seen: string; readonly lack?: Lack };

/** The error of a wait that saw nearly all of what it waited for. */
export interface Lack {
  readonly code: ErrorCode;
  /** Completes "Cannot …". */
  readonly goal: string;
}

/** How to wait. */
export interface WaitOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  /** When the time began to run, by the monotonic clock; now when absent. */
  readonly startedMs?: number;
  /** Completes "Cannot …", for example "see the node healthy". */
  readonly goal: string;
  /** Told whenever what is seen changes. */
  readonly onChange?: (seen: string) => void;
}

/** Pause between two looks, in milliseconds. */
export const INTERVAL_MS = 1000;
/** Longest single attempt while waiting, in milliseconds. */
export const ATTEMPT_MS_MAX = 5000;
/** Errors that go away by themselves while a node starts or goes down. */
const PASSING: ReadonlySet<string> = new Set([
  'E_UNREACHABLE',
  'E_TIMEOUT',
  'E_TLS_REFUSED',
  'E_INIT_UNREACHABLE',
  'E_RATE_LIMITED',
]);

/** True for an error that goes away by itself while a node starts or goes down. */
export function isPassing(error: unknown): error is KeelError {
  return error instanceof KeelError && PASSING.has(error.code);
}

/** What was seen last. */
interface Seen {
  readonly seen: string;
  readonly lack?: Lack;
}

async function look<T>(
  attempt: (leftMs: number) => Promise<Attempt<T>>,
  { leftMs, last }: { readonly leftMs: number; readonly last: Seen },
): Promise<Attempt<T>> {
  try {
    return await attempt(leftMs);
  } catch (error) {
    if (isPassing(error)) {
      // The end of the time has cut this look short: what was seen before says more.
      const isCut = error.code === 'E_TIMEOUT' && leftMs < ATTEMPT_MS_MAX;
      if (isCut && last.seen !== '') return { done: false, ...last };
      return { done: false, seen: error.message };
    }
    throw error;
  }
}

/**
 * Repeats `attempt` (told how many milliseconds it may take) until it is done. Errors that pass by themselves count as
 * not done; others end the wait.
 *
 * @throws KeelError E_TIMEOUT, or what the last look lacked, when the time is up, with what was seen last.
 */
export async function waitUntil<T>(
  attempt: (leftMs: number) => Promise<Attempt<T>>,
  { clock, signal, timeoutMs, startedMs, goal, onChange }: WaitOptions,
): Promise<T> {
  const deadlineMs = (startedMs ?? clock.monotonicMs()) + timeoutMs;
  let last: Seen = { seen: '' };
  while (true) {
    signal.throwIfAborted();
    const leftMs = deadlineMs - clock.monotonicMs();
    if (leftMs <= 0) {
      throw new KeelError(
        last.lack?.code ?? 'E_TIMEOUT',
        `Cannot ${last.lack?.goal ?? goal} within ${formatDuration(timeoutMs)}: ${last.seen}`,
        { details: { seen: last.seen } },
      );
    }
    const result = await look(attempt, { leftMs: Math.min(leftMs, ATTEMPT_MS_MAX), last });
    if (result.done) return result.value;
    if (result.seen !== last.seen) onChange?.(result.seen);
    last = result;
    const restMs = deadlineMs - clock.monotonicMs();
    await clock.sleep(Math.min(INTERVAL_MS, Math.max(1, restMs)), signal);
  }
}
