/**
 * Since when each check has its state.
 */
import type { HealthState, Verdict } from './health-checks.ts';

/** A verdict with its name and the time since when its state holds. */
export interface CheckResult extends Verdict {
  readonly name: string;
  /** Unix milliseconds. */
  readonly sinceMs: number;
}

/** Last state of each check. */
export type HealthHistory = ReadonlyMap<
  string,
  { readonly state: HealthState; readonly sinceMs: number }
>;

/** Adds `verdicts` seen at `nowMs` to `history`. */
export function recordVerdicts(
  history: HealthHistory,
  verdicts: readonly (readonly [name: string, verdict: Verdict])[],
  nowMs: number,
): { readonly history: HealthHistory; readonly results: readonly CheckResult[] } {
  const results = verdicts.map(([name, verdict]) => {
    const last = history.get(name);
    return { name, ...verdict, sinceMs: last?.state === verdict.state ? last.sinceMs : nowMs };
  });
  return {
    history: new Map(results.map(({ name, state, sinceMs }) => [name, { state, sinceMs }])),
    results,
  };
}

/** True when no check is failing. */
export function isHealthy(results: readonly CheckResult[]): boolean {
  return results.every(({ state }) => state !== 'failing');
}
