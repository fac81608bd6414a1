/** The update server: clients that are slow, large or many take nothing from the others. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect as connectSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { bundlePath } from '@keelos/proto/channel.ts';
import { ask } from './ask.ts';
import { RawClient } from './raw-http.ts';
import { ServedDirectory, startServer, type TestServer, until } from './served-directory.ts';

const FAST = { headersMs: 400, requestMs: 600, idleMs: 300, checkMs: 50 };
const BUNDLE_BYTES = 16_000_000;

describe('keel-image serve: limits', function () {
  this.timeout(60_000);

  let folder = '';
  const open: TestServer[] = [];
  const clients: RawClient[] = [];
  const start = async (of: Parameters<typeof startServer>[1] = {}) => {
    const test = await startServer(folder, of);
    open.push(test);
    return test;
  };
  const connect = async ({ server }: TestServer) => {
    const client = await RawClient.open(server.url);
    clients.push(client);
    return client;
  };
  const refused = ({ counters }: TestServer, reason: string) =>
    counters
      .samples()
      .find(({ name, label }) => name === 'keel_serve_refused_total' && label?.[1] === reason)
      ?.value ?? 0;
  const isServing = async ({ server }: TestServer) =>
    assert.equal((await ask(`${server.url}/healthz`)).status, 200);
  const path = bundlePath({ version: '1.0.0', arch: 'x86_64' });

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keel-serve-limits-'));
    const served = new ServedDirectory(folder);
    await served.publish([{ version: '1.0.0' }], { bundleBytes: BUNDLE_BYTES });
  });
  afterEach(async () => {
    for (const { socket } of clients.splice(0)) socket.destroy();
    for (const { server } of open.splice(0)) await server.close(0);
  });
  after(() => rm(folder, { recursive: true }));

  it('ends who sends headers byte by byte', async () => {
    const test = await start({ limits: FAST });
    const slow = await Promise.all(Array.from({ length: 20 }, () => connect(test)));
    const text = `GET /${path} HTTP/1.1\r\nhost: x\r\n`;
    for (let at = 0; !slow.every(({ isClosed }) => isClosed); at += 1) {
      for (const { socket } of slow)
        if (socket.writable) socket.write(text[at % text.length] ?? '');
      await sleep(20);
      if (at === 5) await isServing(test);
      assert.ok(at < 500, 'they are never ended');
    }
    assert.ok(
      slow.every(({ status }) => status === 408 || status === 400),
      'another answer',
    );
    assert.ok(refused(test, 'slow') >= 1);
  });

  it('ends who connects and says nothing, and who asks once and stays', async () => {
    const test = await start({ limits: FAST });
    const [silent, staying] = [await connect(test), await connect(test)];
    staying.socket.write('GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n');
    await Promise.all([silent.closed(), staying.closed()]);
    assert.equal(staying.status, 200);
  });

  it('ends who sends a body without end', async () => {
    const test = await start({ limits: FAST });
    const client = await connect(test);
    client.socket.write('POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n');
    const timer = setInterval(() => client.socket.write('1\r\nx\r\n'), 10);
    await client.closed();
    clearInterval(timer);
    assert.equal(client.status, 405);
  });

  it('ends who takes a bundle too slowly, while others get it', async () => {
    const test = await start({ blockMs: 2_000 });
    const slow = await Promise.all(Array.from({ length: 10 }, () => connect(test)));
    for (const { socket } of slow) {
      socket.pause();
      socket.write(`GET /${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
    }
    const { body } = await ask(`${test.server.url}/${path}`);
    assert.equal(body.length, BUNDLE_BYTES);
    await until(() => refused(test, 'slow') === 10, 'all are cut off');
    await until(() => test.lines.length === 11, 'a line for each');
    const cut = test.lines.map((line) => JSON.parse(line)).filter(({ isComplete }) => !isComplete);
    assert.equal(cut.length, 10);
    assert.ok(cut.every(({ sentBytes }) => sentBytes < BUNDLE_BYTES));
  });

  it('ends who asks for more before taking what was asked for, and answers a few in order', async () => {
    const test = await start();
    const client = await connect(test);
    client.socket.pause();
    client.socket.write(`GET /${path} HTTP/1.1\r\nhost: x\r\n\r\n`.repeat(100));
    await until(() => refused(test, 'pipelined') > 0, 'it is cut off');
    assert.equal(refused(test, 'pipelined'), 1, 'one connection, one refusal');
    const polite = await connect(test);
    const range = (at: number) =>
      `GET /${path} HTTP/1.1\r\nhost: x\r\nrange: bytes=${at}-${at}\r\n\r\n`;
    polite.socket.write([5, 6, 7].map(range).join(''));
    await until(() => polite.text.split('HTTP/1.1 206').length === 4, 'three answers');
    const places = [...polite.text.matchAll(/content-range: bytes (\d)/gi)].map(([, at]) => at);
    assert.deepEqual(places, ['5', '6', '7']);
  });

  it('ends who was refused and keeps its half of the connection open', async () => {
    const test = await start({ limits: { ...FAST, dismissMs: 50 } });
    const { port } = new URL(test.server.url);
    const half = connectSocket({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true });
    half.on('error', () => undefined);
    half.write('GET / HTTP/1.1\r\nhost: x\r\n');
    await until(() => refused(test, 'slow') === 1, 'it is told that it is too slow');
    // Only who asks is connected.
    const isGone = async () => {
      const { body } = await ask(`${test.server.url}/metrics`);
      return /^keel_serve_connections 1$/m.test(body.toString());
    };
    for (let asked = 0; !(await isGone()); asked += 1) {
      assert.ok(asked < 200, 'it stays connected');
      await sleep(20);
    }
    assert.equal(refused(test, 'malformed'), 0);
    half.destroy();
  });

  it('refuses headers that are too large, too many, or no HTTP', async () => {
    const test = await start();
    const send = (text: string) => RawClient.ask(test.server.url, text);
    const huge = `GET / HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`;
    assert.equal((await send(huge)).status, 431);
    const target = `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nhost: x\r\n\r\n`;
    assert.equal((await send(target)).status, 431);
    const many = `GET / HTTP/1.1\r\nhost: x\r\n${'a: b\r\n'.repeat(5_000)}\r\n`;
    assert.equal((await send(many)).status, 431);
    assert.equal(refused(test, 'headers-large'), 3);
    for (const text of [
      '\0\0\0\r\n\r\n',
      'GET\r\n\r\n',
      'GET / HTTP/1.1\r\n\r\n',
      'x'.repeat(100_000),
    ]) {
      const { status } = await send(text);
      assert.ok(status === 400 || status === 431, `${text.slice(0, 20)}: ${status}`);
    }
    const twice =
      'GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n';
    assert.equal((await send(twice)).status, 400);
    await isServing(test);
  });

  it('takes only so many connections, in all and from one address', async () => {
    const test = await start({ limits: { connectionsMax: 8, connectionsPerAddressMax: 100 } });
    const many = await Promise.all(Array.from({ length: 40 }, () => connect(test)));
    await until(() => many.filter(({ isClosed }) => isClosed).length === 32, '32 are refused');
    assert.equal(refused(test, 'connections'), 32);
    for (const { socket } of many) socket.destroy();
    await until(() => clients.every(({ isClosed }) => isClosed), 'all are closed');
    await isServing(test);
    const narrow = await start({ limits: { connectionsPerAddressMax: 3 } });
    const from = await Promise.all(Array.from({ length: 5 }, () => connect(narrow)));
    await until(() => from.filter(({ isClosed }) => isClosed).length === 2, '2 are refused');
    assert.equal(refused(narrow, 'address'), 2);
  });

  it('keeps no more blocks of files in memory than it may, whatever is read', async () => {
    const test = await start({ memoryBytes: 1_000_000 });
    await Promise.all(Array.from({ length: 8 }, () => ask(`${test.server.url}/${path}`)));
    const { body } = await ask(`${test.server.url}/metrics`);
    const bytes = Number(/^keel_serve_block_memory_bytes (\d+)$/m.exec(body.toString())?.[1]);
    assert.ok(bytes > 0 && bytes <= 1_000_000, String(bytes));
  });
});
