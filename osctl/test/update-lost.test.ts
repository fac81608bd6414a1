import assert from 'node:assert/strict';
import { KeelError } from '@keelos/proto/errors.ts';
import { SlotState, UpdateOutcome, UpdatePhase } from '@keelos/proto/gen/keel/v1/update_pb.js';
import { freePort, type Handler } from './fake-node.ts';
import { FAILING, HEALTHY, operatorOfEachTest } from './operator.ts';
import {
  historyEntry,
  INSTALL,
  type Moment,
  momentHandlers,
  momentsOf,
  NEW,
  OLD,
  UPDATE_ID,
  updateState,
} from './updating-node.ts';

const SOURCE = ['--source', 'https://h.example/b.squashfs'];
const ROLLBACK = ['rollback', 'trigger', '--reason', 'x', '--wait'];

describe('osctl update when something is lost', () => {
  const operator = operatorOfEachTest();
  const { given, stop } = operator;
  const run = (...args: string[]) => operator.host.run(['update', ...args]);

  /** A node whose answer to StartUpdate is lost; it knows of the install `after`wards when that is given. */
  async function losesTheAnswer(after: readonly object[]) {
    let isAsked = false;
    const node = await given({
      startUpdate: () => {
        isAsked = true;
        throw new KeelError('E_UNREACHABLE', 'Cannot reach the node: the connection was lost');
      },
      watchUpdate: async function* () {
        const earlier = updateState(UpdatePhase.COMMITTED, { id: 'u-6' });
        for (const status of isAsked ? after : [earlier]) yield { status };
      },
    });
    return node;
  }

  it('finds an install that went on when the answer to its start was lost', async () => {
    const { calls } = await losesTheAnswer(INSTALL);
    const ran = await run(...SOURCE);
    assert.equal(ran.exitCode, 0, ran.err);
    assert.match(ran.out, /^0\.2\.0 is armed/);
    assert.match(ran.err, /waiting: Cannot reach the node: the connection was lost/);
    assert.equal(calls.filter((call) => call === 'StartUpdate').length, 1);
  });

  it('does not take the install before for it', async () => {
    await losesTheAnswer([updateState(UpdatePhase.COMMITTED, { id: 'u-6' })]);
    const ran = await run(...SOURCE);
    assert.equal(ran.exitCode, 3, ran.err);
    assert.match(ran.err, /the connection was lost/);
    assert.equal(operator.host.slept.length, 1);
  });

  it('looks for it as long as the node is away, and not for ever', async () => {
    const port = await freePort();
    let isAsked = false;
    const handlers: Record<string, Handler> = {
      startUpdate: () => {
        isAsked = true;
        throw new KeelError('E_UNREACHABLE', 'Cannot reach the node: the connection was lost');
      },
      watchUpdate: async function* () {
        for (const status of isAsked ? INSTALL : [{}]) yield { status };
      },
    };
    const { identity } = await given(handlers, { port });
    const steps = [
      () => stop(),
      async () => undefined,
      async () => {
        await operator.restart(handlers, { port, identity });
      },
    ];
    operator.host.onSleep = async () => steps.shift()?.();
    assert.equal((await run(...SOURCE)).exitCode, 0);
    isAsked = false;
    operator.host.slept.length = 0;
    steps.push(() => stop());
    assert.equal((await run(...SOURCE)).exitCode, 3);
    assert.equal(operator.host.slept.length, 10);
  });

  it('waits an hour and as long as the trial may take', async () => {
    await given({
      startUpdate: () => ({ status: updateState(UpdatePhase.ARMED) }),
      ...momentHandlers(() => momentsOf({ isKept: true })[0] as Moment),
    });
    // Every sleep takes a quarter of an hour.
    operator.host.onSleep = () => void operator.host.slept.push(900_000);
    const table: [string[], string][] = [
      [[], '1 h 5 min'],
      [['--health-check-timeout', '7200'], '3 h'],
      [['--health-check-timeout', '7200', '--timeout', '5s'], '5 s'],
    ];
    for (const [args, bound] of table) {
      const ran = await run(...SOURCE, '--wait', ...args);
      assert.equal(ran.exitCode, 8);
      assert.ok(
        ran.err.includes(`committed within ${bound}: the node has not gone down yet`),
        ran.err,
      );
    }
  });

  it('says that a committed release is not healthy', async () => {
    const last = momentsOf({ isKept: true }).at(-1) as Moment;
    await given({
      startUpdate: () => ({ status: updateState(UpdatePhase.ARMED) }),
      ...momentHandlers(() => ({ ...last, health: FAILING })),
    });
    const ran = await run(...SOURCE, '--wait', '--timeout', '5s');
    assert.equal(ran.exitCode, 7, ran.err);
    assert.match(
      ran.err,
      /Cannot see 0\.2\.0 \(slot B\) healthy within 5 s: 0\.2\.0 \(slot B\) is committed, 1 check/,
    );
  });

  /** A node that comes back from the reboot without its history, and runs `running`. */
  function forgets(
    running: typeof OLD,
    states: readonly [SlotState, SlotState],
    health: object = HEALTHY,
  ) {
    let isBack = false;
    operator.host.onSleep = () => {
      isBack = true;
    };
    return given({
      startUpdate: () => ({ status: updateState(UpdatePhase.ARMED) }),
      triggerRollback: () => ({ id: UPDATE_ID, version: NEW.version, bootId: 'old' }),
      watchUpdate: async function* () {
        yield { status: {} };
      },
      getStatus: () => (isBack ? { bootId: 'new', ...running } : { bootId: 'old', ...OLD }),
      getHealth: () => health,
      listRollbackHistory: () => ({
        entries: isBack ? [] : [historyEntry(UpdateOutcome.OPEN)],
      }),
      listSlots: () => ({
        slots: [OLD, NEW].map((release, index) => ({
          ...release,
          state: states[index],
          running: release === running,
        })),
      }),
    });
  }
  const { COMMITTED, FAILED, ARMED, TRIAL } = SlotState;

  for (const args of [['update', ...SOURCE, '--wait'], ROLLBACK]) {
    const name = args[0];
    it(`${name}: goes by what runs when the node has no history any more`, async () => {
      await forgets(NEW, [COMMITTED, COMMITTED]);
      const ran = await operator.host.run([...args, '-o', 'json']);
      assert.equal(ran.exitCode, 0, ran.err);
      const { history, running, healthy } = JSON.parse(ran.out);
      assert.deepEqual([history, running.version, healthy], [null, '0.2.0', true]);
      await stop();
      await forgets(OLD, [COMMITTED, FAILED]);
      const back = await operator.host.run(args);
      assert.equal(back.exitCode, 37, back.err);
      assert.match(
        back.err,
        /Cannot keep 0\.2\.0.*no record.*The node is back on 0\.1\.0 \(slot A\)/,
      );
      assert.doesNotMatch(back.err, /history show/);
    });
  }

  it('does not call a release committed whose trial goes on, or that was not tried yet', async () => {
    const table: [typeof OLD, [SlotState, SlotState], RegExp][] = [
      [NEW, [COMMITTED, TRIAL], /0\.2\.0 \(slot B\) runs, its slot is trial/],
      [OLD, [COMMITTED, ARMED], /0\.2\.0 \(slot B\) is armed/],
    ];
    for (const [running, states, seen] of table) {
      await forgets(running, states);
      const ran = await run(...SOURCE, '--wait', '--timeout', '5s');
      assert.equal(ran.exitCode, 8, ran.err);
      assert.match(ran.err, seen);
      await stop();
    }
  });

  it('says at once that a committed release without its history is not healthy', async () => {
    await forgets(NEW, [COMMITTED, COMMITTED], FAILING);
    const ran = await run(...SOURCE, '--wait');
    assert.equal(ran.exitCode, 7, ran.err);
    assert.match(
      ran.err,
      /Cannot see 0\.2\.0 \(slot B\) healthy: it is committed, 1 check failing/,
    );
  });
});
