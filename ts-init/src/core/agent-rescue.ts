/**
 * When does PID 1 give up on an agent that never gets up, or whose restarts lead nowhere? A restart of the machine is the
 * last thing left to try: the boot loader may then take the other slot, and what was wrong with the machine, for example
 * a disk that does not answer and a process that waits for it and cannot be killed, may be gone.
 */

/** What is known of the agent in this boot. */
export interface AgentFacts {
  readonly sinceBootMs: number;
  /** How often it has failed. */
  readonly failures: number;
  /** When it has last kept itself alive or told that it serves its API, since the start of the kernel; undefined: never. */
  readonly lastWordMs: number | undefined;
}

/** What follows. */
export type AgentVerdict =
  | { readonly action: 'restart-machine' }
  | { readonly action: 'look-again'; readonly afterMs: number };

/** The agent has this long from the start of the kernel. */
export const GET_UP_MS = 900_000;
/** Fewer failures are no proof: a slow machine may still be starting it. */
export const FAILURES_MIN = 10;
/**
 * Without a word for this long it is no slow machine, however seldom it has failed: an agent that hangs fails every five
 * minutes (services.data.ts), one that cannot be killed never.
 */
export const GIVE_UP_MS = 1_800_000;
/** Between two looks after the time is over. */
const LOOK_EVERY_MS = 60_000;

/** Judges the agent. */
export function judgeAgent({ sinceBootMs, failures, lastWordMs }: AgentFacts): AgentVerdict {
  const lookAgain = (afterMs: number): AgentVerdict => ({ action: 'look-again', afterMs });
  if (sinceBootMs - (lastWordMs ?? 0) >= GIVE_UP_MS) return { action: 'restart-machine' };
  if (lastWordMs !== undefined) return lookAgain(LOOK_EVERY_MS);
  if (sinceBootMs < GET_UP_MS) return lookAgain(GET_UP_MS - sinceBootMs);
  return failures >= FAILURES_MIN ? { action: 'restart-machine' } : lookAgain(LOOK_EVERY_MS);
}
