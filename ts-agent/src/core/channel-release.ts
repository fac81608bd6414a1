/** Is the newest release of a channel to be installed here? What has happened on the node says so. Pure. */
import { type ErrorCode, isErrorCode } from '@keelos/proto/errors.ts';
import type { FailedRoot, FollowedChannel, HistoryEntry } from '@keelos/proto/update-record.ts';
import { failedBefore } from './acceptance.ts';
import { isPassing } from './passing-errors.ts';

/** A release that was refused is tried again after this time: what was wrong with the node may have been mended. */
export const REFUSED_AGAIN_MS = 24 * 3_600_000;

/** Who an install was begun by, in the history. */
export function channelSubject(channel: FollowedChannel['channel']): string {
  return `${CHANNEL_SUBJECT}${channel}`;
}

const CHANNEL_SUBJECT = 'channel ';

/** What is known. */
export interface ReleaseFacts {
  readonly followed: Pick<FollowedChannel, 'setAfter'>;
  /** Of the newest release of the channel. */
  readonly rootHash: string;
  readonly runningHash: string;
  readonly failed: readonly FailedRoot[];
  /** Root hashes of releases that the channel lists, or has listed. */
  readonly listed: readonly string[];
  /** The newest first. */
  readonly history: readonly HistoryEntry[];
  readonly nowMs: number;
}

/** Why a release is not installed. */
export interface Hindrance {
  /** Empty when nothing is wrong. */
  readonly errorCode: ErrorCode | '';
  /** What follows "is not installed: ". */
  readonly reason: string;
}

/** What keeps a release that does not run from being installed; undefined when nothing does. */
export function hindrance(facts: ReleaseFacts): Hindrance | undefined {
  const failed = facts.failed.find(({ rootHash }) => rootHash === facts.rootHash);
  if (failed !== undefined) {
    const [errorCode, reason] = failedBefore(failed);
    return { errorCode, reason };
  }
  const history = sinceSet(facts);
  return leftByHand({ ...facts, history }) ?? refusedBefore({ ...facts, history });
}

/** What is newer than the channel; all of it when the entry that it was set after is forgotten. */
function sinceSet({ followed, history }: ReleaseFacts): readonly HistoryEntry[] {
  const at = history.findIndex(({ id }) => id === followed.setAfter);
  return at === -1 ? history : history.slice(0, at);
}

/**
 * Somebody has taken the node away from the release, by a rollback or by an install of what is not of the channel, or has
 * cancelled its install: a channel that undid that would be stronger than the operator. Of releases that come after it
 * nobody has said anything. An install of another release of the channel is no word against this one: when that other
 * one is withdrawn, the node follows.
 */
function leftByHand({ rootHash, history, listed }: ReleaseFacts): Hindrance | undefined {
  const last = history.find(({ outcome, automatic, from, to }) => {
    if (outcome === 'cancelled') return to.rootHash === rootHash;
    const isOfIt = [from.rootHash, to.rootHash].includes(rootHash);
    return outcome === 'committed' && !automatic && isOfIt;
  });
  if (last === undefined) return undefined;
  const { kind, id, to, who } = last;
  const until = 'A newer one is, and this one once the channel is set anew';
  const hinders = (what: string) => ({ errorCode: '', reason: `${what}. ${until}` }) as const;
  if (last.outcome === 'cancelled') return hinders(`update ${id} to it was cancelled`);
  if (to.rootHash === rootHash || who.startsWith(CHANNEL_SUBJECT)) return undefined;
  if (kind === 'update' && listed.includes(to.rootHash)) return undefined;
  return hinders(`${kind} ${id} to ${to.version} by "${who}" left it`);
}

/** The node as it is now does not take it, so it need not be fetched at each look. */
function refusedBefore(facts: ReleaseFacts): Hindrance | undefined {
  const { rootHash, runningHash, history, nowMs } = facts;
  const tries = history.filter(
    ({ from, to }) => to.rootHash === rootHash && from.rootHash === runningHash,
  );
  const [last, before] = tries;
  if (last?.outcome !== 'failed') return undefined;
  const { id, code, cause, endedMs } = last;
  // Something that happens once may pass; the install itself may be what ends the agent.
  const isCutOffAgain = code === 'E_UPDATE_CUT_OFF' && before?.code === code;
  if (!isErrorCode(code) || (isPassing(code) && !isCutOffAgain)) return undefined;
  // An end that is still to come was written by a clock that was wrong.
  if (nowMs < endedMs || nowMs - endedMs >= REFUSED_AGAIN_MS) return undefined;
  return { errorCode: code, reason: `update ${id} to it failed: ${cause}` };
}
