/**
 * What a boot means for the release on trial, and when a trial has proved itself. Pure: time and facts are arguments.
 */
import type { EntryName } from '@keelos/proto/boot-entry.ts';
import { COMMITTED_TRIES, isSpent } from '@keelos/proto/boot-entry.ts';
import type {
  HistoryEntry,
  SlotRelease,
  TrialPolicy,
  TrialRecord,
} from '@keelos/proto/update-record.ts';
import { HEALTH_TIMEOUT_SECONDS, MIN_HEALTHY_SECONDS } from '@keelos/proto/update-record.ts';
import type { PictureEntry } from './boot-state.ts';
import type { CheckResult } from './health-history.ts';

/** Policy for a trial whose record is lost: what a careful operator would have asked for. */
export const DEFAULT_POLICY: TrialPolicy = {
  autoRollback: true,
  healthTimeoutSeconds: HEALTH_TIMEOUT_SECONDS,
  minHealthySeconds: MIN_HEALTHY_SECONDS,
};

/** What is known at the start of the agent. */
export interface BootFacts {
  readonly bootId: string;
  readonly running: Pick<SlotRelease, 'rootHash' | 'slot'> & { readonly entry?: PictureEntry };
  readonly entries: readonly PictureEntry[];
  /** Undefined when nothing is on trial, or its record is lost. */
  readonly record: TrialRecord | undefined;
  /** How the history says that the record's update ended. */
  readonly outcome: HistoryEntry['outcome'] | undefined;
  /** The newest entry of the history that was committed: what ought to run. */
  readonly lastCommitted: Pick<HistoryEntry, 'id' | 'to'> | undefined;
}

/** What this boot is. */
export type Standing =
  /** Nothing is on trial. */
  | { readonly kind: 'settled' }
  /** Armed in this very boot, and not tried yet. */
  | { readonly kind: 'armed'; readonly record: TrialRecord }
  /** This boot is the trial. Without a record it was lost, and the careful policy holds. */
  | { readonly kind: 'trial'; readonly record: TrialRecord | undefined; readonly sequence: number }
  /** It was cancelled while the power failed, and runs all the same. */
  | {
      readonly kind: 'unwanted-trial';
      readonly record: TrialRecord;
      readonly sequence: number;
    }
  /** The entry is committed; what comes after that was cut off. */
  | { readonly kind: 'committed'; readonly record: TrialRecord }
  /** The trial has failed: another root runs, and the try is spent. */
  | { readonly kind: 'failed'; readonly record: TrialRecord }
  /** Another root runs although nothing was tried. */
  | { readonly kind: 'untried'; readonly record: TrialRecord; readonly cause: string }
  /** Its end was written down before; what comes after that was cut off. */
  | { readonly kind: 'closed'; readonly record: TrialRecord }
  /** A committed release ought to run, and another one does; `id` is the same whenever this is found again. */
  | {
      readonly kind: 'fallback';
      readonly id: string;
      readonly from: SlotRelease;
      readonly cause: string;
    };

/** Digits of a root hash in the id of a fallback. */
const ID_DIGITS = 8;

const NOT_STARTED =
  'The release was not started: the firmware did not start the boot loader that had to try it.';
const NO_ENTRY =
  'The release was not started: it has no boot entry. The power failed or the agent ended before it was armed, or the entry was removed.';

/** What is told when the running release had no entry, and got one. */
export const NO_ENTRY_LEFT = 'The boot loader had no entry for the running release.';

