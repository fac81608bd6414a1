import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InitReply } from '@keelos/proto/init-control.ts';
import { initClient } from '@keelos/ts-agent/sys/init-client.ts';

const line = (text: string): InitReply => ({
  type: 'log',
  line: { timeMs: 1, stream: 'stdout', line: text },
});

describe('the socket of PID 1, as a client', () => {
  const folder = mkdtempSync(join(tmpdir(), 'keel-init-client-'));
  const path = join(folder, 'init.sock');
  let server: Server;

  /** PID 1's way of serving: Node's default, which ends its own side when the caller's has ended. */
  const serve = async (answer: (send: (reply: InitReply) => void, end: () => void) => void) => {
    server = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => {
        answer(
          (reply) => socket.write(`${JSON.stringify(reply)}\n`),
          () => socket.end(),
        );
      });
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
  };

  afterEach(() => server.close());
  after(() => rmSync(folder, { recursive: true }));

  it('follows a log for as long as the caller wants', async () => {
    let sendLater: (text: string) => void = () => {};
    await serve((send) => {
      send(line('kept'));
      sendLater = (text) => send(line(text));
    });
    const seen: string[] = [];
    const abort = new AbortController();
    const lines = initClient(path).readLog(
      { op: 'readLog', service: 'agent', follow: true },
      abort.signal,
    );
    for await (const each of lines) {
      seen.push(each.line);
      if (seen.length === 3) break;
      // A turn of the event loop for the end of our side to arrive, if it had been sent.
      setImmediate(() => setImmediate(() => sendLater(`new ${seen.length}`)));
    }
    assert.deepEqual(seen, ['kept', 'new 1', 'new 2']);
  });

  it('says once what PID 1 did not find', async () => {
    const message = 'Cannot read log: there is no service x';
    await serve((send) => send({ type: 'error', code: 'E_NOT_FOUND', message }));
    const request = { op: 'readLog', service: 'x', follow: false } as const;
    const lines = initClient(path).readLog(request, new AbortController().signal);
    await assert.rejects(lines[Symbol.asyncIterator]().next(), { code: 'E_NOT_FOUND', message });
  });

  it('ends with the answer, and says when there is none', async () => {
    await serve((send, end) => {
      send({ type: 'ok' });
      end();
    });
    assert.deepEqual(await initClient(path).request({ op: 'listServices' }), { type: 'ok' });
    server.close();
    await serve((_send, end) => end());
    await assert.rejects(initClient(path).request({ op: 'listServices' }), {
      code: 'E_INIT_UNREACHABLE',
    });
  });
});
