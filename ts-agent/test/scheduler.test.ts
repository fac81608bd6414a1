import assert from 'node:assert/strict';
import { KeelError } from '@keelos/proto/errors.ts';
import { NODE_PATHS } from '@keelos/proto/node-paths.ts';
import type { HistoryEntry, Schedule } from '@keelos/proto/update-record.ts';
import { UPDATE_PATHS } from '@keelos/proto/update-record.ts';
import type { ScheduleRequest } from '@keelos/ts-agent/core/schedule-request.ts';
import { RETRY_MS, Scheduler } from '@keelos/ts-agent/shell/scheduler.ts';
import { createFakeClock } from '@keelos/ts-agent/sys/clock.fake.ts';
import { createFakeKernelFiles } from '@keelos/ts-agent/sys/kernel-files.fake.ts';
import { MemoryStateStore } from '@keelos/ts-agent/sys/state-store.fake.ts';

const START_MS = Date.parse('2026-07-01T12:00:00Z');
const HOUR_MS = 3_600_000;
const ID_BYTES = 4;
const RELEASE = { slot: 'a', version: '0.2.0', rootHash: '' } as const;
const REQUEST: ScheduleRequest = {
  url: 'https://updates.example/keelos.squashfs',
  sha256: '',
  when: { inSeconds: 3_600 },
  jitterSeconds: 0,
  lateSecondsMax: undefined,
  policy: { autoRollback: true, healthTimeoutSeconds: 300, minHealthySeconds: 10 },
  who: 'anna',
};

/** A node: its disk, its clock, and an engine that says what it is told to say. */
class World {
  readonly state = new MemoryStateStore();
  readonly clock = createFakeClock(START_MS);
  readonly files = createFakeKernelFiles();
  readonly logged: string[] = [];
  readonly started: string[] = [];
  history: HistoryEntry[] = [];
  refusal: KeelError | undefined;
  /** What the disk knows of the schedules when an install begins. */
  onStart = (_schedule: Schedule): void => undefined;
  /** The byte that the jitter is drawn from; ids are counted. */
  drawn = 0;
  ids = 1;

  constructor() {
    this.believe(true);
  }

  believe(trusted: boolean): void {
    const report = { clock: { source: 'rtc', trusted, rtcMs: 0, problem: '' } };
    this.files.files.set(NODE_PATHS.bootReport, JSON.stringify(report));
  }

  agent(): Scheduler {
    const ports = {
      state: this.state,
      clock: this.clock,
      files: this.files,
      random: (count: number) => Buffer.alloc(count, count === ID_BYTES ? this.ids++ : this.drawn),
      log: (line: string) => void this.logged.push(line),
    };
    return new Scheduler(ports, {
      start: async (schedule) => {
        this.onStart(schedule);
        if (this.refusal !== undefined) throw this.refusal;
        this.started.push(schedule.id);
      },
      history: () => this.history,
    });
  }

  entry(who: string, outcome: HistoryEntry['outcome']): void {
    this.history = [
      {
        id: 'u1',
        kind: 'update',
        automatic: false,
        who,
        reason: '',
        from: RELEASE,
        to: RELEASE,
        startedMs: 0,
        endedMs: 0,
        outcome,
        cause: '',
        code: '',
        evidence: [],
      },
    ];
  }
}

const stateOf = (scheduler: Scheduler) => scheduler.list().map(({ state }) => state);

