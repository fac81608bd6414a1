import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { KeelError } from '@keelos/proto/errors.ts';
import { Openings } from './agent-fixture.ts';
import type { Behaviour } from './hostile-server.ts';
import { HostileServer, head, partHeaders, send, sendPart } from './hostile-server.ts';
import { afterOpen, CONTENT, fetched, never, sourceOf, TIMES } from './http-source-fixture.ts';

describe('bundles over HTTP, from beginning to end', () => {
  const openings = new Openings();
  afterEach(() => openings.closeAll());

  const serve = async (behave: Behaviour) => openings.add(await HostileServer.start(behave));

  it('redirects are followed for each question, with credentials for their server only', async () => {
    const far = await serve((asked, socket) => sendPart(asked, socket, CONTENT));
    const near = await serve((asked, socket, count) =>
      send(socket, 302, {
        headers: { location: asked.line === 'GET /bundle' ? '/b' : far.url(`/c?secret=${count}`) },
      }),
    );
    const url = near.url().replace('http://', 'http://user:geheim@');
    assert.deepEqual(await fetched(url), CONTENT);
    const sent = [...near.asked, ...far.asked].map(({ line, headers }) =>
      [line, headers.get('authorization') ?? '-'].join(' '),
    );
    const basic = `Basic ${Buffer.from('user:geheim').toString('base64')}`;
    assert.deepEqual(sent, [
      ...[`GET /bundle ${basic}`, `GET /b ${basic}`, `GET /bundle ${basic}`, `GET /b ${basic}`],
      ...['GET /c?secret=2 -', 'GET /c?secret=4 -'],
    ]);
  });

  it('nothing that is said has credentials or the query in it', async () => {
    const refuse = await serve((_, socket) => send(socket, 403, {}));
    const url = refuse.url('/a/b?token=geheim').replace('http://', 'http://user:geheim@');
    const { source } = sourceOf(url);
    await assert.rejects(source.open(never), (error: unknown) => {
      assert.ok(error instanceof KeelError);
      assert.match(error.message, /\/a\/b: the server answers 403/);
      assert.doesNotMatch(
        JSON.stringify([error.message, error.details, error.hint]),
        /geheim|token/,
      );
      return true;
    });
  });

  const moments: readonly (readonly [name: string, behave: Behaviour])[] = [
    ['before the head', () => undefined],
    ['before the body', (asked, socket) => socket.write(head(206, partHeaders(asked, CONTENT)))],
    [
      'in the body',
      (asked, socket) => {
        socket.write(head(206, partHeaders(asked, CONTENT)));
        socket.write(CONTENT.subarray(0, 1000));
      },
    ],
  ];
  for (const [name, behave] of moments) {
    it(`is cancelled ${name}`, async () => {
      const cancel = new AbortController();
      const closed = Promise.withResolvers<void>();
      const server = await serve(
        afterOpen((asked, socket, count) => {
          socket.on('close', () => closed.resolve());
          behave(asked, socket, count);
          setImmediate(() => cancel.abort());
        }),
      );
      const { source } = sourceOf(server.url(), {
        times: { ...TIMES, answerMs: 9_000, idleMs: 9_000 },
      });
      await source.open(never);
      const read = async () => {
        const range = { offsetBytes: 0, lengthBytes: 300_000 };
        for await (const piece of source.read(range, cancel.signal)) assert.ok(piece.length > 0);
      };
      await assert.rejects(read, { code: 'E_CANCELLED' });
      await closed.promise;
    });
  }

  it('is cancelled while it waits for the next try, and when it is closed', async () => {
    const server = await serve(afterOpen((_, socket) => send(socket, 500, {})));
    const cancel = new AbortController();
    const { source } = sourceOf(server.url(), {
      wait: async (_, signal) => {
        cancel.abort();
        await sleep(9_000, undefined, { signal });
      },
    });
    await source.open(never);
    const range = { offsetBytes: 0, lengthBytes: 300_000 };
    const read = async (signal: AbortSignal) => {
      for await (const piece of source.read(range, signal)) assert.ok(piece.length > 0);
    };
    await assert.rejects(read(cancel.signal), { code: 'E_CANCELLED' });
    await source.close();
    await assert.rejects(read(never), { code: 'E_CANCELLED' });
  });

  it('who stops reading closes the connection', async () => {
    const closed = Promise.withResolvers<void>();
    const server = await serve(
      afterOpen((asked, socket) => {
        socket.on('close', () => closed.resolve());
        socket.write(head(206, partHeaders(asked, CONTENT)));
        socket.write(CONTENT.subarray(0, 1000));
      }),
    );
    const { source } = sourceOf(server.url());
    await source.open(never);
    for await (const piece of source.read({ offsetBytes: 0, lengthBytes: 300_000 }, never)) {
      assert.ok(piece.length > 0);
      break;
    }
    await closed.promise;
  });
});
