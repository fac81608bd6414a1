/** The update server: what it answers. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { bundlePath, channelPath, deltaPath } from '@keelos/proto/channel.ts';
import { judgeChannel } from '@keelos/proto/channel-judge.ts';
import { parseChannelFile } from '@keelos/proto/channel-text.ts';
import { exec } from '../../scripts/lib/exec.mjs';
import { ask } from './ask.ts';
import { RawClient } from './raw-http.ts';
import {
  NOW_MS,
  ServedDirectory,
  startServer,
  type TestServer,
  until,
} from './served-directory.ts';

const arch = 'x86_64';

describe('keel-image serve', function () {
  this.timeout(60_000);

  let folder = '';
  let served: ServedDirectory;
  let test: TestServer;
  const url = (path: string) => `${test.server.url}/${path}`;
  const bundleUrl = (version: string) => url(bundlePath({ version, arch }));

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keel-serve-'));
    served = new ServedDirectory(folder);
    await served.publish([{ version: '1.2.0', from: ['1.1.0'] }, { version: '1.1.0' }]);
    test = await startServer(folder);
  });
  afterEach(async () => {
    await test.server.close(0);
    await rm(folder, { recursive: true });
  });

  it('gives a bundle, whole and in ranges that cross blocks', async () => {
    const bytes = served.bundle('1.2.0');
    const whole = await ask(bundleUrl('1.2.0'));
    assert.equal(whole.status, 200);
    assert.ok(whole.body.equals(bytes));
    assert.equal(whole.headers['accept-ranges'], 'bytes');
    assert.match(whole.headers['cache-control'] ?? '', /immutable/);
    for (const [first, last] of [
      [0, 0],
      [262_143, 262_144],
      [1, 599_998],
      [599_999, 599_999],
    ] as const) {
      const { status, headers, body } = await ask(bundleUrl('1.2.0'), {
        headers: { range: `bytes=${first}-${last}`, 'if-range': String(whole.headers.etag) },
      });
      assert.equal(status, 206);
      assert.equal(headers['content-range'], `bytes ${first}-${last}/600000`);
      assert.ok(body.equals(bytes.subarray(first, last + 1)), `${first} to ${last}`);
    }
    const late = await ask(bundleUrl('1.2.0'), { headers: { range: 'bytes=600000-' } });
    assert.deepEqual([late.status, late.headers['content-range']], [416, 'bytes */600000']);
    const other = { range: 'bytes=0-0', 'if-range': '"other"' };
    assert.equal((await ask(bundleUrl('1.2.0'), { headers: other })).status, 200);
  });

  it('answers a question for the head as one for the whole, without the body', async () => {
    for (const path of [bundlePath({ version: '1.2.0', arch }), channelPath('stable'), '']) {
      const [head, got] = [await ask(url(path), { method: 'HEAD' }), await ask(url(path))];
      assert.deepEqual([head.status, head.body.length], [200, 0]);
      const { date: _head, ...headHeaders } = head.headers;
      const { date: _got, ...gotHeaders } = got.headers;
      assert.deepEqual(headHeaders, gotHeaders);
    }
  });

  it('says that nothing has changed', async () => {
    for (const path of [bundlePath({ version: '1.2.0', arch }), channelPath('stable'), '']) {
      for (const coding of ['identity', 'gzip']) {
        const headers = { 'accept-encoding': coding };
        const etag = String((await ask(url(path), { headers })).headers.etag);
        const again = await ask(url(path), { headers: { ...headers, 'if-none-match': etag } });
        assert.deepEqual([again.status, again.body.length], [304, 0], `${path} ${coding}`);
        assert.equal(again.headers.etag, etag);
      }
    }
  });

  it('packs metadata for who takes it, under another entity tag, and never bundles', async () => {
    const gzip = { headers: { 'accept-encoding': 'gzip, deflate' } };
    const [plain, packed] = [
      await ask(url('channels/stable.json')),
      await ask(url('channels/stable.json'), gzip),
    ];
    assert.equal(packed.headers['content-encoding'], 'gzip');
    assert.ok(gunzipSync(packed.body).equals(plain.body));
    assert.ok(packed.body.length < plain.body.length);
    assert.notEqual(packed.headers.etag, plain.headers.etag);
    assert.match(plain.headers.vary ?? '', /accept-encoding/);
    assert.equal(plain.headers['cache-control'], 'no-cache');
    const part = await ask(url('channels/stable.json'), { headers: { range: 'bytes=1-9' } });
    assert.equal(part.status, 206);
    assert.ok(part.body.equals(plain.body.subarray(1, 10)));
    assert.equal(part.headers['content-range'], `bytes 1-9/${plain.body.length}`);
    const behind = { headers: { range: `bytes=${plain.body.length}-` } };
    assert.equal((await ask(url('channels/stable.json'), behind)).status, 416);
    const bundle = await ask(bundleUrl('1.2.0'), gzip);
    assert.equal(bundle.headers['content-encoding'], undefined);
    const seen = undefined;
    const { trust } = served.key;
    const file = parseChannelFile(plain.body);
    judgeChannel({ file, channel: 'stable', trust, nowMs: NOW_MS, seen });
  });

  it('gives no file but those of releases, whatever the path', async () => {
    const secret = 'geheim-geheim';
    await writeFile(join(folder, 'secret.txt'), secret);
    await writeFile(join(folder, 'releases/1.2.0/secret.txt'), secret);
    await writeFile(join(folder, '.deltas', 'secret.kdelta'), secret);
    await writeFile(join(folder, '..', `${folder.split('/').at(-1)}-beside.txt`), secret);
    await symlink('/etc', join(folder, 'releases/etc'));
    const beside = `${folder.split('/').at(-1)}-beside.txt`;
    const up = [
      '../',
      '..%2f',
      '%2e%2e/',
      '%2e%2e%2f',
      '..%5c',
      '....//',
      '..;/',
      '%252e%252e/',
      '\\..\\',
    ];
    const paths = [
      ...[
        'secret.txt',
        'releases/1.2.0/secret.txt',
        '.deltas/secret.kdelta',
        'releases/',
        'channels',
      ],
      ...[
        'releases/etc/passwd',
        'releases/etc/keelos-etc-x86_64.squashfs',
        'channels/stable.json/',
      ],
      ...[
        'channels/stable.json%00',
        'channels/stable.json%00.txt',
        '/etc/passwd',
        'file:///etc/passwd',
      ],
      ...up.flatMap((step) => [
        `${step}${beside}`,
        `releases/${step}${step}${beside}`,
        `channels/${step}secret.txt`,
      ]),
      ...up.map((step) => `${step.repeat(8)}etc/passwd`),
    ];
    for (const path of paths) {
      const request = `GET /${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`;
      const { status, text } = await RawClient.ask(test.server.url, request);
      assert.ok(status === 404 || status === 400, `${path}: ${status}`);
      assert.doesNotMatch(text, /geheim|root:/, path);
    }
    await rm(join(folder, '..', beside));
  });

  it('takes no other method, and reads no body', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
      const { status, headers } = await ask(bundleUrl('1.2.0'), { method });
      assert.deepEqual([status, headers.allow], [405, 'GET, HEAD'], method);
    }
    const post = 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\nx';
    assert.equal((await RawClient.ask(test.server.url, post)).status, 405);
  });

  it('sees what is published, and still gives what nobody lists any more under the same entity tag', async () => {
    const before = await ask(bundleUrl('1.1.0'), { headers: { range: 'bytes=0-99' } });
    await served.publish([{ version: '1.3.0' }], { number: 9 });
    const nowMs = test.clock.nowMs + 1_001;
    assert.equal((await ask(url('channels/stable.json'))).body.includes('1.3.0'), false);
    test.clock.nowMs = nowMs;
    assert.equal((await ask(url('channels/stable.json'))).body.includes('1.3.0'), true);
    assert.equal((await ask(bundleUrl('1.3.0'))).status, 200);
    const after = await ask(bundleUrl('1.1.0'), {
      headers: { range: 'bytes=100-199', 'if-range': String(before.headers.etag) },
    });
    assert.equal(after.status, 206);
    assert.ok(after.body.equals(served.bundle('1.1.0').subarray(100, 200)));
    const delta = await ask(url(deltaPath({ version: '1.2.0', from: '1.1.0', arch })));
    assert.equal(delta.status, 200);
  });

  it('keeps the last good metadata when a file is damaged, and says so', async () => {
    const good = (await ask(url('channels/stable.json'))).body;
    assert.equal((await ask(url('healthz'))).status, 200);
    await writeFile(join(folder, channelPath('stable')), '{"torn');
    test.clock.nowMs += 2_000;
    const health = await ask(url('healthz'));
    assert.equal(health.status, 503);
    assert.match(health.body.toString(), /"problems":\["Cannot read metadata/);
    assert.ok((await ask(url('channels/stable.json'))).body.equals(good));
    assert.match((await ask(url(''))).body.toString(), /class="bad">Cannot read metadata/);
    await writeFile(join(folder, channelPath('stable')), good);
    test.clock.nowMs += 2_000;
    assert.equal((await ask(url('healthz'))).status, 200);
  });

  it('gives every other channel when one is no file, leads nowhere, or never ends', async () => {
    const channels = join(folder, 'channels');
    await symlink('nowhere', join(channels, 'gone.json'));
    await mkdir(join(channels, 'folder.json'));
    await exec('mkfifo', [join(channels, 'pipe.json')]);
    test.clock.nowMs += 2_000;
    assert.equal((await ask(url(channelPath('stable')))).status, 200);
    const { status, body } = await ask(url('healthz'));
    assert.equal(status, 503);
    assert.match(body.toString(), /folder\.json: no file.*pipe\.json: no file/);
  });

  it('says that nothing has been published', async () => {
    const empty = await startServer(await mkdtemp(join(folder, 'empty-')));
    const health = await ask(`${empty.server.url}/healthz`);
    assert.equal(health.status, 503);
    assert.match(health.body.toString(), /has no channel/);
    assert.equal((await ask(`${empty.server.url}/`)).status, 200);
    await empty.server.close(0);
  });

  it('gives no bundle that has another size than is signed', async () => {
    await truncate(join(folder, bundlePath({ version: '1.2.0', arch })), 1_000);
    assert.equal((await ask(bundleUrl('1.2.0'))).status, 404);
  });

  it('counts, and writes a line for each answer that no client can break', async () => {
    await ask(bundleUrl('1.2.0'), { headers: { range: 'bytes=0-9', 'user-agent': 'a"b\\c' } });
    await ask(url(`${'x'.repeat(400)}?%0a{"status":200}`));
    await until(() => test.lines.length === 2, 'two lines');
    const [first = '', second = ''] = test.lines;
    assert.match(first, /^[^\n]+\n$/);
    const { method, target, range, agent, status, sentBytes, isComplete, peer } = JSON.parse(first);
    assert.deepEqual([method, range, agent, status], ['GET', 'bytes=0-9', 'a"b\\c', 206]);
    assert.deepEqual([sentBytes, isComplete, peer], [10, true, '127.0.0.1']);
    assert.equal(target, `/${bundlePath({ version: '1.2.0', arch })}`);
    assert.equal(JSON.parse(second).target.length, 201);
    const { body, headers } = await ask(url('metrics'));
    assert.match(headers['content-type'] ?? '', /version=0\.0\.4/);
    for (const line of [
      'keel_serve_requests_total{status="206"} 1',
      'keel_serve_requests_total{status="404"} 1',
      'keel_serve_channel_number{channel="stable"} 2',
      'keel_serve_block_reads_total{from="disk"} 1',
    ]) {
      assert.ok(body.toString().split('\n').includes(line), `${line}\n${body}`);
    }
    assert.match(body.toString(), /^# TYPE keel_serve_requests_total counter$/m);
  });

  it('lets an answer end when it is told to stop', async () => {
    const bytes = served.bundle('1.2.0');
    const client = await RawClient.open(test.server.url);
    client.socket.pause();
    const path = bundlePath({ version: '1.2.0', arch });
    client.socket.write(`GET /${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
    await until(
      () => test.counters.samples().some(({ name }) => name === 'keel_serve_sent_bytes_total'),
      'bytes',
    );
    const closed = test.server.close(20_000);
    client.socket.resume();
    await client.closed();
    await closed;
    assert.ok(Buffer.from(client.text, 'latin1').subarray(-bytes.length).equals(bytes));
  });
});
