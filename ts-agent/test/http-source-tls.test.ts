import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { KeelError } from '@keelos/proto/errors.ts';
import type { ProxySettings } from '@keelos/ts-agent/core/source-address.ts';
import { systemClock } from '@keelos/ts-agent/sys/clock.ts';
import { httpSource } from '@keelos/ts-agent/sys/http-source.ts';
import { Openings } from './agent-fixture.ts';
import type { Behaviour } from './hostile-server.ts';
import { HostileServer, head, send, sendPart } from './hostile-server.ts';
import type { MadeCertificate } from './openssl-certificates.ts';
import { makeCertificate } from './openssl-certificates.ts';

const CONTENT = Buffer.from('a bundle, more or less');
const DAY_MS = 86_400_000;
const never = new AbortController().signal;
const honest: Behaviour = (asked, socket) => sendPart(asked, socket, CONTENT);

function serverCertificate(names: string, notAfterMs = Date.now() + DAY_MS): MadeCertificate {
  const notBeforeMs = Date.now() - 2 * DAY_MS;
  const extensions = [`subjectAltName=${names}`];
  return makeCertificate({ subject: '/CN=server', notBeforeMs, notAfterMs, extensions });
}

interface Way {
  readonly url: string;
  readonly caPem?: string;
  readonly settings?: ProxySettings;
}

/** The bundle, or the code and message of the error. */
async function fetched({ url, caPem = '', settings = { noProxy: [] } }: Way): Promise<string> {
  const times = { connectMs: 3_000, answerMs: 3_000, idleMs: 3_000 };
  const wait = async () => undefined;
  try {
    const source = httpSource({ url, caPem, settings, clock: systemClock, times, wait });
    const { sizeBytes } = await source.open(never);
    const pieces: Uint8Array[] = [];
    const range = { offsetBytes: 0, lengthBytes: sizeBytes };
    for await (const piece of source.read(range, never)) pieces.push(piece);
    await source.close();
    return Buffer.concat(pieces).toString();
  } catch (cause) {
    if (!(cause instanceof KeelError)) throw cause;
    assert.doesNotMatch(cause.message, /geheim/);
    return `${cause.code} ${cause.message}`;
  }
}

describe('bundles over TLS', () => {
  const openings = new Openings();
  const good = serverCertificate('IP:127.0.0.1,DNS:localhost');
  afterEach(() => openings.closeAll());

  const serve = async (behave: Behaviour, certificate?: MadeCertificate) =>
    openings.add(await HostileServer.start(behave, certificate));

  const rows: readonly (readonly [
    name: string,
    certificate: MadeCertificate,
    caPem: string,
    expected: RegExp,
  ])[] = [
    ['a known authority', good, good.certPem, /^a bundle/],
    ['an unknown authority', good, '', /^E_SOURCE_UNTRUSTED .*self-signed/],
    ['another authority', good, serverCertificate('IP:127.0.0.1').certPem, /^E_SOURCE_UNTRUSTED /],
    ['no certificate as authority', good, 'hello', /^E_INVALID_ARGUMENT /],
    [
      'an authority that cannot be read',
      good,
      good.certPem.replace('M', '*'),
      /^E_INVALID_ARGUMENT /,
    ],
  ];
  for (const [name, certificate, caPem, expected] of rows) {
    it(name, async () => {
      const server = await serve(honest, certificate);
      assert.match(await fetched({ url: server.url(), caPem }), expected);
    });
  }

  it('a certificate for another host, and one that has ended', async () => {
    const other = serverCertificate('IP:127.0.0.2');
    const ended = serverCertificate('IP:127.0.0.1', Date.now() - DAY_MS);
    for (const [certificate, reason] of [
      [other, /^E_SOURCE_UNTRUSTED .*altnames/],
      [ended, /^E_SOURCE_UNTRUSTED .*expired/],
    ] as const) {
      const server = await serve(honest, certificate);
      const answer = await fetched({ url: server.url(), caPem: certificate.certPem });
      assert.match(answer, reason);
      assert.equal(server.asked.length, 0, 'nothing was asked, and not tried again');
    }
  });

  it('a name is checked as a name', async () => {
    const server = await serve(honest, good);
    const url = server.url('/bundle', 'localhost');
    assert.match(await fetched({ url, caPem: good.certPem }), /^a bundle/);
  });

  it('a server without TLS, and a redirect away from it', async () => {
    const web = createServer(() => undefined).listen(0, '127.0.0.1');
    openings.add({ close: () => web.close() });
    await once(web, 'listening');
    const url = `https://127.0.0.1:${(web.address() as AddressInfo).port}/bundle`;
    assert.match(await fetched({ url, caPem: good.certPem }), /^E_SOURCE_ANSWER /);
    const plain = await serve(honest);
    const secure = await serve((_, socket) => {
      send(socket, 302, { headers: { location: plain.url() } });
    }, good);
    const answer = await fetched({ url: secure.url(), caPem: good.certPem });
    assert.match(answer, /^E_SOURCE_REDIRECT .*not encrypted/);
  });
});

