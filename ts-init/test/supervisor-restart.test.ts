import assert from 'node:assert/strict';
import {
  initialSupervisor,
  nextWakeMs,
  type SupervisorEvent,
  type SupervisorState,
  step,
} from '../src/core/supervisor.ts';

const GRACE_MS = 5_000;
const DEFINITION = {
  name: 'a',
  after: [],
  backoff: { firstMs: 500, maxMs: 30_000, stableMs: 60_000 },
  stopGraceMs: GRACE_MS,
} as const;
const spawned = (pid: number): SupervisorEvent => ({ type: 'spawned', name: 'a', pid });
const exited: SupervisorEvent = { type: 'exited', name: 'a', exit: 'signal SIGTERM' };
const restart = (kill: boolean): SupervisorEvent => ({ type: 'restart', name: 'a', kill });

/** Plays events on a service that runs since 0 ms as pid 7; effects of each event as type names. */
function play(...events: readonly (readonly [number, SupervisorEvent])[]) {
  let state: SupervisorState = initialSupervisor([DEFINITION], 0);
  const all: (readonly [number, SupervisorEvent])[] = [
    [0, { type: 'start' }],
    [0, spawned(7)],
  ];
  const effects = [...all, ...events].map(([atMs, event]) => {
    const result = step(state, event, atMs);
    state = result.state;
    return result.effects.map(({ type }) => type);
  });
  return { service: state.services[0], state, effects: effects.slice(2) };
}

describe('supervisor: restart on request', () => {
  it('asks the service to end, starts it again at once, and counts no failure', () => {
    const { effects, service } = play([10, restart(false)], [20, exited], [20, spawned(8)]);
    assert.deepEqual(effects, [['terminate'], ['kill-group', 'spawn'], []]);
    assert.deepEqual(
      [service?.state, service?.pid, service?.failures, service?.restarts, service?.restarting],
      ['running', 8, 0, 0, false],
    );
  });

  it('kills the group once when the service does not end in its grace', () => {
    const tick: SupervisorEvent = { type: 'tick' };
    const { effects, state } = play([10, restart(false)], [10 + GRACE_MS, tick], [9_000, tick]);
    assert.deepEqual(effects, [['terminate'], ['kill-group'], []]);
    assert.equal(nextWakeMs(state), undefined);
    assert.equal(nextWakeMs(play([10, restart(false)]).state), 10 + GRACE_MS);
  });

  it('kill: no SIGTERM, and the end counts as a crash with its back-off', () => {
    const { effects, service } = play([10, restart(true)], [11, exited]);
    assert.deepEqual(effects, [['kill-group'], ['kill-group']]);
    assert.deepEqual([service?.state, service?.failures, service?.dueMs], ['backoff', 1, 511]);
  });

  it('ends the back-off of a service that waits for it', () => {
    const { effects } = play([10, exited], [20, restart(false)]);
    assert.deepEqual(effects, [['kill-group'], ['spawn']]);
  });

  it('does nothing while the system goes down', () => {
    const { effects } = play([10, { type: 'stop' }], [20, restart(false)], [30, restart(true)]);
    assert.deepEqual(effects, [['terminate'], [], []]);
  });
});
