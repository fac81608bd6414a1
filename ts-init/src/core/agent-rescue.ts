/**
 * When does PID 1 give up on an agent that never gets up? A restart of the machine is the last thing left to try: the
 * boot loader may then take the other slot, and what was wrong with the machine may be gone.
 */

/** What is known of the agent in this boot. */
export interface AgentFacts {
  readonly sinceBootMs: number;
  /** How often it has failed. */
  readonly failures: number;
  /** It has served its API at least once: from then on its failures are the supervisor's alone. */
  readonly hasAnswered: boolean;
}

/** What follows. */
export type AgentVerdict =
  | { readonly action: 'trust' | 'restart-machine' }
  | { readonly action: 'look-again'; readonly afterMs: number };

/** The agent has this long from the start of the kernel. */
export const GET_UP_MS = 900_000;
/** Fewer failures are no proof: a slow machine may still be starting it. */
export const FAILURES_MIN = 10;
/** After this long it is no slow machine: an agent that hangs fails only every five minutes (services.data.ts). */
export const GIVE_UP_MS = 1_800_000;
/** Between two looks after the time is over. */
const LOOK_EVERY_MS = 60_000;

/** Judges the agent. */
export function judgeAgent({ sinceBootMs, failures, hasAnswered }: AgentFacts): AgentVerdict {
  if (hasAnswered) return { action: 'trust' };
  if (sinceBootMs < GET_UP_MS) return { action: 'look-again', afterMs: GET_UP_MS - sinceBootMs };
  if (failures >= FAILURES_MIN || sinceBootMs >= GIVE_UP_MS) return { action: 'restart-machine' };
  return { action: 'look-again', afterMs: LOOK_EVERY_MS };
}