describe('bundles through a proxy', () => {
  const openings = new Openings();
  const certificate = serverCertificate('IP:127.0.0.1');
  const caPem = certificate.certPem;
  afterEach(() => openings.closeAll());

  const serve = async (behave: Behaviour, made?: MadeCertificate) =>
    openings.add(await HostileServer.start(behave, made));
  const through = (proxy: HostileServer, noProxy: readonly string[] = []): ProxySettings => ({
    proxy: proxy.url('/').replace('http://', 'http://user:geheim@'),
    noProxy,
  });

  /** Opens tunnels, to whatever is asked for. */
  const tunnel: Behaviour = (asked, socket) => {
    const [, host = '', port] = /^CONNECT (.*):(\d+)$/.exec(asked.line) ?? [];
    const far = connect(Number(port), host, () => {
      socket.write(head(200, {}));
      socket.pipe(far).pipe(socket);
    });
    far.on('error', () => socket.destroy());
    socket.on('close', () => far.destroy());
  };

  it('plain ones by their whole address', async () => {
    const proxy = await serve(honest);
    const url = 'http://bundles.example/b?x=1';
    assert.match(await fetched({ url, settings: through(proxy) }), /^a bundle/);
    const [asked] = proxy.asked;
    assert.equal(asked?.line, 'GET http://bundles.example/b?x=1');
    assert.equal(asked?.headers.get('host'), 'bundles.example');
    const basic = `Basic ${Buffer.from('user:geheim').toString('base64')}`;
    assert.equal(asked?.headers.get('proxy-authorization'), basic);
  });

  it('encrypted ones through a tunnel, so that the proxy sees nothing of them', async () => {
    const server = await serve(honest, certificate);
    const proxy = await serve(tunnel);
    assert.match(
      await fetched({ url: server.url(), caPem, settings: through(proxy) }),
      /^a bundle/,
    );
    assert.equal(proxy.asked[0]?.line, `CONNECT 127.0.0.1:${server.port}`);
    assert.match(proxy.asked[0]?.headers.get('proxy-authorization') ?? '', /^Basic /);
    assert.equal(server.asked[0]?.headers.get('proxy-authorization'), undefined);
  });

  it('not for the exceptions', async () => {
    const server = await serve(honest);
    const proxy = await serve(tunnel);
    const settings = through(proxy, ['127.0.0.0/8']);
    assert.match(await fetched({ url: server.url(), settings }), /^a bundle/);
    assert.equal(proxy.asked.length, 0);
  });

  const refusals: readonly (readonly [
    name: string,
    behave: Behaviour,
    expected: RegExp,
    asked: number,
  ])[] = [
    ['wants to know who asks', (_, s) => send(s, 407, {}), /^E_SOURCE_REFUSED .*answers 407/, 1],
    ['does not let through', (_, s) => send(s, 403, {}), /^E_SOURCE_REFUSED .*answers 403/, 1],
    ['does not reach the server', (_, s) => send(s, 502, {}), /^E_SOURCE_UNREACHABLE .*502/, 2],
    ['hangs up', (_, s) => s.destroy(), /^E_SOURCE_UNREACHABLE /, 2],
    [
      'speaks before the server',
      (_, s) => s.write(`${head(200, {})}hello`),
      /^E_SOURCE_ANSWER /,
      1,
    ],
    ['is no proxy', (_, s) => s.end('hello\r\n\r\n'), /^E_SOURCE_ANSWER /, 1],
  ];
  for (const [name, behave, expected, asked] of refusals) {
    it(`a proxy that ${name}`, async () => {
      const proxy = await serve(behave);
      const way = { url: 'https://bundles.example/b', caPem, settings: through(proxy) };
      assert.match(await fetched(way), expected);
      assert.equal(proxy.asked.length, asked);
    });
  }
});
