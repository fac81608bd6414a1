import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KeelError } from '@keelos/proto/errors.ts';
import { listProcesses } from '@keelos/ts-agent/shell/processes.ts';
import { syncOnce, targetFrom } from '@keelos/ts-agent/shell/time-sync.ts';
import { systemClock } from '@keelos/ts-agent/sys/clock.ts';
import { walkImage } from '@keelos/ts-agent/sys/image-files.ts';
import { createFakeInit } from '@keelos/ts-agent/sys/init-client.fake.ts';
import { initClient } from '@keelos/ts-agent/sys/init-client.ts';
import { linuxKernelFiles } from '@keelos/ts-agent/sys/kernel-files.ts';
import { MemoryStateStore } from '@keelos/ts-agent/sys/state-store.fake.ts';
import type { StateStore } from '@keelos/ts-agent/sys/state-store.ts';
import { diskStateStore } from '@keelos/ts-agent/sys/state-store.ts';
import { udpExchange } from '@keelos/ts-agent/sys/udp.ts';

describe('Linux ports', () => {
  let directory = '';
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'keel-agent-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const stores: readonly (readonly [string, () => StateStore])[] = [
    ['disk', () => diskStateStore],
    ['memory', () => new MemoryStateStore()],
  ];
  for (const [name, open] of stores) {
    it(`state store on ${name}: replace, read, list, remove, probe`, async () => {
      const store = open();
      const path = join(directory, 'a/b.rec');
      assert.equal(store.read(path), undefined);
      assert.deepEqual(store.list(join(directory, 'a')), []);
      store.replace(path, Buffer.from('one'));
      store.replace(path, Buffer.from('two'));
      assert.equal(Buffer.from(store.read(path) ?? []).toString(), 'two');
      assert.deepEqual(store.list(join(directory, 'a')), ['b.rec']);
      store.remove(path);
      store.remove(path);
      assert.equal(store.read(path), undefined);
      await store.probe(join(directory, 'c/probe'));
      assert.ok((store.read(join(directory, 'c/probe'))?.length ?? 0) > 0);
    });
  }

  it('state files are for their owner only, and no temporary file stays', () => {
    const path = join(directory, 'trust/key.pem');
    diskStateStore.replace(path, Buffer.from('secret'));
    assert.equal(statSync(path).mode & 0o7777, 0o600);
    assert.equal(statSync(join(directory, 'trust')).mode & 0o7777, 0o700);
    assert.deepEqual(readdirSync(join(directory, 'trust')), ['key.pem']);
  });

  it('a write that cannot be made is an error of the table and leaves the old file', () => {
    writeFileSync(join(directory, 'file'), 'x');
    const attempt = () => diskStateStore.replace(join(directory, 'file/below'), Buffer.from('y'));
    assert.throws(
      attempt,
      (error) => error instanceof KeelError && error.code === 'E_STATE_UNAVAILABLE',
    );
    // /dev/full answers every write with ENOSPC.
    symlinkSync('/dev/full', join(directory, 'full.new'));
    const blocked = () => diskStateStore.replace(join(directory, 'full'), Buffer.from('y'));
    assert.throws(blocked, KeelError);
  });

  it('the image walk tells types, modes, targets and first bytes, and nothing of other file systems', async () => {
    mkdirSync(join(directory, 'bin'));
    writeFileSync(join(directory, 'bin/tool'), '\x7fELFrest', 'latin1');
    chmodSync(join(directory, 'bin/tool'), 0o4755);
    symlinkSync('tool', join(directory, 'bin/link'));
    const found = new Map<string, string>();
    for await (const file of walkImage(directory, AbortSignal.timeout(5_000))) {
      const magic = Buffer.from(file.magic).toString('hex');
      found.set(
        file.path.slice(directory.length),
        `${file.type} ${file.mode.toString(8)} ${file.sizeBytes} ${file.linkTarget} ${magic}`,
      );
    }
    assert.equal(found.get('/bin/tool'), 'regular 4755 8  7f454c46');
    assert.match(String(found.get('/bin/link')), /^symlink 777 0 tool $/);
    const root: string[] = [];
    for await (const file of walkImage('/proc/self/task', AbortSignal.timeout(5_000))) {
      root.push(file.path);
      if (root.length > 20) break;
    }
    assert.ok(root.length > 0);
  });

  it('this process is among the processes, with its memory', async () => {
    const all = await listProcesses(linuxKernelFiles, AbortSignal.timeout(10_000));
    const own = all.find(({ pid }) => pid === process.pid);
    assert.equal(own?.parentPid, process.ppid);
    assert.ok((own?.pssBytes ?? 0n) > 1_000_000n);
  });

  it('PID 1 is asked over its socket, in pieces of any size', async () => {
    const path = join(directory, 'init.sock');
    const requests: string[] = [];
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => undefined);
      socket.once('data', async (chunk) => {
        requests.push(chunk.toString());
        const { op, service } = JSON.parse(chunk.toString()) as { op: string; service?: string };
        const lines =
          op !== 'readLog'
            ? [{ type: 'ok' }]
            : service === 'none'
              ? [{ type: 'error', code: 'E_NOT_FOUND', message: 'there is agent' }]
              : [
                  { type: 'log', line: { timeMs: 1, stream: 'stdout', line: 'é' } },
                  { type: 'log', line: { timeMs: 2, stream: 'stderr', line: 'b' } },
                  { type: 'ok' },
                ];
        for (const byte of Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(''))) {
          socket.write(Buffer.of(byte));
          await new Promise(setImmediate);
        }
        socket.end();
      });
    });
    server.listen(path);
    await once(server, 'listening');
    const client = initClient(path);
    const signal = AbortSignal.timeout(10_000);
    assert.deepEqual(await client.request({ op: 'markBoot', step: 'x' }), { type: 'ok' });
    const lines = [];
    for await (const line of client.readLog(
      { op: 'readLog', service: 'agent', follow: false },
      signal,
    ))
      lines.push(line.line);
    assert.deepEqual(lines, ['é', 'b']);
    const none = client.readLog({ op: 'readLog', service: 'none', follow: false }, signal);
    await assert.rejects(
      none[Symbol.asyncIterator]().next(),
      (error) => error instanceof KeelError && error.code === 'E_NOT_FOUND',
    );
    assert.equal(requests[0], '{"op":"markBoot","step":"x"}\n');
    server.close();
    await once(server, 'close');
    await assert.rejects(
      client.request({ op: 'listServices' }),
      (error) => error instanceof KeelError && error.code === 'E_INIT_UNREACHABLE',
    );
  });

  it('time comes from the first server that has it', async () => {
    const server = createSocket('udp4');
    const timeMs = Date.UTC(2030, 0);
    server.on('message', (request, from) => {
      const answer = Buffer.alloc(48);
      answer[0] = 0x24;
      answer[1] = 1;
      request.copy(answer, 24, 40, 48);
      answer.writeUInt32BE(timeMs / 1000 + 2_208_988_800, 40);
      server.send(answer, from.port, from.address);
    });
    server.bind(0, '127.0.0.1');
    await once(server, 'listening');
    const init = createFakeInit();
    const ports = {
      udp: udpExchange,
      random: () => Buffer.from('12345678'),
      clock: systemClock,
      init,
      log: () => undefined,
    };
    const { port } = server.address();
    const closed = createSocket('udp4');
    closed.bind(0, '127.0.0.1');
    await once(closed, 'listening');
    const deadPort = closed.address().port;
    closed.close();
    await once(closed, 'close');
    const result = await syncOnce(ports, [`127.0.0.1:${deadPort}`, `127.0.0.1:${port}`], {
      notBeforeMs: 0,
      signal: AbortSignal.timeout(10_000),
    });
    server.close();
    assert.equal(result.kind, 'time');
    const [request] = init.requests;
    assert.ok(
      request?.op === 'raiseClock' && request.source === 'ntp' && request.timeMs - timeMs < 2_000,
    );
  });

  it('time servers are named in every usual way', () => {
    const cases = [
      ['pool.example', 'pool.example', 123],
      ['10.0.0.1:1123', '10.0.0.1', 1123],
      ['[2001:db8::1]:99', '2001:db8::1', 99],
      ['2001:db8::1', '2001:db8::1', 123],
    ] as const;
    for (const [text, host, port] of cases) assert.deepEqual(targetFrom(text), { host, port });
  });
});
