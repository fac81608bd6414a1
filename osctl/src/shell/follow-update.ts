/** Follows an install on the node until it is over, whatever happens to the connection. */
import { KeelError } from '@keelos/proto/errors.ts';
import {
  UpdatePhase,
  UpdateService,
  type UpdateStatus,
} from '@keelos/proto/gen/keel/v1/update_pb.js';
import { formatDuration } from '../core/duration.ts';
import { hasEnded, phaseText, refusedReboot, statusText } from '../core/update-text.ts';
import { type Invocation, type NodeSession, tellWaiting } from './invocation.ts';
import { healthTimeoutSeconds } from './trial-policy.ts';
import { ATTEMPT_MS_MAX, INTERVAL_MS, isPassing } from './wait.ts';

/** Time for an update without its trial unless --timeout says otherwise, in milliseconds. */
export const UPDATE_TIMEOUT_MS = 60 * 60_000;

/** A bound on everything that one command waits for. */
export interface TimeBound {
  /** When it began to run, by the monotonic clock. */
  readonly startedMs: number;
  readonly timeoutMs: number;
}

/** The bound of a command that starts now: without --timeout an hour, and as long as the trial may take. */
export function updateBound(invocation: Invocation): TimeBound {
  const { host, globals } = invocation;
  const trialMs = healthTimeoutSeconds(invocation) * 1000;
  return {
    startedMs: host.clock.monotonicMs(),
    timeoutMs: globals.timeoutMs ?? UPDATE_TIMEOUT_MS + trialMs,
  };
}

/** Milliseconds that are left of `bound`; 0 or less when it is over. */
export function leftOf(bound: TimeBound, { host }: Invocation): number {
  return bound.startedMs + bound.timeoutMs - host.clock.monotonicMs();
}

/** The error of a bound that is over; `seen` is what was seen last. */
export function boundError(
  { timeoutMs }: TimeBound,
  { goal, seen, hint }: { readonly goal: string; readonly seen: string; readonly hint?: string },
): KeelError {
  return new KeelError('E_TIMEOUT', `Cannot ${goal} within ${formatDuration(timeoutMs)}: ${seen}`, {
    details: { seen },
    ...(hint === undefined ? {} : { hint }),
  });
}

/** How to follow. */
export interface FollowOptions {
  /** Which install; empty: the present one, or the last. */
  readonly id: string;
  readonly bound: TimeBound;
  readonly onStatus: (status: UpdateStatus) => void | Promise<void>;
}

/** True for a node that has been restarted and knows of the install only by its history. */
function isForgotten(error: unknown, last: UpdateStatus | undefined): last is UpdateStatus {
  const isUnknown = error instanceof KeelError && error.code === 'E_NOT_FOUND';
  // Nothing stands in the history before the check has ended.
  return isUnknown && last !== undefined && last.phase !== UpdatePhase.CHECKING;
}

/**
 * The state in which the install with `id` ends: armed or further, failed, cancelled or checked. A lost connection is
 * made again; the install goes on meanwhile. When the node was restarted and has forgotten the install, the state that
 * was seen last, which is then not one of these: the history knows more.
 *
 * @throws KeelError E_TIMEOUT when the bound is over, and errors that do not pass by themselves.
 */
export async function followInstall(
  session: NodeSession,
  invocation: Invocation,
  { id, bound, onStatus }: FollowOptions,
): Promise<UpdateStatus> {
  const { host, signal } = invocation;
  let last: UpdateStatus | undefined;
  while (true) {
    signal.throwIfAborted();
    const leftMs = leftOf(bound, invocation);
    if (leftMs <= 0) {
      const hint =
        'The install goes on: osctl update --watch shows it, osctl update --cancel ends it.';
      const seen = last === undefined ? 'the node has not answered' : statusText(last);
      throw boundError(bound, { goal: 'see the install end', seen, hint });
    }
    const client = session.reopen(leftMs);
    try {
      const request = { id: last?.id ?? id };
      for await (const { status } of client.stream(UpdateService.method.watchUpdate, request)) {
        if (status === undefined) continue;
        last = status;
        await onStatus(status);
        if (hasEnded(status)) return status;
      }
    } catch (error) {
      if (isForgotten(error, last)) return last;
      if (!isPassing(error)) throw error;
      if (error.code !== 'E_TIMEOUT') tellWaiting(invocation, error.message);
    } finally {
      client.close();
    }
    await host.clock.sleep(Math.min(INTERVAL_MS, Math.max(1, leftOf(bound, invocation))), signal);
  }
}

/** One look at an install: its state now; undefined when the node knows nothing of it. */
export async function lookAtInstall(
  session: NodeSession,
  { id, leftMs }: { readonly id: string; readonly leftMs: number },
): Promise<UpdateStatus | undefined> {
  const client = session.reopen(leftMs);
  try {
    for await (const { status } of client.stream(UpdateService.method.watchUpdate, { id })) {
      if (status !== undefined) return status;
    }
    return undefined;
  } catch (error) {
    if (error instanceof KeelError && error.code === 'E_NOT_FOUND') return undefined;
    throw error;
  } finally {
    client.close();
  }
}

/** Id of the install that the node knows of before a new one begins; empty when there is none. */
export async function earlierInstall(
  session: NodeSession,
  invocation: Invocation,
  bound: TimeBound,
): Promise<string> {
  const leftMs = Math.max(1, Math.min(ATTEMPT_MS_MAX, leftOf(bound, invocation)));
  return (await lookAtInstall(session, { id: '', leftMs }))?.id ?? '';
}

/** What is known of an install whose call was lost. */
export interface LostInstall {
  /** Its id; empty when the node had not told it yet. */
  readonly id: string;
  /** Id of the install before it. */
  readonly earlierId: string;
  readonly bound: TimeBound;
}

/**
 * How the node sees an install whose call was lost: "unknown" when the node does not answer now, undefined when it
 * knows of none but the one before.
 */
export async function lookAfterLoss(
  session: NodeSession,
  invocation: Invocation,
  { id, earlierId, bound }: LostInstall,
): Promise<UpdateStatus | 'unknown' | undefined> {
  const leftMs = Math.max(1, Math.min(ATTEMPT_MS_MAX, leftOf(bound, invocation)));
  try {
    const state = await lookAtInstall(session, { id, leftMs });
    return state === undefined || state.id === earlierId ? undefined : state;
  } catch (error) {
    if (isPassing(error)) return 'unknown';
    throw error;
  }
}

/** What an install that ended well waits for now, as the last line of the command. */
export function endedText(
  status: UpdateStatus,
  { noReboot }: { readonly noReboot: boolean },
): string {
  const { phase, version } = status;
  if (phase === UpdatePhase.CHECKED) return `${version} fits: nothing was written.`;
  if (phase === UpdatePhase.COMMITTED) return `${version} is committed.`;
  if (phase === UpdatePhase.TRIAL) return `${version} runs on trial.`;
  if (phase !== UpdatePhase.ARMED) return phaseText(status);
  const refused = refusedReboot(status);
  if (refused !== undefined) {
    return `${version} is armed, and ${refused}: the next boot tries it (osctl reboot --wait).`;
  }
  return noReboot
    ? `${version} is armed: the next boot tries it (osctl reboot --wait).`
    : `${version} is armed: the node reboots and tries it (osctl update --watch --wait).`;
}
