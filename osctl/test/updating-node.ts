/** What a node says in an update, for the tests of the commands that install, go back and wait. */
import { durationFromMs, timestampFromMs } from '@bufbuild/protobuf/wkt';
import { UpdateOutcome, UpdatePhase } from '@keelos/proto/gen/keel/v1/update_pb.js';
import type { Handler } from './fake-node.ts';
import { HEALTHY } from './operator.ts';

const MIB = 2n ** 20n;
/** Id of the update that the handlers tell of. */
export const UPDATE_ID = 'u-7';
/** Releases: the one that runs and the one that is installed. */
export const OLD = { slot: 1, version: '0.1.0', rootHash: 'aa'.repeat(32) };
export const NEW = { slot: 2, version: '0.2.0', rootHash: 'bb'.repeat(32) };

/** A state of the update in `phase`. */
export function updateState(phase: UpdatePhase, more: object = {}) {
  return { id: UPDATE_ID, phase, version: NEW.version, rootHash: NEW.rootHash, slot: 2, ...more };
}

/** States of an install that goes well, up to armed. */
export const INSTALL = [
  updateState(UpdatePhase.DISARMING),
  updateState(UpdatePhase.WRITING, { doneBytes: 50n * MIB, totalBytes: 100n * MIB }),
  updateState(UpdatePhase.WRITING, {
    doneBytes: 75n * MIB,
    totalBytes: 100n * MIB,
    bytesPerSecond: 25n * MIB,
    remaining: durationFromMs(1000),
  }),
  updateState(UpdatePhase.VERIFYING),
  updateState(UpdatePhase.ARMING),
  updateState(UpdatePhase.ARMED),
];

/** The entry of the history for the update. */
export function historyEntry(outcome: UpdateOutcome, more: object = {}) {
  return {
    id: UPDATE_ID,
    kind: 'update',
    who: 'CN=tester',
    from: OLD,
    to: NEW,
    outcome,
    started: timestampFromMs(1_000_000),
    ...more,
  };
}

/** What a node looks like at one moment of the reboot after an install. */
export interface Moment {
  readonly bootId: string;
  readonly running: typeof OLD;
  readonly entry: object;
  readonly health?: object;
  readonly states?: readonly object[];
}

/** The moments of an update that is committed, or goes back when `isKept` is false. */
export function momentsOf({ isKept }: { readonly isKept: boolean }): Moment[] {
  const open = historyEntry(UpdateOutcome.OPEN);
  const before = { bootId: 'old', running: OLD, entry: open };
  const trial = {
    bootId: 'new',
    running: NEW,
    entry: open,
    states: [updateState(UpdatePhase.TRIAL, { waitingFor: ['time', 'probe web'] })],
  };
  if (isKept) {
    const entry = historyEntry(UpdateOutcome.COMMITTED);
    return [before, trial, { bootId: 'new', running: NEW, entry }];
  }
  const entry = historyEntry(UpdateOutcome.ROLLED_BACK, {
    cause: 'The check "probe web" did not pass within 300 s.',
    evidence: ['probe web: connection refused', 'console: \u001b[2Jone\ntwo'],
  });
  const back = { bootId: 'back', running: OLD, entry: open };
  return [before, trial, back, { bootId: 'back', running: OLD, entry }];
}

/** Handlers that answer as the node is at `now()`. */
export function momentHandlers(now: () => Moment): Record<string, Handler> {
  return {
    getStatus: () => ({ bootId: now().bootId, ...now().running }),
    getHealth: () => now().health ?? HEALTHY,
    listRollbackHistory: () => ({ entries: [now().entry] }),
    watchUpdate: async function* () {
      for (const status of now().states ?? INSTALL) yield { status };
    },
  };
}

/** WatchUpdate of a node that has installed nothing since it started. */
export const watchNothing: Handler = async function* () {
  yield { status: {} };
};
