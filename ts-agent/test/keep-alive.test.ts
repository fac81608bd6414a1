import assert from 'node:assert/strict';
import { KeepAlive } from '@keelos/ts-agent/shell/keep-alive.ts';
import { createFakeInit } from '@keelos/ts-agent/sys/init-client.fake.ts';

describe('the word that keeps the agent alive', () => {
  it("is the agent's own, and sent at once", async () => {
    const init = createFakeInit();
    const keepAlive = new KeepAlive({ init, log: assert.fail });
    keepAlive.start();
    keepAlive.close();
    assert.deepEqual(init.requests, [{ op: 'keepAlive', service: 'agent' }]);
  });

  it('tells of a PID 1 that cannot be asked, once for each reason', async () => {
    const init = createFakeInit();
    const logged: string[] = [];
    const keepAlive = new KeepAlive({ init, log: (line) => logged.push(line) });
    init.isReachable = false;
    await keepAlive.tell();
    await keepAlive.tell();
    assert.deepEqual(logged, ['PID 1 not told: Cannot ask PID 1: nobody listens']);
    init.isReachable = true;
    init.refused = 'keepAlive';
    await keepAlive.tell();
    assert.match(logged[1] ?? '', /E_INVALID_ARGUMENT/);
    init.refused = undefined;
    await keepAlive.tell();
    init.isReachable = false;
    await keepAlive.tell();
    assert.equal(logged.length, 3);
  });
});
