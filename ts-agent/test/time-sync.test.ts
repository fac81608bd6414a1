import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { syncOnce, UNCONFIRMED_MS_MAX } from '@keelos/ts-agent/shell/time-sync.ts';
import { createFakeClock } from '@keelos/ts-agent/sys/clock.fake.ts';
import { createFakeInit } from '@keelos/ts-agent/sys/init-client.fake.ts';
import { lookUp } from '@keelos/ts-agent/sys/udp.ts';

const NOW_MS = Date.UTC(2026, 5, 1);
const FAR_MS = NOW_MS + UNCONFIRMED_MS_MAX + 60_000;

/** A round with servers that say what `times` says of them; one that is not there is silent. */
async function round(
  servers: readonly string[],
  times: Readonly<Record<string, readonly number[]>>,
  init = createFakeInit(),
) {
  const asked: string[] = [];
  const result = await syncOnce(
    {
      clock: createFakeClock(NOW_MS),
      init,
      random: () => Buffer.from('12345678'),
      log: () => undefined,
      udp: async ({ host }, request) => {
        const timeMs = times[host]?.[asked.filter((one) => one === host).length];
        asked.push(host);
        if (timeMs === undefined) throw new Error('silent');
        const answer = Buffer.alloc(48);
        answer[0] = 0x24;
        answer[1] = 1;
        answer.set(request.subarray(40, 48), 24);
        answer.writeUInt32BE(timeMs / 1000 + 2_208_988_800, 40);
        return answer;
      },
    },
    servers,
    { notBeforeMs: 0, signal: AbortSignal.timeout(10_000) },
  );
  const told = init.requests.map((request) => (request.op === 'raiseClock' ? request.timeMs : 0));
  return { result, asked, told };
}

describe('time synchronisation', () => {
  it('believes one server that is near', async () => {
    assert.deepEqual((await round(['a', 'b'], { a: [NOW_MS + 60_000] })).told, [NOW_MS + 60_000]);
  });

  it('believes a time far ahead when a second server agrees', async () => {
    const { told, asked } = await round(['a', 'b'], { a: [FAR_MS], b: [FAR_MS + 9_000] });
    assert.deepEqual([told, asked], [[FAR_MS + 9_000], ['a', 'b']]);
  });

  it('does not when the second one says something else, and takes a near one', async () => {
    const apart = await round(['a', 'b'], { a: [FAR_MS, FAR_MS], b: [FAR_MS + 11_000] });
    assert.deepEqual([apart.result.kind, apart.told], ['none', []]);
    const near = await round(['a', 'b'], { a: [FAR_MS, FAR_MS], b: [NOW_MS] });
    assert.deepEqual(near.told, [NOW_MS]);
  });

  it('asks a server that is alone twice', async () => {
    assert.deepEqual((await round(['a', 'b'], { a: [FAR_MS, FAR_MS] })).asked, ['a', 'b', 'a']);
    assert.deepEqual((await round(['a'], { a: [FAR_MS, FAR_MS] })).told, [FAR_MS]);
    assert.deepEqual((await round(['a'], { a: [FAR_MS, FAR_MS + 11_000] })).told, []);
  });

  it('goes on to the next server when PID 1 refuses a time', async () => {
    const init = createFakeInit();
    init.refused = 'raiseClock';
    const { result, asked } = await round(['a', 'b'], { a: [NOW_MS], b: [NOW_MS] }, init);
    assert.deepEqual(asked, ['a', 'b']);
    assert.ok(result.kind === 'none' && /a: PID 1 refused/.test(String(result.problems[0])));
  });

  it('a name server that is silent holds nothing up and can be stopped', async () => {
    const silent = createSocket('udp4').bind(0, '127.0.0.1');
    await once(silent, 'listening');
    const server = [`127.0.0.1:${silent.address().port}`];
    const startMs = performance.now();
    await assert.rejects(
      lookUp('time.example', AbortSignal.timeout(100), server),
      /abort|timeout/i,
    );
    assert.ok(performance.now() - startMs < 900);
    silent.close();
  });

  it('a name server that answers is asked for the address', async () => {
    const server = createSocket('udp4').bind(0, '127.0.0.1');
    server.on('message', (question, from) => {
      const head = Buffer.from(question);
      head.writeUInt16BE(0x8180, 2);
      head.writeUInt16BE(1, 6);
      // No additional record: what follows the question is the answer.
      head.writeUInt16BE(0, 10);
      const end = question.indexOf(0, 12) + 5;
      const record = Buffer.from('c00c00010001000000050004c0000207', 'hex');
      server.send(Buffer.concat([head.subarray(0, end), record]), from.port, from.address);
    });
    await once(server, 'listening');
    const servers = [`127.0.0.1:${server.address().port}`];
    const signal = AbortSignal.timeout(5_000);
    assert.equal(await lookUp('time.example', signal, servers), '192.0.2.7');
    server.close();
  });
});