/** Judges a boot. */
export function judgeBoot(facts: BootFacts): Standing {
  const { record } = facts;
  if (record === undefined) return judgeWithoutRecord(facts);
  const own = facts.entries.find(({ name }) => name.sequence === record.sequence);
  const isClosed = facts.outcome !== undefined && facts.outcome !== 'open';
  if (record.armedBootId === facts.bootId) {
    if (own !== undefined) return { kind: 'armed', record };
    // An agent that was killed between the record and the entry has armed nothing.
    return isClosed ? { kind: 'closed', record } : { kind: 'untried', record, cause: NO_ENTRY };
  }
  if (facts.running.rootHash === record.to.rootHash) {
    const { sequence } = record;
    if (facts.outcome === 'cancelled') return { kind: 'unwanted-trial', record, sequence };
    const { entry } = facts.running;
    // A failed trial that the loader took again and again, or a release whose commit was cut off and that was never
    // healthy since: either has to prove itself.
    const isProven = entry !== undefined && !isTrialEntry(entry.name) && !isSpent(entry.name);
    return isProven && entry.name.sequence === sequence
      ? { kind: 'committed', record }
      : { kind: 'trial', record, sequence };
  }
  if (isClosed) return { kind: 'closed', record };
  if (own === undefined) return { kind: 'untried', record, cause: NO_ENTRY };
  return isSpent(own.name)
    ? { kind: 'failed', record }
    : { kind: 'untried', record, cause: NOT_STARTED };
}

const SPENT =
  'It has used up its tries: in none of its last nine boots was it healthy. Its root may be damaged, power was lost, or a check did not pass.';
const ENTRY_GONE = 'Its boot entry is gone from the EFI system partition.';
const PASSED_OVER = 'The boot loader passed it over: its kernel image is damaged or gone.';

function judgeWithoutRecord(facts: BootFacts): Standing {
  const { running, entries, lastCommitted } = facts;
  const { entry } = running;
  if (entry !== undefined && isTrialEntry(entry.name)) {
    return { kind: 'trial', record: undefined, sequence: entry.name.sequence };
  }
  if (lastCommitted === undefined) return judgeWithoutHistory(facts);
  const { id, to } = lastCommitted;
  if (to.rootHash === running.rootHash) return { kind: 'settled' };
  const own = entries.filter(({ rootHash }) => rootHash === to.rootHash);
  const isSpentUp = own.length > 0 && own.every(({ name }) => isSpent(name));
  const cause = isSpentUp ? SPENT : own.length > 0 ? PASSED_OVER : ENTRY_GONE;
  return { kind: 'fallback', id: `fallback-${id}`, from: to, cause };
}

/** The loader's entries alone tell less: only that one of more tries than a trial has used them up. */
function judgeWithoutHistory({ running, entries }: BootFacts): Standing {
  const { entry } = running;
  if (entry === undefined) return { kind: 'settled' };
  const spent = entries
    .filter(({ name, rootHash }) => isSpent(name) && rootHash !== running.rootHash)
    .filter(({ name }) => name.sequence > entry.name.sequence)
    .sort((a, b) => b.name.sequence - a.name.sequence)[0];
  // A spent trial without a record was settled before, or its record is lost: either way nothing committed has rotted.
  if (spent === undefined || isTrialEntry(spent.name)) return { kind: 'settled' };
  const { version, rootHash = '' } = spent;
  const slot = spent.slot ?? (running.slot === 'a' ? 'b' : 'a');
  const id = `fallback-${spent.name.sequence}-${rootHash.slice(0, ID_DIGITS)}`;
  return { kind: 'fallback', id, from: { slot, version, rootHash }, cause: SPENT };
}

/**
 * True for the name that a trial has before and after its only try. When nothing else is left to start, the loader takes
 * it again and counts on (`+0-2`), so what tells it from a committed entry is that it never had as many tries.
 */
export function isTrialEntry({ counter }: EntryName): boolean {
  return counter !== undefined && counter.left + counter.done < COMMITTED_TRIES;
}

/**
 * Checks of what a release brings along or may lose, and nothing else can: drivers, and how it reads the stored keys and
 * the stored configuration. On a node that works they may be degraded; a release that has made one so has not proved
 * itself. Others are degraded by what lies around the node or by one slow start, which is no fault of the release.
 */
const HELD_CHECKS: ReadonlySet<string> = new Set(['certificate', 'watchdog', 'configuration']);

