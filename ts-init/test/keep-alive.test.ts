import assert from 'node:assert/strict';
import { SERVICES } from '../src/core/services.data.ts';
import {
  initialSupervisor,
  nextWakeMs,
  type SupervisorEvent,
  type SupervisorState,
  step,
} from '../src/core/supervisor.ts';
import { createServiceRunner } from '../src/shell/service-runner.ts';
import { createFakeMachine } from './fake-machine.ts';

const FIRST_MS = 300_000;
const NEXT_MS = 180_000;
const LATE_MS = 10_000;
const DEFINITION = {
  name: 'a',
  after: [],
  backoff: { firstMs: 500, maxMs: 30_000, stableMs: 60_000 },
  stopGraceMs: 5_000,
} as const;
const KEPT = { ...DEFINITION, keepAlive: { firstMs: FIRST_MS, nextMs: NEXT_MS } };
const ALIVE: SupervisorEvent = { type: 'alive', name: 'a' };
const TICK: SupervisorEvent = { type: 'tick' };
const EXITED: SupervisorEvent = { type: 'exited', name: 'a', exit: 'signal SIGKILL' };
const restart = (kill: boolean): SupervisorEvent => ({ type: 'restart', name: 'a', kill });

/** Plays events on a service that runs since 0 ms as pid 7; effects of each event as type names. */
function play(
  events: readonly (readonly [number, SupervisorEvent])[],
  definition: typeof DEFINITION | typeof KEPT = KEPT,
) {
  let state: SupervisorState = initialSupervisor([definition], 0);
  const all: (readonly [number, SupervisorEvent])[] = [
    [0, { type: 'start' }],
    [0, { type: 'spawned', name: 'a', pid: 7 }],
    ...events,
  ];
  const effects = all.map(([atMs, event]) => {
    const result = step(state, event, atMs);
    state = result.state;
    return result.effects.map(({ type }) => type);
  });
  return { service: state.services[0], effects: effects.slice(2), wakeMs: nextWakeMs(state) };
}

describe('supervisor: a service that has to keep itself alive', () => {
  it('is killed once when its first word does not come, a last moment after its time', () => {
    const at = [FIRST_MS - 1, FIRST_MS, FIRST_MS + LATE_MS - 1, FIRST_MS + LATE_MS, 900_000];
    const { effects, wakeMs } = play(at.map((ms) => [ms, TICK]));
    assert.deepEqual(effects, [[], [], [], ['kill-silent'], []]);
    assert.equal(wakeMs, undefined);
    assert.equal(play([]).wakeMs, FIRST_MS);
  });

  it('lives as long as words come, and that of the last moment counts', () => {
    const words = [1_000, 150_000, 330_000, 510_000 + LATE_MS - 1];
    const { effects, wakeMs } = play([
      ...words.slice(0, 3).map((ms) => [ms, ALIVE] as const),
      [510_000, TICK],
      [words[3] ?? 0, ALIVE],
      [510_000 + LATE_MS, TICK],
    ]);
    assert.deepEqual(effects.flat(), []);
    assert.equal(wakeMs, (words[3] ?? 0) + NEXT_MS);
  });

  it('that hangs later is killed, counts a failure, and gets its whole time again', () => {
    const killedMs = 1_000 + NEXT_MS + LATE_MS;
    const { effects, service, wakeMs } = play([
      [1_000, ALIVE],
      [1_000 + NEXT_MS, TICK],
      [killedMs, TICK],
      [killedMs + 5, EXITED],
      [killedMs + 505, TICK],
      [killedMs + 505, { type: 'spawned', name: 'a', pid: 8 }],
    ]);
    assert.deepEqual(effects, [[], [], ['kill-silent'], ['kill-group'], ['spawn'], []]);
    assert.deepEqual([service?.failures, service?.restarts, service?.isLate], [1, 1, false]);
    assert.equal(wakeMs, killedMs + 505 + FIRST_MS);
  });

  it('that is asked to end keeps the grace it has, whatever it says', () => {
    const { effects, wakeMs } = play([
      [10, restart(false)],
      [20, ALIVE],
    ]);
    assert.deepEqual(effects, [['terminate'], []]);
    assert.equal(wakeMs, 10 + KEPT.stopGraceMs);
  });

  it('is nobody who need not say so', () => {
    const { effects, wakeMs } = play(
      [
        [1, ALIVE],
        [9_000_000, TICK],
      ],
      DEFINITION,
    );
    assert.deepEqual([effects.flat(), wakeMs], [[], undefined]);
  });

  it('that waits for its back-off gets nothing from a word that comes late', () => {
    const { wakeMs } = play([
      [5, EXITED],
      [6, ALIVE],
    ]);
    assert.equal(wakeMs, 505);
  });
});

describe('PID 1 and an agent that hangs', () => {
  it('kills its group when its words stop, says why, and starts another', async () => {
    const machine = createFakeMachine();
    const runner = createServiceRunner(machine, SERVICES);
    runner.start();
    for (let minute = 0; minute < 30; minute += 1) {
      assert.equal(runner.keepAlive('agent'), true);
      await machine.clock.advance(60_000);
    }
    const kill = '/sys/fs/cgroup/keel/agent/cgroup.kill';
    assert.equal(machine.files.exists(kill), false);
    await machine.clock.advance(NEXT_MS - 60_000 + LATE_MS);
    assert.equal(machine.files.readText(kill), '1');
    assert.match(machine.log.lines.join('\n'), /service agent: it hangs, and is killed/);
    machine.processes.started[0]?.exit('signal SIGKILL');
    await machine.clock.advance(500);
    assert.equal(machine.processes.started.length, 2);
  });

  it('refuses the word of a service that it does not know', () => {
    const runner = createServiceRunner(createFakeMachine(), SERVICES);
    assert.equal(runner.keepAlive('kubelet'), false);
  });
});
