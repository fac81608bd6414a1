import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  allStopped,
  backoffMs,
  initialSupervisor,
  nextWakeMs,
  type SupervisedDefinition,
  type SupervisorEffect,
  type SupervisorEvent,
  type SupervisorState,
  step,
} from '../src/core/supervisor.ts';

const BACKOFF = { firstMs: 500, maxMs: 30_000, stableMs: 60_000 };

function define(name: string, after: readonly string[] = []): SupervisedDefinition {
  return { name, after, backoff: BACKOFF, stopGraceMs: 5_000 };
}

/** Plays events and shows the effects of each as short texts. */
function play(
  definitions: readonly SupervisedDefinition[],
  events: readonly (readonly [atMs: number, event: SupervisorEvent])[],
): { state: SupervisorState; effects: string[][] } {
  let state = initialSupervisor(definitions, 0);
  const effects = events.map(([atMs, event]) => {
    const result = step(state, event, atMs);
    state = result.state;
    return result.effects.map(show);
  });
  return { state, effects };
}

function show(effect: SupervisorEffect): string {
  return effect.type === 'terminate'
    ? `terminate ${effect.name} ${effect.pid}`
    : `${effect.type} ${effect.name}`;
}

const START: SupervisorEvent = { type: 'start' };
const STOP: SupervisorEvent = { type: 'stop' };
const TICK: SupervisorEvent = { type: 'tick' };
const spawned = (name: string, pid: number): SupervisorEvent => ({ type: 'spawned', name, pid });
const exited = (name: string, exit = 'exit 1'): SupervisorEvent => ({ type: 'exited', name, exit });

describe('supervisor', () => {
  it('starts dependents after what they need', () => {
    const { effects } = play(
      [define('a'), define('b', ['a']), define('c', ['a', 'b'])],
      [
        [0, START],
        [1, spawned('a', 10)],
        [2, spawned('b', 11)],
      ],
    );
    assert.deepEqual(effects, [['spawn a'], ['spawn b'], ['spawn c']]);
  });

  it('refuses dependencies that are missing or circular', () => {
    assert.throws(() => initialSupervisor([define('a', ['b']), define('b', ['a'])], 0), RangeError);
    assert.throws(() => initialSupervisor([define('a', ['a'])], 0), RangeError);
    assert.throws(() => initialSupervisor([define('a', ['x'])], 0), RangeError);
  });

  it('restarts after the back-off and cleans the group first', () => {
    const { effects, state } = play(
      [define('a')],
      [
        [0, START],
        [0, spawned('a', 10)],
        [100, exited('a', 'signal SIGKILL')],
        [599, TICK],
        [600, TICK],
      ],
    );
    assert.deepEqual(effects.slice(2), [['kill-group a'], [], ['spawn a']]);
    assert.equal(state.services[0]?.restarts, 1);
    assert.equal(state.services[0]?.lastExit, 'signal SIGKILL');
  });

  it('doubles the back-off up to its bound', () => {
    const delays = [1, 2, 3, 4, 5, 6, 7, 8, 60].map((failures) => backoffMs(BACKOFF, failures));
    assert.deepEqual(delays, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  });

  it('forgets failures after a stable time', () => {
    const crash: (readonly [number, SupervisorEvent])[] = [
      [0, START],
      [0, spawned('a', 10)],
      [10, exited('a')],
      [510, TICK],
      [510, spawned('a', 11)],
      [520, exited('a')],
      [1520, TICK],
      [1520, spawned('a', 12)],
    ];
    const soon = play([define('a')], [...crash, [61_519, exited('a')]]);
    const late = play([define('a')], [...crash, [61_520, exited('a')]]);
    assert.equal(nextWakeMs(soon.state), 61_519 + 2_000);
    assert.equal(nextWakeMs(late.state), 61_520 + 500);
  });

  it('backs off when a process cannot be started', () => {
    const { state, effects } = play(
      [define('a')],
      [
        [0, START],
        [5, exited('a', 'cannot start: ENOENT')],
      ],
    );
    assert.deepEqual(effects[1], ['kill-group a']);
    assert.equal(state.services[0]?.state, 'backoff');
    assert.equal(nextWakeMs(state), 505);
  });

  it('does not start a dependent again while what it needs is down', () => {
    const { effects } = play(
      [define('a'), define('b', ['a'])],
      [
        [0, START],
        [0, spawned('a', 10)],
        [0, spawned('b', 11)],
        [10, exited('a')],
        [20, exited('b')],
        [600, TICK],
        [601, spawned('a', 12)],
      ],
    );
    assert.deepEqual(effects.slice(5), [['spawn a'], ['spawn b']]);
  });

  it('stops dependents first, kills the group of one that ignores SIGTERM, then gives up waiting', () => {
    const { effects, state } = play(
      [define('a'), define('b', ['a'])],
      [
        [0, START],
        [0, spawned('a', 10)],
        [0, spawned('b', 11)],
        [100, STOP],
        [5_099, TICK],
        [5_100, TICK],
        [7_100, TICK],
        [7_200, exited('a', 'exit 0')],
      ],
    );
    assert.deepEqual(effects.slice(3), [
      ['terminate b 11'],
      [],
      ['kill-group b'],
      ['terminate a 10'],
      ['kill-group a'],
    ]);
    assert.ok(allStopped(state));
  });

  it('stops at once what waits or backs off', () => {
    const { state } = play(
      [define('a'), define('b', ['a'])],
      [
        [0, START],
        [0, exited('a')],
        [1, STOP],
      ],
    );
    assert.ok(allStopped(state));
    assert.equal(nextWakeMs(state), undefined);
  });

  it('property: never starts a service sooner than its back-off, nor twice, nor when stopping', () => {
    const names = ['a', 'b', 'c'];
    const definitions = [define('a'), define('b', ['a']), define('c', ['b'])];
    const event = fc.oneof(
      fc.constant(TICK),
      fc.constantFrom(...names).map((name) => exited(name)),
      fc.constantFrom(...names).map((name) => spawned(name, 7)),
      { weight: 1, arbitrary: fc.constant(STOP) },
    );
    const history = fc.array(fc.tuple(fc.integer({ min: 0, max: 70_000 }), event), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(history, (steps) => {
        let state = initialSupervisor(definitions, 0);
        let nowMs = 0;
        let stopping = false;
        const notBefore = new Map<string, number>();
        const pending = new Set<string>();
        const running = new Set<string>();
        const observe = (result: ReturnType<typeof step>) => {
          state = result.state;
          for (const effect of result.effects) {
            if (effect.type !== 'spawn') continue;
            assert.ok(!stopping, 'spawn while stopping');
            assert.ok(!pending.has(effect.name) && !running.has(effect.name), 'spawned twice');
            assert.ok(nowMs >= (notBefore.get(effect.name) ?? 0), 'sooner than the back-off');
            pending.add(effect.name);
          }
        };
        observe(step(state, START, nowMs));
        for (const [deltaMs, next] of steps) {
          nowMs += deltaMs;
          if (next.type === 'stop') stopping = true;
          // Only what a shell can report: answers to a spawn, exits of what runs.
          if (next.type === 'spawned') {
            if (!pending.delete(next.name)) continue;
            running.add(next.name);
          }
          if (next.type === 'exited') {
            if (!pending.delete(next.name) && !running.delete(next.name)) continue;
            notBefore.set(next.name, nowMs + BACKOFF.firstMs);
          }
          observe(step(state, next, nowMs));
        }
      }),
      { numRuns: 500 },
    );
  });
});
