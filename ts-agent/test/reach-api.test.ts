/** Whether the API answers is asked by a process that is not the agent. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { apiReacher } from '@keelos/ts-agent/sys/reach-api.ts';
import { FakeWorld, Openings } from './agent-fixture.ts';

const program = {
  executable: process.execPath,
  argv0: 'keel-verifier',
  args: [fileURLToPath(new URL('run-verifier.ts', import.meta.url))],
};
const reach = apiReacher({ program, log: () => undefined });
const NEVER = new AbortController().signal;
const host = '127.0.0.1';

describe('the API as another process sees it', function () {
  this.timeout(60_000);
  const openings = new Openings();
  afterEach(() => openings.closeAll());

  it('answers with its own certificate, and a trial that shows another one is not believed', async () => {
    const agent = openings.add(await new FakeWorld().start());
    const { port, fingerprint } = agent;
    assert.equal(await reach({ host, port, fingerprint }, NEVER), '');
    const other = await reach({ host, port, fingerprint: '0'.repeat(64) }, NEVER);
    assert.match(other, /shows another certificate/);
  });

  it('does not answer: a closed port, and something else behind it', async () => {
    const server = createServer((socket) => socket.resume().end('HTTP/1.0 200 OK\r\n\r\n'));
    await new Promise<void>((resolve) => server.listen(0, host, resolve));
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    const place = { host, port: address.port, fingerprint: '0'.repeat(64) };
    assert.notEqual(await reach(place, NEVER), '');
    await new Promise((resolve) => server.close(resolve));
    assert.match(await reach(place, NEVER), /ECONNREFUSED/);
  });
});