describe('scheduled updates', () => {
  it('begin at their time, once, and end as the history says', async () => {
    const world = new World();
    const scheduler = world.agent();
    const { id } = scheduler.add(REQUEST);
    world.onStart = () => {
      const onDisk = Buffer.from(world.state.read(UPDATE_PATHS.schedules) ?? []).toString();
      assert.match(onDisk, /"state":"running"/, 'the disk knows before it begins');
    };
    world.clock.advance(HOUR_MS - 1);
    await scheduler.look();
    assert.deepEqual(world.started, []);
    world.clock.advance(1);
    await scheduler.look();
    await scheduler.look();
    assert.deepEqual(world.started, [id]);
    assert.deepEqual(stateOf(scheduler), ['running']);
    world.entry(`schedule ${id}`, 'open');
    await scheduler.look();
    assert.deepEqual(stateOf(scheduler), ['running']);
    world.entry(`schedule ${id}`, 'committed');
    await scheduler.look();
    assert.deepEqual(stateOf(scheduler), ['done']);
    assert.equal(scheduler.list()[0]?.result, 'Release 0.2.0 is committed.');
  });

  it('are told as ended as soon as the history says so, and are on the disk at the next look', async () => {
    const world = new World();
    const scheduler = world.agent();
    const { id } = scheduler.add(REQUEST);
    world.clock.advance(HOUR_MS);
    await scheduler.look();
    world.entry(`schedule ${id}`, 'committed');
    assert.deepEqual(stateOf(scheduler), ['done']);
    assert.throws(() => scheduler.cancel(id, 'anna'), /it is done/);
    const onDisk = () => Buffer.from(world.state.read(UPDATE_PATHS.schedules) ?? []).toString();
    assert.match(onDisk(), /"state":"running"/);
    await scheduler.look();
    assert.match(onDisk(), /"state":"done"/);
  });

  it('survive the agent and the machine, at every point of their life', async () => {
    const rows: readonly (readonly [
      name: string,
      HistoryEntry['outcome'] | undefined,
      expected: string,
    ])[] = [
      ['cut off before the install had begun', undefined, 'running'],
      ['the install is open', 'open', 'running'],
      ['committed meanwhile', 'committed', 'done'],
      ['rolled back meanwhile', 'rolled-back', 'failed'],
    ];
    for (const [name, outcome, expected] of rows) {
      const world = new World();
      const first = world.agent();
      const { id } = first.add(REQUEST);
      const second = world.agent();
      assert.deepEqual(second.list(), first.list(), name);
      world.clock.advance(HOUR_MS);
      await second.look();
      if (outcome !== undefined) world.entry(`schedule ${id}`, outcome);
      const third = world.agent();
      third.start();
      await third.look();
      third.close();
      assert.deepEqual(stateOf(third), [expected], name);
      assert.equal(world.started.length, outcome === undefined ? 2 : 1, name);
    }
  });

  it('that are cut off at their start again and again are given up', async () => {
    const world = new World();
    world.agent().add({ ...REQUEST, when: { inSeconds: 0 } });
    world.onStart = () => {
      throw new TypeError('a bug that ends the agent');
    };
    const seen: string[] = [];
    for (let starts = 0; starts < 5; starts += 1) {
      const agent = world.agent();
      agent.start();
      await agent.look().catch(() => {});
      agent.close();
      seen.push(...stateOf(agent));
    }
    assert.deepEqual(seen, ['running', 'running', 'failed', 'failed', 'failed']);
  });

  it('that were missed are not made up for', async () => {
    const world = new World();
    world.agent().add({ ...REQUEST, lateSecondsMax: 600 });
    world.agent().add({ ...REQUEST, when: { days: [], startMinute: 780, lengthMinutes: 30 } });
    world.clock.advance(HOUR_MS + 31 * 60_000);
    const scheduler = world.agent();
    await scheduler.look();
    assert.deepEqual(world.started, []);
    assert.deepEqual(stateOf(scheduler), ['waiting', 'missed']);
    const [next] = scheduler.list();
    assert.equal(new Date(next?.nextMs ?? 0).toISOString(), '2026-07-02T13:00:00.000Z');
    assert.match(next?.result ?? '', /window of 2026-07-01T13:00.*missed/);
  });

  it('wait while the clock is not believed, and are not missed when it is set forward', async () => {
    const world = new World();
    world.believe(false);
    const scheduler = world.agent();
    scheduler.add(REQUEST);
    scheduler.add({ ...REQUEST, when: { atMs: START_MS + HOUR_MS } });
    world.clock.advance(HOUR_MS);
    await scheduler.look();
    await scheduler.look();
    assert.deepEqual(world.started, []);
    assert.equal(world.logged.filter((line) => line.includes('not believed')).length, 1);
    // The time from a server: three years later.
    world.clock.set(START_MS + 3 * 8_766 * HOUR_MS);
    world.believe(true);
    await scheduler.look();
    assert.equal(world.started.length, 1, 'the duration is over, whatever the time is now');
    assert.deepEqual(stateOf(scheduler), ['running', 'missed']);
  });

  it('keep their distance when the clock is set in small steps', async () => {
    const world = new World();
    const scheduler = world.agent();
    scheduler.add(REQUEST);
    for (let step = 0; step < 100; step += 1) {
      world.clock.set(world.clock.nowMs() + 2_000);
      await scheduler.look();
    }
    const left = (scheduler.list()[0]?.nextMs ?? 0) - world.clock.nowMs();
    assert.ok(Math.abs(left - HOUR_MS) <= 5_000, `${left}`);
  });

  it('do not move for a clock that was set before they were made', async () => {
    const world = new World();
    const scheduler = world.agent();
    scheduler.cancel(scheduler.add(REQUEST).id, 'anna');
    world.clock.set(START_MS + 48 * HOUR_MS);
    const { nextMs } = scheduler.add(REQUEST);
    await scheduler.look();
    assert.equal(scheduler.list()[0]?.nextMs, nextMs);
  });

  it('draw their jitter once', () => {
    const world = new World();
    world.drawn = 0x80;
    world.agent().add({ ...REQUEST, jitterSeconds: 1_000 });
    const next = () => world.agent().list()[0]?.nextMs ?? 0;
    const first = next();
    assert.ok(first > START_MS + HOUR_MS && first < START_MS + HOUR_MS + 1_000_000);
    world.drawn = 0x11;
    assert.equal(next(), first);
  });

  it('are tried again for a passing reason, as long as they may be late', async () => {
    const rows: readonly (readonly [code: KeelError['code'], attempts: number])[] = [
      ['E_UPDATE_RUNNING', 5],
      ['E_SOURCE_UNREACHABLE', 5],
      ['E_SIGNATURE_WRONG', 1],
      ['E_NO_TRUST', 1],
    ];
    for (const [code, attempts] of rows) {
      const world = new World();
      const scheduler = world.agent();
      scheduler.add({ ...REQUEST, when: { inSeconds: 0 }, lateSecondsMax: 540 });
      world.refusal = new KeelError(code, 'Cannot start: x');
      let count = 0;
      world.onStart = () => {
        count += 1;
      };
      for (let seconds = 0; seconds < 1_200; seconds += 5) {
        await scheduler.look();
        world.clock.advance(5_000);
      }
      assert.equal(count, attempts, code);
      assert.deepEqual(stateOf(scheduler), ['failed'], code);
      assert.match(scheduler.list()[0]?.result ?? '', new RegExp(`Cannot start: x \\(${code}\\)`));
    }
    assert.equal(RETRY_MS, 120_000);
  });

  it('do not begin when the disk does not take that they do', async () => {
    const world = new World();
    const scheduler = world.agent();
    scheduler.add({ ...REQUEST, when: { inSeconds: 0 } });
    world.state.writeFailure = 'ENOSPC';
    await scheduler.look();
    await scheduler.look();
    assert.deepEqual(world.started, []);
    assert.equal(world.logged.filter((line) => line.includes('no space left')).length, 1);
    world.state.writeFailure = undefined;
    await scheduler.look();
    assert.equal(world.started.length, 1);
  });

  it('do not stay running when the disk is full as their start is refused', async () => {
    for (const [code, state] of [
      ['E_STATE_FULL', 'waiting'],
      ['E_SIGNATURE_WRONG', 'failed'],
    ] as const) {
      const world = new World();
      const scheduler = world.agent();
      scheduler.add({ ...REQUEST, when: { inSeconds: 0 } });
      world.refusal = new KeelError(code, 'Cannot start: x');
      world.onStart = () => {
        world.state.writeFailure = 'ENOSPC';
      };
      await scheduler.look();
      await scheduler.look();
      assert.deepEqual(stateOf(scheduler), ['running'], code);
      world.state.writeFailure = undefined;
      world.onStart = () => undefined;
      await scheduler.look();
      assert.deepEqual(stateOf(scheduler), [state], code);
      world.refusal = undefined;
      world.clock.advance(RETRY_MS);
      await scheduler.look();
      assert.equal(world.started.length, state === 'waiting' ? 1 : 0, code);
    }
  });

  it('are cancelled while they wait, and not after', async () => {
    const world = new World();
    const scheduler = world.agent();
    const { id } = scheduler.add(REQUEST);
    assert.throws(() => scheduler.cancel('nope', 'anna'), { code: 'E_NOT_FOUND' });
    assert.equal(scheduler.cancel(id, 'bert').result, 'By "bert".');
    assert.throws(() => scheduler.cancel(id, 'anna'), { message: /it is cancelled/ });
    world.clock.advance(HOUR_MS);
    await scheduler.look();
    assert.deepEqual(world.started, []);
    const running = scheduler.add({ ...REQUEST, when: { inSeconds: 0 } });
    await scheduler.look();
    assert.throws(() => scheduler.cancel(running.id, 'anna'), { hint: /osctl update --cancel/ });
  });

  it('are bounded, and one that was cancelled makes room', () => {
    const world = new World();
    const scheduler = world.agent();
    const ids = Array.from({ length: 16 }, () => scheduler.add(REQUEST).id);
    assert.equal(new Set(ids).size, 16);
    assert.throws(() => scheduler.add(REQUEST), { code: 'E_LIMIT_EXCEEDED' });
    scheduler.cancel(ids[0] ?? '', 'anna');
    scheduler.add(REQUEST);
  });

  it('begin with none when the record cannot be read, and say so', async () => {
    const world = new World();
    world.state.replace(UPDATE_PATHS.schedules, Buffer.from('torn'));
    assert.deepEqual(world.agent().list(), []);
    assert.match(world.logged.join('\n'), /no header/);
    world.state.readFailure = 'EIO';
    assert.deepEqual(world.agent().list(), []);
    assert.match(world.logged.join('\n'), /schedules not read: .*EIO/);
  });
});
