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
  readonly followed: Pick<FollowedChannel, 'setMs'>;
  /** Of the newest release of the channel. */
  readonly rootHash: string;
  readonly runningHash: string;
  readonly failed: readonly FailedRoot[];
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
  return leftByHand(facts) ?? refusedBefore(facts);
}

/**
 * Somebody has taken the node away from the release, by a rollback or another install: a channel that undid it would be
 * stronger than the operator. Of releases that come after it nobody has said anything.
 */
function leftByHand({ followed, rootHash, history }: ReleaseFacts): Hindrance | undefined {
  const last = history.find(
    ({ outcome, automatic, from, to }) =>
      outcome === 'committed' && !automatic && [from.rootHash, to.rootHash].includes(rootHash),
  );
  if (last === undefined || last.to.rootHash === rootHash) return undefined;
  if (last.who.startsWith(CHANNEL_SUBJECT) || last.endedMs < followed.setMs) return undefined;
  const { kind, id, to, who } = last;
  const left = `${kind} ${id} to ${to.version} by "${who}" left it`;
  const until = 'A newer one is, and this one once the channel is set anew';
  return { errorCode: '', reason: `${left}. ${until}` };
}

/** The node as it is now does not take it, so it need not be fetched at each look. */
function refusedBefore(facts: ReleaseFacts): Hindrance | undefined {
  const { followed, rootHash, runningHash, history, nowMs } = facts;
  const last = history.find(({ to }) => to.rootHash === rootHash);
  if (last?.outcome !== 'failed' || last.from.rootHash !== runningHash) return undefined;
  const { code } = last;
  if (!isErrorCode(code) || isPassing(code)) return undefined;
  const isOld = nowMs - last.endedMs >= REFUSED_AGAIN_MS;
  if (isOld || last.endedMs < followed.setMs) return undefined;
  return { errorCode: code, reason: `update ${last.id} was refused: ${last.cause}` };
}