/** Names of the checks that the next release must not make worse: what is degraded already is not its fault. */
export function heldChecks(results: readonly CheckResult[]): readonly string[] {
  return results
    .filter(({ name, state }) => state === 'healthy' && HELD_CHECKS.has(name))
    .map(({ name }) => name);
}

/** What {@link judgeGate} remembers. */
export interface GateState {
  /** Since when every check has been passing, milliseconds since the start of the kernel. */
  readonly healthySinceMs: number | undefined;
}

/** What the gate looks at. */
export interface GateFacts {
  readonly policy: TrialPolicy;
  /** Milliseconds since the start of the kernel. */
  readonly uptimeMs: number;
  readonly results: readonly CheckResult[];
  /** {@link heldChecks} of the release before. */
  readonly held: readonly string[];
  /** Why the API did not answer to another process, or the commit failed; empty when it did not, undefined: not tried. */
  readonly lastProblem: string | undefined;
}

/** What it says. */
export type GateDecision =
  | { readonly kind: 'wait'; readonly waitingFor: readonly string[] }
  /** Every check passes: the API is to be asked from outside, then the gate again. */
  | { readonly kind: 'ask-api' }
  | { readonly kind: 'commit' }
  | { readonly kind: 'give-up'; readonly cause: string; readonly evidence: readonly string[] };

const SECOND_MS = 1000;

/** Judges a trial once more. Without automatic rollback only the API counts, and there is no deadline. */
export function judgeGate(
  state: GateState,
  facts: GateFacts,
): { readonly state: GateState; readonly decision: GateDecision } {
  const { policy, uptimeMs, lastProblem } = facts;
  const failing = policy.autoRollback ? standInTheWay(facts) : [];
  const isLastBad = lastProblem !== undefined && lastProblem !== '';
  const waitingFor = [
    ...failing.map(({ name, message }) => `${name}: ${message}`),
    ...(isLastBad ? [lastProblem] : []),
  ];
  const healthySinceMs =
    waitingFor.length > 0 ? undefined : (state.healthySinceMs ?? facts.uptimeMs);
  const next = { healthySinceMs };
  const decide = (decision: GateDecision) => ({ state: next, decision });
  const minMs = policy.autoRollback ? policy.minHealthySeconds * SECOND_MS : 0;
  const healthyMs = healthySinceMs === undefined ? 0 : uptimeMs - healthySinceMs;
  if (policy.autoRollback && uptimeMs >= policy.healthTimeoutSeconds * SECOND_MS) {
    return decide(giveUp(facts, failing, waitingFor));
  }
  if (healthySinceMs === undefined) return decide({ kind: 'wait', waitingFor });
  if (healthyMs < minMs) {
    const seconds = Math.floor(healthyMs / SECOND_MS);
    const waited = `every check passes since ${seconds} s of ${policy.minHealthySeconds} s`;
    return decide({ kind: 'wait', waitingFor: [waited] });
  }
  return decide(lastProblem === undefined ? { kind: 'ask-api' } : { kind: 'commit' });
}

/** What fails, and what is worse than it was. */
function standInTheWay({ results, held }: GateFacts): readonly CheckResult[] {
  return results.flatMap((one) => {
    if (one.state === 'failing') return one;
    if (one.state === 'healthy' || !held.includes(one.name)) return [];
    return { ...one, message: `${one.message} With the release before this one it was healthy.` };
  });
}

function giveUp(
  { policy }: GateFacts,
  failing: readonly CheckResult[],
  waitingFor: readonly string[],
): GateDecision {
  const reason = waitingFor[0] ?? `they have not been passing for ${policy.minHealthySeconds} s`;
  return {
    kind: 'give-up',
    cause: `The checks did not pass within ${policy.healthTimeoutSeconds} s: ${reason}`,
    evidence: [
      ...failing.map(
        ({ name, state, message, sinceMs }) =>
          `check ${name} ${state === 'failing' ? 'fails' : 'is degraded'} since ${new Date(sinceMs).toISOString()}: ${message}`,
      ),
      ...waitingFor.slice(failing.length),
    ],
  };
}
