import assert from 'node:assert/strict';
import { durationMs } from '@bufbuild/protobuf/wkt';
import { KeelError } from '@keelos/proto/errors.ts';
import {
  type StartUpdateRequest,
  UpdateOutcome,
  UpdatePhase,
} from '@keelos/proto/gen/keel/v1/update_pb.js';
import { freePort, type Handler } from './fake-node.ts';
import { FAILING, operatorOfEachTest } from './operator.ts';
import {
  historyEntry,
  INSTALL,
  type Moment,
  momentHandlers,
  momentsOf,
  UPDATE_ID,
  updateState,
  watchNothing,
} from './updating-node.ts';

const SOURCE = ['--source', 'https://h.example/b.squashfs'];
const LINE_START = '\r\u001b[K';

describe('osctl update from a URL', () => {
  const operator = operatorOfEachTest();
  const { given, stop } = operator;
  const run = (...args: string[]) => operator.host.run(['update', ...args]);

  /** A node that installs, and then goes through `moments`, one a sleep of osctl. */
  function goesThrough(moments: readonly Moment[], more: Record<string, Handler> = {}) {
    let index = 0;
    operator.host.onSleep = () => {
      index = Math.min(index + 1, moments.length - 1);
    };
    return given({
      startUpdate: () => ({ status: updateState(UpdatePhase.CHECKING) }),
      ...momentHandlers(() => moments[index] as Moment),
      ...more,
    });
  }

  it('asks for what was asked, and returns when the release is armed', async () => {
    const { requests, calls } = await goesThrough(momentsOf({ isKept: true }));
    const ran = await run(
      ...[...SOURCE, '--sha256', 'AB'.repeat(32), '--retry-failed', '--enable-auto-rollback'],
      ...['--health-check-timeout', '120', '--min-healthy', '20'],
    );
    assert.equal(ran.exitCode, 0, ran.err);
    assert.equal(
      ran.out,
      '0.2.0 is armed: the node reboots and tries it (osctl update --watch --wait).\n',
    );
    assert.deepEqual(calls, ['WatchUpdate', 'StartUpdate', 'WatchUpdate']);
    const { url, options, caPem } = requests[1] as StartUpdateRequest;
    assert.deepEqual([url, caPem], [SOURCE[1], '']);
    assert.equal(options?.sha256, 'ab'.repeat(32));
    assert.deepEqual(
      [options?.dryRun, options?.noReboot, options?.retryFailed],
      [false, false, true],
    );
    const { policy } = options ?? {};
    assert.equal(policy?.autoRollback, true);
    assert.ok(policy?.healthCheckTimeout !== undefined && policy.minHealthy !== undefined);
    assert.deepEqual(
      [durationMs(policy.healthCheckTimeout), durationMs(policy.minHealthy)],
      [120_000, 20_000],
    );
  });

  it('leaves what was not given to the node', async () => {
    const { requests } = await goesThrough(momentsOf({ isKept: true }));
    assert.equal((await run(...SOURCE)).exitCode, 0);
    const { options } = requests[1] as StartUpdateRequest;
    assert.deepEqual(
      [options?.sha256, options?.policy?.autoRollback, options?.policy?.healthCheckTimeout],
      ['', false, undefined],
    );
  });

  it('tells phases one a line, and on a terminal within each of them how far it is', async () => {
    await goesThrough(momentsOf({ isKept: true }));
    const phases = ['checking', 'disarming', 'writing', 'verifying', 'arming'];
    assert.equal((await run(...SOURCE)).err, phases.map((one) => `${one} 0.2.0\n`).join(''));
    operator.host.isErrShown = true;
    const shown = (await run(...SOURCE)).err.split(LINE_START);
    assert.ok(shown.includes('writing 0.2.0: 50 % of 100 MiB'));
    assert.ok(shown.includes('writing 0.2.0: 75 % of 100 MiB, 25.0 MiB/s, 1 s left\n'));
    assert.equal(shown.at(-1), '');
    assert.equal((await run(...SOURCE, '-o', 'json')).err, '');
  });

  it('follows through the reboot to the commit', async () => {
    await goesThrough(momentsOf({ isKept: true }));
    const ran = await run(...SOURCE, '--wait');
    assert.equal(ran.exitCode, 0, ran.err);
    assert.equal(ran.out, 'Running 0.2.0 (slot B), healthy, committed.\n');
    assert.deepEqual(
      ran.err.split('\n').filter((line) => line.startsWith('waiting')),
      [
        'waiting: the node has not gone down yet',
        'waiting: 0.2.0 (slot B) is on trial, waiting for time, probe web',
      ],
    );
  });

  it('ends with 37 and the cause when the release did not prove itself', async () => {
    await goesThrough(momentsOf({ isKept: false }));
    const ran = await run(...SOURCE, '--wait', '-o', 'json');
    assert.equal(ran.exitCode, 37);
    const data = JSON.parse(ran.out);
    assert.deepEqual(Object.keys(data), ['status', 'history', 'running', 'healthy', 'seconds']);
    assert.deepEqual(
      [data.status.phase, data.history.outcome, data.running.version, data.healthy],
      ['armed', 'rolled-back', '0.1.0', null],
    );
    const { error } = JSON.parse(ran.err);
    assert.equal(error.code, 'E_UPDATE_ROLLED_BACK');
    assert.equal(
      error.message,
      'Cannot keep 0.2.0 (slot B): The check "probe web" did not pass within 300 s. The node is back on 0.1.0 (slot A)',
    );
    assert.equal(error.details.id, UPDATE_ID);
  });

  it('waits for the health of a committed release, which may come later', async () => {
    const moments = momentsOf({ isKept: true });
    const last = moments.at(-1) as Moment;
    await goesThrough([...moments.slice(0, -1), { ...last, health: FAILING }, last]);
    const ran = await run(...SOURCE, '--wait');
    assert.equal(ran.exitCode, 0, ran.err);
    assert.match(ran.err, /is committed, 1 check failing \(state-partition\)\n/);
  });

  it('does not take the old system that is still up for the new one', async () => {
    const [before] = momentsOf({ isKept: true });
    await goesThrough([before as Moment]);
    const ran = await run(...SOURCE, '--wait', '--timeout', '20s');
    assert.equal(ran.exitCode, 8);
    assert.match(
      ran.err,
      /Cannot see the new release committed within 20 s: the node has not gone down yet/,
    );
  });

  it('tells that the node has refused to reboot, and why', async () => {
    const [before] = momentsOf({ isKept: true });
    const armed = updateState(UpdatePhase.ARMED, {
      errorCode: 'E_CONFLICT',
      errorMessage: 'Cannot reboot: PID 1 is going down.',
    });
    await goesThrough([{ ...(before as Moment), states: [armed] }], {
      startUpdate: () => ({ status: updateState(UpdatePhase.CHECKING) }),
    });
    const refused = 'the node has refused to reboot (Cannot reboot: PID 1 is going down)';
    const ran = await run(...SOURCE, '--wait', '--timeout', '20s');
    assert.equal(ran.exitCode, 8);
    assert.ok(ran.err.includes(`within 20 s: 0.2.0 (slot B) is armed, and ${refused}`), ran.err);
    for (const args of [SOURCE, ['--watch']]) {
      const { out, exitCode } = await run(...args);
      assert.equal(exitCode, 0);
      const said = `0.2.0 is armed, and ${refused}: the next boot tries it (osctl reboot --wait).\n`;
      assert.ok(out.endsWith(said), out);
    }
  });

  it('waits through a node that is gone, and one that has forgotten the install', async () => {
    const port = await freePort();
    const moments = momentsOf({ isKept: true });
    const [before, trial, committed] = moments as [Moment, Moment, Moment];
    let now = before;
    const handlers = {
      startUpdate: () => ({ status: updateState(UpdatePhase.ARMED) }),
      ...momentHandlers(() => now),
    };
    const { identity } = await given(handlers, { port });
    const steps = [
      () => stop(),
      async () => {
        now = trial;
        const forgets: Record<string, Handler> = {
          ...handlers,
          // biome-ignore lint/correctness/useYield: it fails before it has anything to send
          watchUpdate: async function* () {
            throw new KeelError('E_NOT_FOUND', 'Cannot watch: there is no such update');
          },
        };
        await operator.restart(forgets, { port, identity });
      },
      async () => {
        now = committed;
      },
    ];
    operator.host.onSleep = async () => steps.shift()?.();
    const ran = await run(...SOURCE, '--wait');
    assert.equal(ran.exitCode, 0, ran.err);
    assert.match(ran.err, /waiting: Cannot reach/);
    assert.match(ran.err, /waiting: 0\.2\.0 \(slot B\) is on trial\n/);
  });

  it('goes on to follow an install whose connection was lost', async () => {
    let watches = 0;
    await goesThrough(momentsOf({ isKept: true }), {
      watchUpdate: async function* () {
        // The first look is for what was installed before.
        const isFirst = ++watches <= 2;
        for (const status of isFirst ? INSTALL.slice(0, 2) : INSTALL.slice(2)) yield { status };
        if (watches === 2)
          throw new KeelError('E_UNREACHABLE', 'Cannot go on: the agent starts anew');
      },
    });
    const ran = await run(...SOURCE);
    assert.equal(ran.exitCode, 0, ran.err);
    assert.equal(watches, 3);
  });

  it('asks the history when the node was restarted and has forgotten the install', async () => {
    let watches = 0;
    const moments = momentsOf({ isKept: true });
    const ended = historyEntry(UpdateOutcome.FAILED, {
      errorCode: 'E_SLOT_WRITE',
      cause: 'The agent ended in the middle.',
    });
    await goesThrough([{ ...(moments[0] as Moment), entry: ended }], {
      watchUpdate: async function* () {
        if (++watches > 2) throw new KeelError('E_NOT_FOUND', 'Cannot find update: there was none');
        yield { status: INSTALL[1] as object };
        throw new KeelError('E_UNREACHABLE', 'Cannot go on: the agent starts anew');
      },
    });
    const ran = await run(...SOURCE);
    assert.equal(ran.exitCode, 11, ran.err);
    assert.match(ran.err, /Cannot finish the update to 0\.2\.0 \(slot B\): The agent ended in/);
  });

  it('ends with the code of what the node says of the bundle', async () => {
    await given({
      watchUpdate: watchNothing,
      startUpdate: () => {
        throw new KeelError('E_SIGNATURES_TOO_FEW', 'Cannot install: 1 of 2 signatures');
      },
    });
    assert.equal((await run(...SOURCE)).exitCode, 25);
    await stop();
    const failed = updateState(UpdatePhase.FAILED, {
      errorCode: 'E_SOURCE_CHANGED',
      errorMessage: 'Cannot read: it has another ETag',
    });
    await goesThrough(momentsOf({ isKept: true }), {
      watchUpdate: async function* () {
        yield { status: failed };
      },
    });
    const ran = await run(...SOURCE, '--wait', '-o', 'json');
    assert.equal(ran.exitCode, 35);
    assert.equal(JSON.parse(ran.out).status.errorCode, 'E_SOURCE_CHANGED');
    assert.equal(JSON.parse(ran.err).error.message, 'Cannot read: it has another ETag');
  });

  it('says that everything fits after a dry run, and who reboots after --no-reboot', async () => {
    const { requests } = await given({
      watchUpdate: watchNothing,
      startUpdate: () => ({ status: updateState(UpdatePhase.CHECKED) }),
    });
    assert.equal((await run(...SOURCE, '--dry-run')).out, '0.2.0 fits: nothing was written.\n');
    assert.equal((requests[1] as StartUpdateRequest).options?.dryRun, true);
    await stop();
    const armed = await given({
      watchUpdate: watchNothing,
      startUpdate: () => ({ status: updateState(UpdatePhase.ARMED) }),
    });
    assert.equal(
      (await run(...SOURCE, '--no-reboot')).out,
      '0.2.0 is armed: the next boot tries it (osctl reboot --wait).\n',
    );
    assert.equal((armed.requests[1] as StartUpdateRequest).options?.noReboot, true);
  });

  it('asks for a delta, with what to fall back to, and says what was fetched', async () => {
    const made = { delta: true, fetchedBytes: 40_960n, bundleBytes: 50n * 1_048_576n };
    const { requests } = await given({
      watchUpdate: watchNothing,
      startUpdate: () => ({ status: updateState(UpdatePhase.ARMED, made) }),
    });
    const ran = await run('--source', 'http://h/d.kdelta', '--delta');
    assert.equal(ran.exitCode, 0, ran.err);
    assert.match(
      ran.err,
      /Made of a delta: 40\.0 KiB fetched instead of 50\.0 MiB \(99\.9 % less\)\./,
    );
    const asked = requests[1] as StartUpdateRequest;
    assert.deepEqual([asked.url, asked.deltaUrl], ['', 'http://h/d.kdelta']);
    await stop();
    const fallbackReason = 'Cannot apply delta from 0.1.0: it is for another';
    const fallen = await given({
      watchUpdate: watchNothing,
      startUpdate: () => ({ status: updateState(UpdatePhase.ARMED, { fallbackReason }) }),
    });
    const full = ['--fallback', '--full-image-url', 'http://h/b.squashfs'];
    const second = await run('--source', 'http://h/d.kdelta', '--delta', ...full);
    assert.match(second.err, /The full bundle is fetched instead of the delta: Cannot apply delta/);
    const both = fallen.requests[1] as StartUpdateRequest;
    assert.deepEqual([both.url, both.deltaUrl], ['http://h/b.squashfs', 'http://h/d.kdelta']);
  });

  it('sends the certificate authorities of --source-ca', async () => {
    const { requests } = await given({
      watchUpdate: watchNothing,
      startUpdate: () => ({ status: updateState(UpdatePhase.CHECKED) }),
    });
    operator.host.stdin = '-----BEGIN CERTIFICATE-----\n';
    assert.equal((await run(...SOURCE, '--source-ca', '-')).exitCode, 0);
    assert.equal((requests[1] as StartUpdateRequest).caPem, operator.host.stdin);
  });

  it('leaves the install to the node when it is interrupted', async () => {
    const controller = new AbortController();
    const { calls } = await given({
      startUpdate: () => ({ status: updateState(UpdatePhase.CHECKING) }),
      watchUpdate: async function* ({ signal }) {
        yield { status: INSTALL[0] as object };
        if (calls.length === 1) return;
        controller.abort(new KeelError('E_CANCELLED', 'Cannot finish: interrupted'));
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
      },
    });
    const ran = await operator.host.run(['update', ...SOURCE], controller.signal);
    assert.equal(ran.exitCode, 130);
    assert.deepEqual(calls, ['WatchUpdate', 'StartUpdate', 'WatchUpdate']);
  });

  it('says that the time is up and that the install goes on', async () => {
    await given({
      startUpdate: () => ({ status: updateState(UpdatePhase.CHECKING) }),
      watchUpdate: async function* () {
        yield { status: INSTALL[1] as object };
      },
    });
    const ran = await run(...SOURCE, '--timeout', '10s');
    assert.equal(ran.exitCode, 8);
    assert.match(
      ran.err,
      /Cannot see the install end within 10 s: writing 0\.2\.0: 50 % of 100 MiB/,
    );
    assert.match(ran.err, /hint: The install goes on: osctl update --watch/);
  });

  it('watches every state as a line of JSON', async () => {
    await goesThrough(momentsOf({ isKept: true }));
    const ran = await run('--watch', '-o', 'json');
    assert.equal(ran.exitCode, 0, ran.err);
    const lines = ran.out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      lines.map(({ phase }) => phase),
      ['disarming', 'writing', 'writing', 'verifying', 'arming', 'armed'],
    );
    assert.deepEqual(Object.keys(lines[0]), [
      ...['id', 'phase', 'version', 'rootHash', 'slot', 'doneBytes', 'totalBytes'],
      ...['bytesPerSecond', 'remainingSeconds', 'errorCode', 'errorMessage', 'started'],
      ...['waitingFor', 'resumedBytes', 'fetchedBytes', 'bundleBytes', 'delta', 'fallbackReason'],
    ]);
    assert.equal(lines[2].remainingSeconds, 1);
  });

  it('watches a trial to its end', async () => {
    const [, trial, committed] = momentsOf({ isKept: true }) as [Moment, Moment, Moment];
    await goesThrough([trial, committed]);
    const ran = await run('--watch');
    assert.equal(ran.exitCode, 0, ran.err);
    assert.equal(ran.out, 'Running 0.2.0 (slot B), healthy, committed.\n');
  });

  it('says that there is nothing to watch', async () => {
    await given({ watchUpdate: watchNothing });
    const ran = await run('--watch');
    assert.equal(ran.exitCode, 6);
    assert.match(ran.err, /none has run since the node started/);
  });

  it('cancels', async () => {
    await given({ cancelUpdate: () => ({ status: updateState(UpdatePhase.CANCELLED) }) });
    const ran = await run('--cancel');
    assert.equal(ran.out, 'The update is ended: cancelled 0.2.0.\n');
    assert.equal(JSON.parse((await run('--cancel', '-o', 'json')).out).status.phase, 'cancelled');
  });
});
