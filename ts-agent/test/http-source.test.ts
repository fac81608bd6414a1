import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { BUSY_MAX, FAILURES_IN_ROW_MAX } from '@keelos/ts-agent/core/persistence.ts';
import { REDIRECTS_MAX } from '@keelos/ts-agent/sys/http-source.ts';
import fc from 'fast-check';
import { Openings } from './agent-fixture.ts';
import type { AskedHead, Behaviour } from './hostile-server.ts';
import { HostileServer, head, partHeaders, send, sendPart } from './hostile-server.ts';
import { afterOpen, CONTENT, fetched, never, sourceOf, TIMES } from './http-source-fixture.ts';

describe('bundles over HTTP', () => {
  const openings = new Openings();
  afterEach(() => openings.closeAll());

  const serve = async (behave: Behaviour) => openings.add(await HostileServer.start(behave));

  it('come whole, or from any offset', async () => {
    const server = await serve((asked, socket) => sendPart(asked, socket, CONTENT));
    assert.deepEqual(await fetched(server.url()), CONTENT);
    assert.deepEqual(await fetched(server.url(), {}, 299_999), CONTENT.subarray(299_999));
    assert.deepEqual(await fetched(server.url(), {}, 300_000), Buffer.alloc(0));
    const [open, read] = server.asked;
    assert.equal(open?.headers.get('range'), 'bytes=0-0');
    assert.equal(open?.headers.get('accept-encoding'), 'identity');
    assert.equal(read?.headers.get('range'), 'bytes=0-299999');
    assert.equal(read?.headers.get('if-range'), '"one"');
  });

  it('are taken up again wherever the connection breaks', async () => {
    const server = await serve(() => undefined);
    const cuts = fc.array(fc.integer({ min: 0, max: 80_000 }), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(cuts, async (lengths) => {
        const left = [...lengths];
        const before = server.asked.length;
        server.behave = (asked, socket, count) => {
          const cut = count - before === 1 ? undefined : left.shift();
          if (cut === undefined) return sendPart(asked, socket, CONTENT);
          const [first = 0] = asked.range ?? [];
          socket.write(head(206, partHeaders(asked, CONTENT)));
          return socket.write(CONTENT.subarray(first, first + cut), () => socket.destroy());
        };
        assert.deepEqual(await fetched(server.url()), CONTENT);
      }),
      { numRuns: 40 },
    );
  });

  it('are taken up as often as it needs, as long as there is progress', async () => {
    const content = Buffer.concat(Array.from({ length: 7 }, () => CONTENT));
    const server = await serve((asked, socket) => {
      const [first = 0] = asked.range ?? [];
      socket.write(head(206, partHeaders(asked, content)));
      socket.write(content.subarray(first, first + 70_000), () => socket.destroy());
    });
    const end = await fetched(server.url());
    assert.ok(typeof end !== 'string' && end.equals(content));
    assert.ok(server.asked.length > 2 * FAILURES_IN_ROW_MAX);
  });

  it('are asked for again when an answer has only a part of the range', async () => {
    const server = await serve((asked, socket) => sendPiece(asked, socket, 100_000));
    assert.deepEqual(await fetched(server.url()), CONTENT);
    assert.equal(server.asked.length, 4);
  });

  it('are waited for after a fault, longer each time', async () => {
    const server = await serve(
      afterOpen((asked, socket, count) =>
        count < 5 ? send(socket, 503, {}) : sendPart(asked, socket, CONTENT),
      ),
    );
    const { source, waits } = sourceOf(server.url());
    await source.open(never);
    const range = { offsetBytes: 0, lengthBytes: CONTENT.length };
    for await (const piece of source.read(range, never)) assert.ok(piece.length > 0);
    assert.deepEqual(waits, [500, 1_000, 2_000]);
  });

  const broken: readonly (readonly [
    name: string,
    behave: Behaviour,
    code: string,
    asked: number,
  ])[] = [
    ['no file', (_, s) => send(s, 404, {}), 'E_SOURCE_NOT_FOUND', 1],
    ['a secret file', (_, s) => send(s, 403, {}), 'E_SOURCE_REFUSED', 1],
    ['a fault', (_, s) => send(s, 500, {}), 'E_SOURCE_FAULT', 2],
    [
      'a file that is being made, for ever',
      (_, s) => send(s, 503, { headers: { 'retry-after': '15' } }),
      'E_SOURCE_FAULT',
      BUSY_MAX,
    ],
    [
      'a server without ranges',
      (_, s) => send(s, 200, { body: CONTENT }),
      'E_SOURCE_WITHOUT_RANGES',
      1,
    ],
    ['an empty file', (_, s) => send(s, 416, {}), 'E_BUNDLE_TRUNCATED', 1],
    ['a closed door', (_, s) => s.destroy(), 'E_SOURCE_UNREACHABLE', 2],
    ['silence', () => undefined, 'E_SOURCE_TIMEOUT', 2],
    ['half a head', (_, s) => s.end('HTTP/1.1 206 x\r\ncontent-le'), 'E_SOURCE_UNREACHABLE', 2],
    ['another protocol', (_, s) => s.end('SSH-2.0-x\r\n'), 'E_SOURCE_ANSWER', 1],
    [
      'an endless head',
      (_, s) => s.end(`HTTP/1.1 206 x\r\na: ${'b'.repeat(100_000)}`),
      'E_SOURCE_ANSWER',
      1,
    ],
    [
      'two lengths',
      (_, s) => s.end('HTTP/1.1 206 x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab'),
      'E_SOURCE_ANSWER',
      1,
    ],
    [
      'redirects to itself',
      (_, s) => send(s, 302, { headers: { location: '/bundle' } }),
      'E_SOURCE_REDIRECT',
      REDIRECTS_MAX + 1,
    ],
    [
      'a redirect to a file of the node',
      (_, s) => send(s, 302, { headers: { location: 'file:///etc' } }),
      'E_SOURCE_REDIRECT',
      1,
    ],
    [
      'a change of protocol',
      (_, s) => s.end(head(101, { connection: 'upgrade', upgrade: 'x' })),
      'E_SOURCE_UNREACHABLE',
      2,
    ],
    ['then no file', afterOpen((_, s) => send(s, 404, {})), 'E_SOURCE_NOT_FOUND', 2],
    [
      'then a fault',
      afterOpen((_, s) => send(s, 500, {})),
      'E_SOURCE_FAULT',
      1 + FAILURES_IN_ROW_MAX,
    ],
    [
      'then nobody',
      afterOpen((_, s) => s.destroy()),
      'E_SOURCE_UNREACHABLE',
      1 + FAILURES_IN_ROW_MAX,
    ],
    [
      'then nothing behind the head',
      afterOpen((a, s) => s.end(head(206, partHeaders(a, CONTENT)))),
      'E_SOURCE_SHORT',
      1 + FAILURES_IN_ROW_MAX,
    ],
    [
      'then silence behind the head',
      afterOpen((a, s) => s.write(head(206, partHeaders(a, CONTENT)))),
      'E_SOURCE_TIMEOUT',
      1 + FAILURES_IN_ROW_MAX,
    ],
    [
      'then another file',
      afterOpen((a, s) => sendPart(a, s, CONTENT, { etag: '"two"' })),
      'E_SOURCE_CHANGED',
      2,
    ],
    [
      'then a longer file',
      afterOpen((a, s) => sendPart(a, s, Buffer.concat([CONTENT, CONTENT]))),
      'E_SOURCE_CHANGED',
      2,
    ],
    [
      'then all of another file',
      afterOpen((_, s) => send(s, 200, { body: CONTENT })),
      'E_SOURCE_CHANGED',
      2,
    ],
    ['then a shorter file', afterOpen((_, s) => send(s, 416, {})), 'E_SOURCE_CHANGED', 2],
    [
      'then a longer body',
      afterOpen((a, s) =>
        send(s, 206, {
          headers: { ...partHeaders(a, CONTENT), 'content-length': '300001' },
          body: Buffer.concat([CONTENT, CONTENT]),
        }),
      ),
      'E_SOURCE_LONG',
      2,
    ],
    [
      'then a body without an end',
      afterOpen((a, s) => chunked(a, s, [CONTENT, CONTENT])),
      'E_SOURCE_LONG',
      2,
    ],
    [
      'then a compressed body',
      afterOpen((a, s) =>
        send(s, 206, { headers: { ...partHeaders(a, CONTENT), 'content-encoding': 'gzip' } }),
      ),
      'E_SOURCE_ANSWER',
      2,
    ],
    [
      'then a byte at a time',
      afterOpen((a, s) => sendPiece(a, s, 1)),
      'E_SOURCE_SHORT',
      1 + FAILURES_IN_ROW_MAX,
    ],
    [
      'then pieces too small to be progress',
      afterOpen((a, s) => sendPiece(a, s, 20_000)),
      'E_SOURCE_SHORT',
      1 + FAILURES_IN_ROW_MAX,
    ],
    [
      'then a chunk that is none',
      afterOpen((a, s) => s.end(`${head(206, chunkHeaders(a))}zz\r\n`)),
      'E_SOURCE_SHORT',
      1 + FAILURES_IN_ROW_MAX,
    ],
  ];
  for (const [name, behave, code, asked] of broken) {
    it(`${name}: ${code}`, async () => {
      const server = await serve(behave);
      const end = await fetched(server.url());
      assert.equal(typeof end === 'string' ? end : `${end.length} bytes`, code);
      assert.equal(server.asked.length, asked, 'questions');
    });
  }

  it('nobody listens: E_SOURCE_UNREACHABLE', async () => {
    const server = await HostileServer.start(() => undefined);
    const url = server.url();
    await server.close();
    assert.equal(await fetched(url), 'E_SOURCE_UNREACHABLE');
  });

  it('a body in chunks, and one that ends with its connection, are fine', async () => {
    const server = await serve(
      afterOpen((asked, socket) =>
        chunked(asked, socket, [CONTENT.subarray(0, 9), CONTENT.subarray(9)]),
      ),
    );
    assert.deepEqual(await fetched(server.url()), CONTENT);
    const plain = await serve(
      afterOpen((asked, socket) => {
        const { 'content-length': _, ...headers } = partHeaders(asked, CONTENT);
        socket.end(Buffer.concat([Buffer.from(head(206, headers)), CONTENT]));
      }),
    );
    assert.deepEqual(await fetched(plain.url()), CONTENT);
  });

  it('a server that sends next to nothing counts as dead', async () => {
    const server = await serve(
      afterOpen((asked, socket) => {
        socket.write(head(206, partHeaders(asked, CONTENT)));
        const timer = setInterval(() => socket.write('x'), 10);
        socket.on('close', () => clearInterval(timer));
      }),
    );
    const times = { ...TIMES, slowWindowMs: 60, slowBytesMin: 1_000 };
    assert.equal(await fetched(server.url(), { times }), 'E_SOURCE_TIMEOUT');
  });

  it('who takes the bytes may be as slow as it likes', async () => {
    const server = await serve((asked, socket) => sendPart(asked, socket, CONTENT));
    const { source } = sourceOf(server.url(), { times: { ...TIMES, idleMs: 100 } });
    await source.open(never);
    let sizeBytes = 0;
    for await (const piece of source.read({ offsetBytes: 0, lengthBytes: 300_000 }, never)) {
      if (sizeBytes === 0) await sleep(250);
      sizeBytes += piece.length;
    }
    assert.equal(sizeBytes, 300_000);
    assert.equal(server.asked.length, 2, 'no connection was given up');
  });

  it('a range outside the bundle is a bug of ours', async () => {
    const server = await serve((asked, socket) => sendPart(asked, socket, CONTENT));
    const { source } = sourceOf(server.url());
    await source.open(never);
    const range = { offsetBytes: 299_999, lengthBytes: 2 };
    await assert.rejects(
      async () => source.read(range, never)[Symbol.asyncIterator]().next(),
      RangeError,
    );
  });
});

function chunkHeaders(asked: Parameters<Behaviour>[0]): Record<string, string> {
  const { 'content-length': _, ...headers } = partHeaders(asked, CONTENT);
  return { ...headers, 'transfer-encoding': 'chunked' };
}

/** A body in chunks; with the honest head whatever they are. */
function chunked(
  asked: Parameters<Behaviour>[0],
  socket: Parameters<Behaviour>[1],
  chunks: readonly Uint8Array[],
): void {
  socket.write(head(206, chunkHeaders(asked)));
  for (const chunk of chunks) {
    socket.write(`${chunk.length.toString(16)}\r\n`);
    socket.write(chunk);
    socket.write('\r\n');
  }
  socket.end('0\r\n\r\n');
}

/** An answer with only the first `bytesMax` bytes of what was asked for. */
function sendPiece(asked: AskedHead, socket: Socket, bytesMax: number): void {
  const [first = 0, last = 0] = asked.range ?? [];
  const end = Math.min(last + 1, first + bytesMax);
  const range = `bytes ${first}-${end - 1}/${CONTENT.length}`;
  const headers = { 'content-range': range, etag: '"one"' };
  send(socket, 206, { headers, body: CONTENT.subarray(first, end) });
}
