import assert from 'node:assert/strict';
import { KeelError } from '@keelos/proto/errors.ts';
import { freePort, type Handler } from './fake-node.ts';
import { FAILING, HEALTHY, operatorOfEachTest } from './operator.ts';

describe('osctl --wait', () => {
  const operator = operatorOfEachTest();
  const { given, stop } = operator;

  it('waits for health with the clock that it is given', async () => {
    let looks = 0;
    await given({ getHealth: () => (++looks < 4 ? FAILING : HEALTHY) });
    const ran = await operator.host.run(['health', '--wait']);
    assert.equal(ran.exitCode, 0, ran.err);
    assert.equal(operator.host.slept.length, 3);
    assert.equal(ran.err, 'waiting: 1 check failing (state-partition)\n');
  });

  it('gives up waiting for health when the time is up, and says what was seen last', async () => {
    await given({ getHealth: () => FAILING });
    const ran = await operator.host.run(['health', '--wait', '--timeout', '5s']);
    assert.equal(ran.exitCode, 8);
    assert.match(
      ran.err,
      /Cannot see the node healthy within 5 s: 1 check failing \(state-partition\)/,
    );
  });

  it('does not wait for a node that does not trust us', async () => {
    await given({
      getHealth: () => {
        throw new KeelError('E_NOT_ENROLLED', 'Cannot answer: not enrolled');
      },
    });
    const ran = await operator.host.run(['health', '--wait']);
    assert.equal(ran.exitCode, 4);
    assert.deepEqual(operator.host.slept, []);
  });

  /** A reboot as a waiting client sees it; the node that comes back has `identity`, or a new one. */
  async function rebootTo(keep: boolean) {
    const port = await freePort();
    let bootId = 'old';
    // The old system is healthy to the end: that must not be taken for the new one.
    let health: object = HEALTHY;
    const handlers: Record<string, Handler> = {
      reboot: () => ({ bootId: 'old' }),
      getStatus: () => ({ bootId }),
      getHealth: () => health,
    };
    const { identity } = await given(handlers, { port });
    const steps = [
      () => stop(),
      async () => undefined,
      async () => {
        bootId = 'new';
        health = FAILING;
        await operator.restart(handlers, { port, identity: keep ? identity : undefined });
      },
      async () => {
        health = HEALTHY;
      },
    ];
    operator.host.onSleep = async () => steps.shift()?.();
    return await operator.host.run(['reboot', '--wait', '-o', 'json']);
  }

  it('waits through a reboot: old kernel, nobody there, new kernel that is not healthy yet', async () => {
    const ran = await rebootTo(true);
    assert.equal(ran.exitCode, 0, ran.err);
    assert.equal(JSON.parse(ran.out).rebooted, true);
    assert.equal(operator.host.slept.length, 4);
  });

  it('ends the wait at once when another certificate comes back from the reboot', async () => {
    const ran = await rebootTo(false);
    assert.equal(ran.exitCode, 4);
    assert.equal(JSON.parse(ran.err).error.code, 'E_FINGERPRINT_MISMATCH');
    assert.equal(operator.host.slept.length, 3);
  });

  it('takes another boot id for the new boot, and waits for its health', async () => {
    let bootId = 'old';
    // The old system is healthy to the end: that must not be taken for the new one.
    let health: object = HEALTHY;
    await given({
      reboot: () => ({ bootId: 'old' }),
      getStatus: () => ({ bootId }),
      getHealth: () => health,
    });
    const steps = [
      () => undefined,
      () => {
        bootId = 'new';
        health = FAILING;
      },
      () => {
        health = HEALTHY;
      },
    ];
    operator.host.onSleep = () => steps.shift()?.();
    const ran = await operator.host.run(['reboot', '--wait', '--reason', 'test', '-o', 'json']);
    assert.equal(ran.exitCode, 0, ran.err);
    assert.equal(JSON.parse(ran.out).rebooted, true);
    assert.equal(operator.host.slept.length, 3);
  });

  it('waits until a node that shuts down no longer answers', async () => {
    await given({ shutdown: () => ({ bootId: 'old' }) });
    let sleeps = 0;
    operator.host.onSleep = async () => {
      if (++sleeps === 2) await stop();
    };
    const ran = await operator.host.run(['shutdown', '--wait']);
    assert.equal(ran.exitCode, 0, ran.err);
    assert.equal(operator.host.slept.length, 2);
  });
});
