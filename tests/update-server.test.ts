/** The update server, and a node's own client against it: over HTTP and TLS, alone and two at once. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundlePath, deltaPath } from '@keelos/proto/channel.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { systemClock } from '@keelos/ts-agent/sys/clock.ts';
import { httpSource } from '@keelos/ts-agent/sys/http-source.ts';
import {
  ServedDirectory,
  startServer,
  type TestServer,
  until,
} from '../image/test/served-directory.ts';
import { makeCertificate } from '../ts-agent/test/openssl-certificates.ts';

const BUNDLE_BYTES = 8_000_000;
const DAY_MS = 86_400_000;
const never = new AbortController().signal;
const arch = 'x86_64';

function sourceOf(url: string, caPem = '') {
  const settings = { noProxy: [] };
  return httpSource({ url, caPem, settings, clock: systemClock, wait: async () => undefined });
}

/** What a node reads from `offsetBytes` on, or the code of its error. */
async function fetched(url: string, caPem = '', offsetBytes = 0): Promise<Buffer | string> {
  const source = sourceOf(url, caPem);
  try {
    const { sizeBytes } = await source.open(never);
    const pieces: Uint8Array[] = [];
    const range = { offsetBytes, lengthBytes: sizeBytes - offsetBytes };
    for await (const piece of source.read(range, never)) pieces.push(piece);
    return Buffer.concat(pieces);
  } catch (error) {
    if (error instanceof KeelError) return error.code;
    throw error;
  } finally {
    await source.close();
  }
}

function same(found: Buffer | string, expected: Buffer): void {
  assert.ok(typeof found !== 'string', String(found));
  assert.ok(found.equals(expected));
}

describe('a node at the update server', function () {
  this.timeout(120_000);

  let folder = '';
  let served: ServedDirectory;
  const open: TestServer[] = [];
  const start = async (of: Parameters<typeof startServer>[1] = {}) => {
    const test = await startServer(served.dir, of);
    open.push(test);
    return test;
  };
  const bundleUrl = ({ server }: TestServer, version: string) =>
    `${server.url}/${bundlePath({ version, arch })}`;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keel-update-server-'));
    served = new ServedDirectory(join(folder, 'releases'));
    const versions = [{ version: '1.1.0' }, { version: '1.0.0' }];
    await served.publish(versions, { bundleBytes: BUNDLE_BYTES });
  });
  afterEach(async () => {
    for (const { server } of open.splice(0)) await server.close(0);
    await rm(folder, { recursive: true });
  });

  it('gets the whole bundle, and the rest of one', async () => {
    const test = await start();
    same(await fetched(bundleUrl(test, '1.1.0')), served.bundle('1.1.0'));
    const offset = 4_654_321;
    same(
      await fetched(bundleUrl(test, '1.1.0'), '', offset),
      served.bundle('1.1.0').subarray(offset),
    );
  });

  it('shares the server with another one', async () => {
    const test = await start();
    const both = await Promise.all(
      ['1.1.0', '1.0.0'].map((version) => fetched(bundleUrl(test, version))),
    );
    for (const [index, version] of ['1.1.0', '1.0.0'].entries()) {
      same(both[index] ?? '', served.bundle(version));
    }
  });

  it('comes over TLS, with the authority that it was given and no other', async () => {
    const certificate = (name: string) =>
      makeCertificate({
        subject: `/CN=${name}`,
        notBeforeMs: Date.now() - DAY_MS,
        notAfterMs: Date.now() + DAY_MS,
        extensions: ['subjectAltName=IP:127.0.0.1'],
      });
    const [first, next] = [certificate('first'), certificate('next')];
    const tls = { certPath: join(folder, 'cert.pem'), keyPath: join(folder, 'key.pem') };
    const use = async ({ certPem, keyPem }: typeof first) => {
      await writeFile(tls.certPath, certPem);
      await writeFile(tls.keyPath, keyPem);
    };
    await use(first);
    const test = await start({ tls });
    const url = bundleUrl(test, '1.0.0');
    assert.match(url, /^https:/);
    same(await fetched(url, first.certPem), served.bundle('1.0.0'));
    assert.equal(await fetched(url, next.certPem), 'E_SOURCE_UNTRUSTED');
    await use(next);
    await test.server.renewTls();
    same(await fetched(url, next.certPem), served.bundle('1.0.0'));
    await writeFile(tls.keyPath, first.keyPem);
    await assert.rejects(test.server.renewTls());
    same(await fetched(url, next.certPem), served.bundle('1.0.0'));
  });

  it('goes on where it was when the server is replaced by another one meanwhile', async () => {
    const first = await start();
    const { port } = new URL(first.server.url);
    const source = sourceOf(bundleUrl(first, '1.1.0'));
    await source.open(never);
    const pieces: Uint8Array[] = [];
    let isReplaced = false;
    const range = { offsetBytes: 0, lengthBytes: BUNDLE_BYTES };
    for await (const piece of source.read(range, never)) {
      pieces.push(piece);
      if (isReplaced || pieces.length < 10) continue;
      isReplaced = true;
      await first.server.close(0);
      await start({ port: Number(port) });
    }
    await source.close();
    assert.ok(isReplaced);
    same(Buffer.concat(pieces), served.bundle('1.1.0'));
  });

  it('gets a delta that has to be made, as two nodes at once do, and hears of one that cannot be', async () => {
    const test = await start();
    const url = `${test.server.url}/${deltaPath({ version: '1.1.0', from: '1.0.0', arch })}`;
    const both = await Promise.all([fetched(url), fetched(url)]);
    for (const each of both) same(each, Buffer.alloc(3_000, 7));
    assert.equal(test.generator.asked.length, 1);
    const none = `${test.server.url}/${deltaPath({ version: '1.1.0', from: '0.9.0', arch })}`;
    assert.equal(await fetched(none), 'E_SOURCE_NOT_FOUND');
  });

  it('comes again when a delta takes longer than the server keeps it waiting', async () => {
    const test = await start({ waitMs: 50 });
    const { promise, resolve } = Promise.withResolvers<void>();
    test.generator.gate = promise;
    const url = `${test.server.url}/${deltaPath({ version: '1.1.0', from: '1.0.0', arch })}`;
    assert.equal(await fetched(url), 'E_SOURCE_FAULT');
    resolve();
    await until(() => test.waiting() === 0, 'the delta is made');
    same(await fetched(url), Buffer.alloc(3_000, 7));
    assert.equal(test.generator.asked.length, 1);
  });
});
