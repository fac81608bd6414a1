import assert from 'node:assert/strict';
import type { Schedule, ScheduleTime } from '@keelos/proto/update-record.ts';
import {
  afterClockStep,
  compareSchedules,
  judgeSchedule,
  openingAt,
  retriesUntilMs,
  startFrom,
  type Window,
  withinBounds,
} from '@keelos/ts-agent/core/schedule.ts';
import { outcomeOf, schedulesFrom } from '@keelos/ts-agent/core/schedule-record.ts';
import { type ScheduleRequest, scheduleFrom } from '@keelos/ts-agent/core/schedule-request.ts';
import fc from 'fast-check';

/** A Wednesday. */
const DAY = '2026-07-01';
const at = (time: string) => Date.parse(`${time.includes('T') ? time : `${DAY}T${time}`}Z`);
const show = (ms: number) => new Date(ms).toISOString().slice(0, 16);
const POLICY = { autoRollback: true, healthTimeoutSeconds: 300, minHealthySeconds: 10 };

function schedule(time: ScheduleTime, more: Partial<Schedule> = {}): Schedule {
  return {
    id: 's1',
    url: 'https://x/y',
    sha256: '',
    time,
    policy: POLICY,
    who: 'anna',
    jitterSeconds: 0,
    drawnSeconds: 0,
    lateSecondsMax: 3_600,
    createdMs: 0,
    state: 'waiting',
    result: '',
    nextMs: 0,
    ...more,
  };
}

function window(days: readonly number[], startMinute: number, lengthMinutes: number): Window {
  return { kind: 'window', days, startMinute, lengthMinutes };
}

