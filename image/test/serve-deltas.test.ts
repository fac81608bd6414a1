/** The update server: deltas that are made when they are asked for. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeltaStore } from '@keelos/image/sys/delta-store.ts';
import { deltaPath } from '@keelos/proto/channel.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { sampleHash } from '../../proto/test/channel-samples.ts';
import { ask } from './ask.ts';
import { RawClient } from './raw-http.ts';
import { ServedDirectory, startServer, type TestServer, until } from './served-directory.ts';

const CLIENTS = 50;

describe('keel-image serve: deltas on demand', function () {
  this.timeout(60_000);

  let folder = '';
  let served: ServedDirectory;
  const open: TestServer[] = [];
  const start = async (of: Parameters<typeof startServer>[1] = {}) => {
    const test = await startServer(folder, of);
    open.push(test);
    return test;
  };
  const deltaUrl = ({ server }: TestServer, from: string, version = '1.4.0') =>
    `${server.url}/${deltaPath({ version, from, arch: 'x86_64' })}`;
  function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
    const { promise, resolve } = Promise.withResolvers<void>();
    return { opened: promise, open: resolve };
  }

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keel-serve-deltas-'));
    served = new ServedDirectory(folder);
    await served.publish(['1.4.0', '1.3.0', '1.2.0', '1.1.0'].map((version) => ({ version })));
  });
  afterEach(async () => {
    for (const { server } of open.splice(0)) await server.close(0);
    await rm(folder, { recursive: true });
  });

  it(`are made once when ${CLIENTS} clients ask for one, and kept`, async () => {
    const test = await start();
    const { opened, open: release } = gate();
    test.generator.gate = opened;
    const asked = Array.from({ length: CLIENTS }, () => ask(deltaUrl(test, '1.3.0')));
    await until(() => test.generator.asked.length === 1, 'a generation');
    release();
    const answers = await Promise.all(asked);
    for (const { status, body } of answers) {
      assert.equal(status, 200);
      assert.ok(body.equals(Buffer.alloc(3_000, 7)));
    }
    assert.equal(new Set(answers.map(({ headers }) => headers.etag)).size, 1);
    assert.equal((await ask(deltaUrl(test, '1.3.0'))).status, 200);
    assert.equal(test.generator.asked.length, 1);
    assert.match(test.generator.asked[0] ?? '', /keelos-1\.3\.0-x86_64.*keelos-1\.4\.0-x86_64/);
  });

  it('are made for the question for a head too, and for ranges', async () => {
    const test = await start();
    const head = await ask(deltaUrl(test, '1.3.0'), { method: 'HEAD' });
    assert.deepEqual([head.status, head.headers['content-length']], [200, '3000']);
    const headers = { range: 'bytes=10-19', 'if-range': String(head.headers.etag) };
    const { status, body } = await ask(deltaUrl(test, '1.3.0'), { headers });
    assert.deepEqual([status, body.length], [206, 10]);
  });

  it('are made one after the other, and who waits too long is asked to come again', async () => {
    const test = await start({ waitMs: 100 });
    const { opened, open: release } = gate();
    test.generator.gate = opened;
    const answers = await Promise.all(['1.3.0', '1.2.0'].map((from) => ask(deltaUrl(test, from))));
    for (const { status, headers } of answers) {
      assert.deepEqual([status, headers['retry-after']], [503, '15']);
    }
    assert.equal(test.generator.asked.length, 1);
    release();
    await until(() => test.generator.asked.length === 2, 'the second generation');
    await until(() => test.waiting() === 0, 'both are made');
    for (const from of ['1.3.0', '1.2.0']) {
      assert.equal((await ask(deltaUrl(test, from))).status, 200);
    }
    assert.equal(test.generator.asked.length, 2);
  });

  it('go on being made when everybody who asked has gone', async () => {
    const test = await start();
    const { opened, open: release } = gate();
    test.generator.gate = opened;
    const gone = new AbortController();
    const asked = fetch(deltaUrl(test, '1.3.0'), { signal: gone.signal }).catch(() => 'gone');
    await until(() => test.generator.asked.length === 1, 'a generation');
    gone.abort();
    assert.equal(await asked, 'gone');
    release();
    assert.equal((await ask(deltaUrl(test, '1.3.0'))).status, 200);
    assert.equal(test.generator.asked.length, 1);
  });

  it('are made to the newest release only, from an older one of its channel, of its architecture', async () => {
    const test = await start();
    const rows = [
      ['1.2.0', '1.3.0'],
      ['1.4.0', '1.4.0'],
      ['9.9.9', '1.4.0'],
      ['1.3.0', '9.9.9'],
      ['1.4.0', '1.3.0'],
    ] as const;
    for (const [from, to] of rows) {
      assert.equal((await ask(deltaUrl(test, from, to))).status, 404, `${from} to ${to}`);
    }
    const arm = `${test.server.url}/${deltaPath({ version: '1.4.0', from: '1.3.0', arch: 'aarch64' })}`;
    assert.equal((await ask(arm)).status, 404);
    assert.deepEqual(test.generator.asked, []);
    const without = await startServer(folder, { deltas: undefined });
    open.push(without);
    assert.equal((await ask(deltaUrl(without, '1.3.0'))).status, 404);
  });

  it('that fail are not tried again for a while', async () => {
    const test = await start();
    test.generator.result = new KeelError('E_IMAGE_INVALID', 'geheim');
    for (let count = 0; count < 3; count += 1) {
      const { status, body } = await ask(deltaUrl(test, '1.3.0'));
      assert.equal(status, 404);
      assert.doesNotMatch(body.toString(), /geheim/);
    }
    assert.equal(test.generator.asked.length, 1);
    test.clock.nowMs += 10 * 60_000;
    test.generator.result = Buffer.alloc(100, 1);
    assert.equal((await ask(deltaUrl(test, '1.3.0'))).status, 200);
  });

  it('that are no smaller than the bundle are thrown away', async () => {
    const test = await start();
    test.generator.result = Buffer.alloc(600_000);
    assert.equal((await ask(deltaUrl(test, '1.3.0'))).status, 404);
    assert.deepEqual(await readdir(join(folder, '.deltas')), []);
  });

  it('give way to others when there are too many, the one that was used last stays', async () => {
    const test = await start({ cacheBytes: 7_000 });
    for (const from of ['1.1.0', '1.2.0', '1.1.0', '1.3.0']) await ask(deltaUrl(test, from));
    assert.equal(test.generator.asked.length, 3);
    assert.equal(test.store.evictions, 1);
    assert.ok(test.store.sizeBytes <= 7_000);
    assert.equal((await readdir(join(folder, '.deltas'))).length, 2);
    await ask(deltaUrl(test, '1.1.0'));
    assert.equal(test.generator.asked.length, 3);
    await ask(deltaUrl(test, '1.2.0'));
    assert.equal(test.generator.asked.length, 4);
  });

  it('that give way while they are on their way arrive whole', async () => {
    const dir = await mkdtemp(join(folder, 'large-'));
    await new ServedDirectory(dir).publish(
      ['1.4.0', '1.2.0', '1.1.0'].map((version) => ({ version })),
      { bundleBytes: 21_000_000 },
    );
    const test = await startServer(dir, { cacheBytes: 25_000_000, memoryBytes: 1_000_000 });
    open.push(test);
    test.generator.result = randomBytes(20_000_000);
    const sent = test.generator.result;
    const client = await RawClient.open(test.server.url);
    const target = `/${deltaPath({ version: '1.4.0', from: '1.2.0', arch: 'x86_64' })}`;
    client.socket.write(`GET ${target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
    await until(() => client.text.length > 1_000, 'it begins');
    client.socket.pause();
    await ask(deltaUrl(test, '1.1.0'));
    assert.ok(test.store.evictions > 0);
    client.socket.resume();
    await client.closed();
    assert.ok(client.bytes.subarray(-sent.length).equals(sent));
  });

  it('are found again by the next server, which removes what an interrupted one left', async () => {
    const test = await start();
    await ask(deltaUrl(test, '1.3.0'));
    await test.server.close(0);
    const name = DeltaStore.nameOf(sampleHash('a'), sampleHash('b'));
    await writeFile(join(folder, '.deltas', `${name}.123.new`), 'half');
    await writeFile(join(folder, '.deltas', 'mine.txt'), 'of somebody else');
    const next = await start();
    assert.equal((await ask(deltaUrl(next, '1.3.0'))).status, 200);
    assert.equal(next.generator.asked.length, 0);
    const left = (await readdir(join(folder, '.deltas'))).sort();
    assert.equal(left.length, 2);
    assert.ok(left.includes('mine.txt'));
  });

  it('that somebody has removed are made again', async () => {
    const test = await start();
    await ask(deltaUrl(test, '1.3.0'));
    await rm(join(folder, '.deltas'), { recursive: true });
    await mkdir(join(folder, '.deltas'));
    const { status, body } = await ask(deltaUrl(test, '1.3.0'));
    assert.deepEqual([status, body.length], [200, 3_000]);
    assert.equal(test.generator.asked.length, 2);
  });
});
