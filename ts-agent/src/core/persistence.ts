/** How often, and after how long, a broken download is taken up again. Pure. */

/** Failures in a row after which it is given up. */
export const FAILURES_IN_ROW_MAX = 12;
/** The same for the first question, whose caller waits for the answer to a call. */
export const FIRST_FAILURES_MAX = 2;
/** And when the server is at work on it and says when to ask again: some minutes, when it keeps each question a while. */
export const BUSY_MAX = 8;
/** Failures in all: a server that gives a little each time must not go on for ever. */
export const FAILURES_MAX = 1_000;
/** So many bytes since the last failure make it a new beginning. An answer with fewer, before the end, is a failure. */
export const PROGRESS_BYTES_MIN = 65_536;
/** First wait, in milliseconds; every further one is twice as long. */
export const FIRST_WAIT_MS = 500;
/** Longest wait. */
export const WAIT_MS_MAX = 30_000;

/** Failures so far. */
export interface Persistence {
  readonly inRow: number;
  readonly all: number;
}

/** Nothing has failed. */
export const FRESH: Persistence = { inRow: 0, all: 0 };

/** What follows from a failure. */
export type NextTry =
  | { readonly kind: 'again'; readonly waitMs: number; readonly persistence: Persistence }
  | { readonly kind: 'give-up'; readonly failures: number };

/** Decides after a failure before which `gainedBytes` had come since the one before. */
export function afterFailure(
  before: Persistence,
  facts: { readonly gainedBytes: number; readonly inRowMax: number },
): NextTry {
  const inRow = (facts.gainedBytes >= PROGRESS_BYTES_MIN ? 0 : before.inRow) + 1;
  const all = before.all + 1;
  if (inRow >= facts.inRowMax || all >= FAILURES_MAX) return { kind: 'give-up', failures: inRow };
  const waitMs = Math.min(WAIT_MS_MAX, FIRST_WAIT_MS * 2 ** (inRow - 1));
  return { kind: 'again', waitMs, persistence: { inRow, all } };
}
