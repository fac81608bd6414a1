import assert from 'node:assert/strict';
import { durationFromMs, timestampFromMs } from '@bufbuild/protobuf/wkt';
import { KeelError } from '@keelos/proto/errors.ts';
import {
  type CancelScheduleRequest,
  type ScheduleUpdateRequest,
  type TriggerRollbackRequest,
  UpdateOutcome,
} from '@keelos/proto/gen/keel/v1/update_pb.js';
import { operatorOfEachTest } from './operator.ts';
import {
  historyEntry,
  type Moment,
  momentHandlers,
  momentsOf,
  NEW,
  OLD,
  UPDATE_ID,
} from './updating-node.ts';

const URL_WITH_SECRET = 'https://me:geheim@h.example/b.squashfs?token=geheim';
const SOURCE = ['--source', URL_WITH_SECRET];

describe('osctl rollback', () => {
  const operator = operatorOfEachTest();
  const { given } = operator;
  const run = (...args: string[]) => operator.host.run(['rollback', ...args]);

  const triggers = (moments: readonly Moment[]) => {
    let index = 0;
    operator.host.onSleep = () => {
      index = Math.min(index + 1, moments.length - 1);
    };
    return given({
      triggerRollback: () => ({ id: UPDATE_ID, version: NEW.version, bootId: 'old' }),
      ...momentHandlers(() => moments[index] as Moment),
    });
  };

  it('says why, and does not wait', async () => {
    const { requests, calls } = await triggers(momentsOf({ isKept: true }));
    const ran = await run('trigger', '--reason', ' disk latency ', '--retry-failed');
    assert.equal(ran.out, '0.2.0 is armed: the node reboots and tries it.\n');
    const { reason, noReboot, retryFailed } = requests[0] as TriggerRollbackRequest;
    assert.deepEqual([reason, noReboot, retryFailed], ['disk latency', false, true]);
    assert.deepEqual(calls, ['TriggerRollback']);
    const left = await run('trigger', '--reason', 'x', '--no-reboot');
    assert.match(left.out, /the next boot tries it/);
  });

  it('waits until the other release is committed', async () => {
    await triggers(momentsOf({ isKept: true }));
    const ran = await run('trigger', '--reason', 'x', '--wait', '-o', 'json');
    assert.equal(ran.exitCode, 0, ran.err);
    const data = JSON.parse(ran.out);
    assert.deepEqual(Object.keys(data), [
      ...['id', 'version', 'bootId', 'history', 'running', 'healthy', 'seconds'],
    ]);
    assert.deepEqual([data.id, data.running.slot, data.healthy], [UPDATE_ID, 'b', true]);
  });

  it('ends with 37 when the other release did not prove itself', async () => {
    await triggers(momentsOf({ isKept: false }));
    const ran = await run('trigger', '--reason', 'x', '--wait');
    assert.equal(ran.exitCode, 37);
    assert.match(
      ran.err,
      /waiting: the node is back on 0\.1\.0 \(slot A\) and looks for the cause/,
    );
  });

  it('refuses a reason that says nothing or too much, and a wait for nothing', async () => {
    const { calls } = await given({});
    const table = [
      ['trigger'],
      ['trigger', '--reason', ' '],
      ['trigger', '--reason', 'ä'.repeat(129)],
      ['trigger', '--reason', 'x', '--wait', '--no-reboot'],
      ['history', 'shwo', 'x'],
      ['history', 'show'],
    ];
    for (const args of table) assert.equal((await run(...args)).exitCode, 2, args.join(' '));
    assert.deepEqual(calls, []);
  });

  it('lists what happened, and shows one of it with its evidence', async () => {
    const back = momentsOf({ isKept: false }).at(-1)?.entry as object;
    const manual = { kind: 'rollback', id: 'r-8', reason: 'too slow', from: NEW, to: OLD };
    await given({
      listRollbackHistory: () => ({
        entries: [
          historyEntry(UpdateOutcome.COMMITTED, { ...manual, ended: timestampFromMs(2_000_000) }),
          { ...back, automatic: true, who: '' },
        ],
      }),
    });
    const list = await run('history');
    assert.equal(list.exitCode, 0, list.err);
    assert.match(
      list.out,
      /^r-8 +1970-01-01T00:16:40Z +rollback +0\.2\.0 \(slot B\) +0\.1\.0 \(slot A\) +committed +CN=tester +too slow$/m,
    );
    assert.match(list.out, /^u-7 .* rolled-back +automatic +The check "probe web" did not/m);
    const shown = await run('history', 'show', UPDATE_ID);
    assert.match(shown.out, /^evidence +probe web: connection refused$/m);
    assert.match(shown.out, /^ +console: \\x1b\[2Jone$/m);
    const json = JSON.parse((await run('history', 'show', UPDATE_ID, '-o', 'json')).out);
    assert.deepEqual(Object.keys(json), [
      ...['id', 'kind', 'automatic', 'who', 'reason', 'from', 'to', 'started', 'ended'],
      ...['outcome', 'cause', 'errorCode', 'evidence'],
    ]);
    assert.deepEqual(json.to, { slot: 'b', version: '0.2.0', rootHash: NEW.rootHash });
    const none = await run('history', 'show', 'x');
    assert.equal(none.exitCode, 6);
    assert.match(none.err, /Cannot show x: the history has no entry of that id/);
  });

  it('says that nothing happened yet', async () => {
    await given({ listRollbackHistory: () => ({ entries: [] }) });
    assert.equal((await run('history')).out, 'There was no update or rollback yet.\n');
    assert.deepEqual(JSON.parse((await run('history', '-o', 'json')).out), { entries: [] });
  });
});

describe('osctl slots', () => {
  const operator = operatorOfEachTest();

  it('shows both slots, the ladder below the loader, and whether tries are counted', async () => {
    await operator.given({
      listSlots: () => ({
        slots: [
          {
            ...OLD,
            running: true,
            next: true,
            state: 5,
            entry: 'keel-7+9.conf',
            triesLeft: 9,
            sizeBytes: 2n ** 28n,
          },
          { slot: 2, state: 1, sizeBytes: 2n ** 28n },
        ],
        bootOptions: [
          { description: 'KeelOS', number: 3, correct: true },
          { description: 'KeelOS (second loader)', correct: false },
        ],
        bootCounting: true,
      }),
    });
    const { out, exitCode } = await operator.host.run(['slots']);
    assert.equal(exitCode, 0);
    assert.match(
      out,
      /^A +yes +yes +committed +0\.1\.0 +9 +keel-7\+9\.conf +256 MiB +aaaaaaaaaaaa$/m,
    );
    assert.match(out, /^B +- +- +empty +- +- +- +256 MiB +-$/m);
    assert.match(out, /^KeelOS +Boot0003 +yes$/m);
    assert.match(out, /^KeelOS \(second loader\) +- +no$/m);
    assert.match(out, /^The boot loader counts tries\.$/m);
    const json = JSON.parse((await operator.host.run(['slots', '-o', 'json'])).out);
    assert.deepEqual(Object.keys(json), ['slots', 'bootOptions', 'bootCounting']);
    assert.deepEqual(Object.keys(json.slots[1]), [
      ...['slot', 'running', 'next', 'state', 'version', 'rootHash', 'entry', 'triesLeft'],
      'sizeBytes',
    ]);
    assert.deepEqual([json.slots[0].triesLeft, json.slots[1].triesLeft], [9, null]);
  });

  it('says that updates are refused while the loader has not been seen to count', async () => {
    await operator.given({ listSlots: () => ({}) });
    const { out } = await operator.host.run(['slots']);
    assert.match(out, /^The firmware keeps no boot options\.$/m);
    assert.match(out, /has not been seen to count tries: updates are refused\.$/m);
  });
});

describe('osctl schedule', () => {
  const operator = operatorOfEachTest();
  const { given } = operator;
  const run = (...args: string[]) => operator.host.run(['schedule', ...args]);
  const schedule = {
    id: '3f9a1c',
    url: URL_WITH_SECRET,
    state: 'waiting',
    who: 'CN=tester',
    next: timestampFromMs(86_400_000),
    created: timestampFromMs(0),
    window: { days: [0], startMinute: 120, lengthMinutes: 120 },
    policy: { autoRollback: true, healthCheckTimeout: durationFromMs(300_000) },
  };

  it('asks for the time that was given', async () => {
    const { requests } = await given({ scheduleUpdate: () => ({ schedule }) });
    const times: [string[], ScheduleUpdateRequest['when']['case'], (value: never) => void][] = [
      [
        ['--at', '2026-11-25T02:00Z'],
        'at',
        ({ seconds }: { seconds: bigint }) => assert.equal(seconds, 1_795_572_000n),
      ],
      [['--in', '90m'], 'in', ({ seconds }: { seconds: bigint }) => assert.equal(seconds, 5400n)],
      [[], 'in', ({ seconds }: { seconds: bigint }) => assert.equal(seconds, 0n)],
      [
        ['--window', 'sat,sun 22:00-02:00'],
        'window',
        ({ days, startMinute, lengthMinutes }) =>
          assert.deepEqual([days, startMinute, lengthMinutes], [[0, 6], 1320, 240]),
      ],
    ];
    for (const [args, kind, check] of times) {
      const ran = await run('update', ...SOURCE, ...args);
      assert.equal(ran.exitCode, 0, ran.err);
      assert.equal(ran.out, 'Schedule 3f9a1c begins at 1970-01-02T00:00:00Z.\n');
      const { when } = requests.at(-1) as ScheduleUpdateRequest;
      assert.equal(when.case, kind);
      check(when.value as never);
    }
  });

  it('passes on everything else that was given', async () => {
    const { requests } = await given({ scheduleUpdate: () => ({ schedule }) });
    const ran = await run(
      ...['update', ...SOURCE, '--in', '2h', '--jitter', '30m', '--late-max', '15m'],
      ...['--enable-auto-rollback', '--health-check-timeout', '300', '--sha256', '0A'.repeat(32)],
    );
    assert.equal(ran.exitCode, 0, ran.err);
    const { url, sha256, jitter, lateMax, policy } = requests[0] as ScheduleUpdateRequest;
    assert.deepEqual([url, sha256], [URL_WITH_SECRET, '0a'.repeat(32)]);
    assert.deepEqual([jitter?.seconds, lateMax?.seconds], [1800n, 900n]);
    assert.deepEqual([policy?.autoRollback, policy?.healthCheckTimeout?.seconds], [true, 300n]);
  });

  it('lists, shows and cancels, without the secrets of an address', async () => {
    const { requests } = await given({
      listSchedules: () => ({ schedules: [schedule] }),
      cancelSchedule: () => ({ schedule: { ...schedule, state: 'cancelled', next: undefined } }),
    });
    const list = await run('list');
    assert.match(
      list.out,
      /^3f9a1c +waiting +.* ago +sun 02:00-04:00 UTC +https:\/\/h\.example\/b\.squashfs\?… +CN=tester +-$/m,
    );
    const shown = await run('show', '3f9a1c');
    assert.match(shown.out, /^trial +goes back by itself when it is not healthy within 300 s$/m);
    const cancelled = await run('cancel', '3f9a1c');
    assert.equal(cancelled.out, 'Schedule 3f9a1c is cancelled.\n');
    assert.equal((requests.at(-1) as CancelScheduleRequest).id, '3f9a1c');
    for (const args of [['list'], ['show', '3f9a1c'], ['cancel', '3f9a1c']]) {
      for (const format of ['table', 'json', 'yaml']) {
        const ran = await run(...args, '-o', format);
        assert.equal(ran.exitCode, 0, ran.err);
        assert.ok(!ran.out.includes('geheim'), ran.out);
      }
    }
    const json = JSON.parse((await run('show', '3f9a1c', '-o', 'json')).out);
    assert.deepEqual(Object.keys(json), [
      ...['id', 'url', 'next', 'window', 'state', 'result', 'who', 'created', 'policy'],
    ]);
    assert.equal((await run('show', 'x')).exitCode, 6);
  });

  it('passes on that there is nothing of that id', async () => {
    await given({
      cancelSchedule: () => {
        throw new KeelError('E_NOT_FOUND', 'Cannot cancel: no such schedule');
      },
      listSchedules: () => ({ schedules: [] }),
    });
    assert.equal((await run('cancel', 'x')).exitCode, 6);
    assert.equal((await run('list')).out, 'There are no schedules.\n');
  });

  it('refuses what cannot be meant before it calls the node', async () => {
    const { calls } = await given({});
    const table: [string[], RegExp][] = [
      [['update', '--in', '1h'], /--source/],
      [['update', '--source', './b.squashfs'], /this machine may not be there/],
      [['update', ...SOURCE, '--in', '1h', '--at', '2026-11-25T02:00Z'], /only one of/],
      [['update', ...SOURCE, '--at', '02:00'], /a time with a zone/],
      [['update', ...SOURCE, '--window', 'sunday'], /Cannot use window/],
      [['update', ...SOURCE, '--in', '31d'], /longer than 30 days/],
      [['update', ...SOURCE, '--jitter', '5'], /Cannot use duration/],
      [['show'], /id/],
    ];
    for (const [args, expected] of table) {
      const ran = await run(...args);
      assert.equal(ran.exitCode, 2, `${args.join(' ')}: ${ran.err}`);
      assert.match(ran.err, expected);
    }
    assert.deepEqual(calls, []);
  });
});