describe('windows', () => {
  const night = window([], 23 * 60, 120);
  const rows: readonly (readonly [
    name: string,
    Window,
    now: string,
    start: string,
    end: string,
  ])[] = [
    [
      'before it, the same day',
      window([], 120, 60),
      '01:59',
      '2026-07-01T02:00',
      '2026-07-01T03:00',
    ],
    ['at its first moment', window([], 120, 60), '02:00', '2026-07-01T02:00', '2026-07-01T03:00'],
    ['at its last', window([], 120, 60), '02:59', '2026-07-01T02:00', '2026-07-01T03:00'],
    ['at its end', window([], 120, 60), '03:00', '2026-07-02T02:00', '2026-07-02T03:00'],
    ['past midnight, in it', night, '00:30', '2026-06-30T23:00', '2026-07-01T01:00'],
    ['past midnight, after it', night, '01:00', '2026-07-01T23:00', '2026-07-02T01:00'],
    ['Sundays', window([0], 60, 30), '12:00', '2026-07-05T01:00', '2026-07-05T01:30'],
    [
      'Wednesdays, over for today',
      window([3], 60, 30),
      '12:00',
      '2026-07-08T01:00',
      '2026-07-08T01:30',
    ],
    [
      'Tuesday night in Wednesday',
      window([2], 1_439, 60),
      '00:58',
      '2026-06-30T23:59',
      '2026-07-01T00:59',
    ],
    ['a whole day', window([3], 0, 1_440), '23:59', '2026-07-01T00:00', '2026-07-02T00:00'],
    ['any time', window([], 0, 1_440), '00:00', '2026-07-01T00:00', '2026-07-02T00:00'],
    ['Mondays and Fridays', window([1, 5], 0, 60), '12:00', '2026-07-03T00:00', '2026-07-03T01:00'],
  ];
  for (const [name, one, now, start, end] of rows) {
    it(`${name}: ${start}`, () => {
      const opening = openingAt(one, at(now));
      assert.deepEqual([show(opening.startMs), show(opening.endMs)], [start, end]);
    });
  }

  const anyWindow = fc
    .record({
      days: fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { maxLength: 7 }),
      startMinute: fc.integer({ min: 0, max: 1_439 }),
      lengthMinutes: fc.integer({ min: 1, max: 1_440 }),
    })
    .map((one): Window => ({ kind: 'window', ...one }));
  const anyTime = fc.integer({ min: at('2026-01-01T00:00'), max: at('2040-01-01T00:00') });

  it('are found as a walk over the minutes of the calendar finds them', () => {
    const isOpen = (one: Window, ms: number): boolean =>
      [0, 1].some((daysBack) => {
        const day = new Date(ms - daysBack * 86_400_000);
        if (one.days.length > 0 && !one.days.includes(day.getUTCDay())) return false;
        const startMs = Date.UTC(
          day.getUTCFullYear(),
          day.getUTCMonth(),
          day.getUTCDate(),
          0,
          one.startMinute,
        );
        return ms >= startMs && ms < startMs + one.lengthMinutes * 60_000;
      });
    fc.assert(
      fc.property(anyWindow, anyTime, (one, ms) => {
        const nowMs = Math.floor(ms / 60_000) * 60_000;
        const { startMs, endMs } = openingAt(one, nowMs);
        assert.ok(nowMs < endMs && endMs - startMs === one.lengthMinutes * 60_000);
        assert.equal(isOpen(one, nowMs), startMs <= nowMs);
        assert.ok(isOpen(one, startMs) && isOpen(one, endMs - 60_000));
        for (let minute = nowMs; minute < startMs; minute += 60_000) {
          if (isOpen(one, minute)) assert.fail(`open at ${show(minute)} already`);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('are never left by what was drawn', () => {
    fc.assert(
      fc.property(
        anyWindow,
        anyTime,
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (one, nowMs, share) => {
          const drawn = Math.floor(share * one.lengthMinutes * 60);
          const { nextMs, endMs } = startFrom(one, drawn, nowMs);
          assert.ok(nextMs >= nowMs && nextMs < endMs);
          assert.equal(openingAt(one, nextMs).endMs, endMs);
          assert.ok(
            judgeSchedule(schedule(one, { nextMs, drawnSeconds: drawn }), nextMs).kind === 'start',
          );
        },
      ),
    );
  });
});

describe('is it time?', () => {
  const fixed: ScheduleTime = { kind: 'at', atMs: at('12:00'), isRelative: false };
  const daily = window([], 720, 60);
  const waitingFor = (time: ScheduleTime, next: string, more: Partial<Schedule> = {}) =>
    schedule(time, { nextMs: at(next), ...more });
  const rows: readonly (readonly [
    name: string,
    Schedule,
    now: string,
    kind: string,
    next: string,
  ])[] = [
    ['before', waitingFor(fixed, '12:00'), '11:59', 'wait', ''],
    ['at the time', waitingFor(fixed, '12:00'), '12:00', 'start', ''],
    ['late, in time', waitingFor(fixed, '12:00'), '13:00', 'start', ''],
    ['too late', waitingFor(fixed, '12:00'), '13:01', 'missed', 'missed'],
    [
      'too late, no lateness allowed',
      waitingFor(fixed, '12:00', { lateSecondsMax: 0 }),
      '12:01',
      'missed',
      'missed',
    ],
    ['late counts from what was drawn', waitingFor(fixed, '12:30'), '13:30', 'start', ''],
    ['before the window', waitingFor(daily, '12:00'), '11:59', 'wait', ''],
    ['in the window, before what was drawn', waitingFor(daily, '12:30'), '12:29', 'wait', ''],
    ['in the window', waitingFor(daily, '12:30'), '12:59', 'start', ''],
    [
      'after the window',
      waitingFor(daily, '12:30', { drawnSeconds: 1_800 }),
      '13:00',
      'missed',
      '2026-07-02T12:30',
    ],
    [
      'a week later, in a window',
      waitingFor(daily, '12:30'),
      '2026-07-08T12:10',
      'missed',
      '2026-07-08T12:10',
    ],
    [
      'clock set back by a week',
      waitingFor(daily, '12:00'),
      '2026-06-24T09:00',
      'moved',
      '2026-06-24T12:00',
    ],
    ['clock set back by an hour', waitingFor(daily, '12:30'), '11:30', 'wait', ''],
  ];
  for (const [name, one, now, kind, next] of rows) {
    it(`${name}: ${kind} ${next}`, () => {
      const decision = judgeSchedule(one, at(now));
      assert.equal(decision.kind, kind);
      if (!('next' in decision)) return;
      const { state, nextMs, result } = decision.next;
      assert.equal(nextMs === 0 ? state : show(nextMs), next);
      if (kind === 'missed') assert.match(result, /was missed/);
    });
  }

  it('moves with a clock that is set only what was asked for as a duration', () => {
    const relative: ScheduleTime = { kind: 'at', atMs: at('12:00'), isRelative: true };
    const rowsOfSteps: readonly (readonly [
      ScheduleTime,
      state: Schedule['state'],
      stepMs: number,
      movedMs: number,
    ])[] = [
      [relative, 'waiting', 86_400_000, 86_400_000],
      [relative, 'waiting', -60_000, -60_000],
      [relative, 'waiting', 4_999, 0],
      [relative, 'running', 86_400_000, 0],
      [fixed, 'waiting', 86_400_000, 0],
      [daily, 'waiting', 86_400_000, 0],
    ];
    for (const [time, state, stepMs, movedMs] of rowsOfSteps) {
      const before = waitingFor(time, '12:05', { state });
      const after = afterClockStep(before, stepMs);
      assert.equal(after.nextMs - before.nextMs, movedMs);
      if (time.kind === 'at' && after.time.kind === 'at') {
        assert.equal(after.time.atMs - time.atMs, movedMs);
      }
    }
  });

  it('is tried again within the lateness, or to the end of the window', () => {
    assert.equal(show(retriesUntilMs(waitingFor(fixed, '12:10'))), '2026-07-01T13:10');
    assert.equal(show(retriesUntilMs(waitingFor(daily, '12:10'))), '2026-07-01T13:00');
  });

  it('the list begins with what runs, then the next, and ends with the oldest that is over', () => {
    const one = (id: string, state: Schedule['state'], nextMs: number, createdMs: number) =>
      schedule(fixed, { id, state, nextMs, createdMs });
    const all = [
      one('old', 'failed', 0, 1),
      one('later', 'waiting', 9, 3),
      one('new', 'done', 0, 2),
      one('runs', 'running', 99, 4),
      one('next', 'waiting', 5, 5),
    ];
    const ids = (list: readonly Schedule[]) => list.map(({ id }) => id).join(' ');
    assert.equal(ids(all.toSorted(compareSchedules)), 'runs next later new old');
    const many = Array.from({ length: 100 }, (_, index) => one(`e${index}`, 'done', 0, index));
    const bounded = withinBounds([...many, ...all]);
    assert.equal(bounded.length, 64);
    assert.equal(ids(bounded.slice(0, 4)), 'runs next later e99');
  });
});

describe('what may be scheduled', () => {
  const NOW = at('12:00');
  const base: ScheduleRequest = {
    url: 'https://updates.example/keelos.squashfs',
    sha256: '',
    when: { inSeconds: 60 },
    jitterSeconds: 0,
    lateSecondsMax: undefined,
    policy: POLICY,
    who: 'anna',
  };
  const make = (change: Partial<ScheduleRequest>, share = 0) =>
    scheduleFrom({ ...base, ...change }, { id: 's1', nowMs: NOW, share });

  it('a time, a duration, a window', () => {
    const rows: readonly (readonly [Partial<ScheduleRequest>, share: number, next: string])[] = [
      [{ when: { atMs: at('13:00') } }, 0, '2026-07-01T13:00'],
      [{ when: { inSeconds: 90 * 60 } }, 0, '2026-07-01T13:30'],
      [{ when: { inSeconds: 0 } }, 0, '2026-07-01T12:00'],
      [{ when: { atMs: at('13:00') }, jitterSeconds: 3_600 }, 0.5, '2026-07-01T13:30'],
      [
        { when: { days: [], startMinute: 60, lengthMinutes: 60 }, jitterSeconds: 1_800 },
        0.999_999,
        '2026-07-02T01:30',
      ],
      [{ when: { days: [3], startMinute: 690, lengthMinutes: 60 } }, 0.9, '2026-07-01T12:00'],
    ];
    for (const [change, share, next] of rows) assert.equal(show(make(change, share).nextMs), next);
    assert.equal(make({}).lateSecondsMax, 3_600);
    assert.equal(make({ lateSecondsMax: 0 }).lateSecondsMax, 0);
  });

  it('and nothing else', () => {
    const whenWindow = (days: number[], startMinute: number, lengthMinutes: number) => ({
      when: { days, startMinute, lengthMinutes },
    });
    const rows: readonly (readonly [Partial<ScheduleRequest>, problem: RegExp])[] = [
      [{ url: '' }, /URL/],
      [{ url: 'ftp://x/y' }, /URL/],
      [{ url: 'file:///etc/passwd' }, /URL/],
      [{ url: `https://x/${'y'.repeat(10_000)}` }, /URL/],
      [{ sha256: 'AB'.repeat(32) }, /sha256/],
      [{ sha256: 'ab' }, /sha256/],
      [{ when: { atMs: at('11:58') } }, /is past: the node's clock says 2026-07-01T12:00/],
      [{ when: { atMs: at('2029-07-01T00:00') } }, /more than two years ahead/],
      [{ when: { atMs: Number.NaN } }, /not one/],
      [{ when: { inSeconds: -1 } }, /negative/],
      [{ when: { inSeconds: 1e12 } }, /two years/],
      [{ jitterSeconds: -1 }, /jitter/],
      [{ jitterSeconds: 86_401 }, /jitter/],
      [{ jitterSeconds: 0.5 }, /jitter/],
      [{ lateSecondsMax: 604_801 }, /late_max/],
      [whenWindow([7], 0, 1), /day/],
      [whenWindow([1, 1], 0, 1), /twice/],
      [whenWindow([], 1_440, 1), /start/],
      [whenWindow([], 0, 0), /length/],
      [whenWindow([], 0, 1_441), /length/],
      [{ ...whenWindow([], 0, 10), jitterSeconds: 600 }, /as long as the window/],
    ];
    for (const [change, problem] of rows) {
      assert.throws(() => make(change), { code: 'E_INVALID_ARGUMENT', message: problem });
    }
  });

  it('comes back from the disk as it was, and not at all in another shape', () => {
    const whole = [make({}), make({ when: { days: [1], startMinute: 5, lengthMinutes: 9 } })];
    assert.deepEqual(schedulesFrom(JSON.parse(JSON.stringify({ schedules: whole }))), whole);
    const [first] = whole;
    const wrong: readonly unknown[] = [
      null,
      [],
      {},
      { schedules: [null] },
      ...Object.keys(first ?? {}).map((key) => ({ schedules: [{ ...first, [key]: null }] })),
      { schedules: [{ ...first, state: 'x' }] },
      {
        schedules: [
          { ...first, time: { kind: 'window', days: [9], startMinute: 0, lengthMinutes: 1 } },
        ],
      },
      {
        schedules: [
          { ...first, time: { kind: 'window', days: [], startMinute: 0, lengthMinutes: 0 } },
        ],
      },
    ];
    for (const value of wrong) assert.equal(schedulesFrom(value), undefined, JSON.stringify(value));
  });

  it('says what came of it, by the newest entry that it has made', () => {
    const release = (version: string) => ({ slot: 'a' as const, version, rootHash: '' });
    const entry = (
      outcome: 'open' | 'committed' | 'rolled-back' | 'failed' | 'cancelled',
      who = 'schedule s1',
    ) => ({
      id: 'u1',
      kind: 'update' as const,
      automatic: false,
      who,
      reason: '',
      from: release('1'),
      to: release('2'),
      startedMs: 0,
      endedMs: 0,
      outcome,
      cause: 'Probe is red.',
      code: '',
      evidence: [],
    });
    const rows: readonly (readonly [Parameters<typeof outcomeOf>[0], expected: string])[] = [
      [[], 'unknown'],
      [[entry('committed', 'anna'), entry('committed', 'schedule s10')], 'unknown'],
      [[entry('open'), entry('failed')], 'open'],
      [[entry('committed')], 'done Release 2 is committed.'],
      [[entry('rolled-back')], 'failed The node is back on 1: Probe is red.'],
      [[entry('failed')], 'failed The install failed: Probe is red.'],
      [[entry('cancelled')], 'failed The install was cancelled.'],
    ];
    for (const [entries, expected] of rows) {
      const outcome = outcomeOf(entries, 's1');
      assert.equal(
        'result' in outcome ? `${outcome.kind} ${outcome.result}` : outcome.kind,
        expected,
      );
    }
  });
});
