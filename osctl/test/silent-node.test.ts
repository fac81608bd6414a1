import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { createOperator, type Operator } from './operator.ts';

const PROGRAM = fileURLToPath(new URL('../bin/osctl.mjs', import.meta.url));
const TIMEOUT_MS = 2000;
/** What a run may take beyond --timeout: the start of the program, on a machine that has other things to do. */
const START_MS_MAX = 8000;
const TEST_MS_MAX = 40_000;

describe('osctl and a peer that accepts connections and stays silent', () => {
  let operator: Operator;
  let listener: Server;
  let endpoint: string;
  const sockets = new Set<Socket>();

  before(async () => {
    operator = await createOperator();
    await operator.given({});
    listener = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
    });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    endpoint = `127.0.0.1:${(listener.address() as AddressInfo).port}`;
  });
  after(async () => {
    for (const socket of sockets) socket.destroy();
    listener.close();
    await operator.close();
  });

  /** Runs the real program; its error and exit code, or a failure when it does not end by itself. */
  async function run(args: readonly string[], stdout: 'pipe' | number = 'pipe') {
    const all = [...args, '--config', operator.host.store.path];
    const startedMs = performance.now();
    const child = spawn(process.execPath, [PROGRAM, ...all], { stdio: ['ignore', stdout, 'pipe'] });
    const killer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS + START_MS_MAX);
    assert(child.stderr !== null);
    const out = child.stdout === null ? '' : text(child.stdout);
    const [err, [exitCode]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
    clearTimeout(killer);
    return { exitCode, out: await out, err, tookMs: performance.now() - startedMs };
  }

  for (const args of [['health'], ['health', '--wait'], ['version'], ['logs', 'agent']]) {
    it(`ends by itself with 8 after --timeout: ${args.join(' ')}`, async function () {
      this.timeout(TEST_MS_MAX);
      const ran = await run([...args, '--endpoint', endpoint, '--timeout', `${TIMEOUT_MS}ms`]);
      assert.equal(ran.exitCode, 8, ran.err);
      assert.match(ran.err, /no answer|within 2 s/);
    });
  }

  it('keeps --timeout as a whole, whatever is tried in it', async function () {
    this.timeout(TEST_MS_MAX);
    const { host } = operator;
    const args = ['--endpoint', endpoint, '--timeout', '1500ms'];
    for (const command of [['health'], ['init', 'renew'], ['health', '--wait']]) {
      const startedMs = performance.now();
      const ran = await host.run([...command, ...args]);
      const tookMs = performance.now() - startedMs;
      assert.equal(ran.exitCode, 8, ran.err);
      assert(tookMs < 2500, `${command.join(' ')} took ${tookMs} ms`);
    }
  });

  it('counts the call that asks for a reboot against --timeout', async () => {
    const own = await createOperator();
    try {
      const { host } = own;
      await own.given({
        reboot: () => {
          host.slept.push(4000); // the clock of this host goes on by what is in here
          return { bootId: 'old' };
        },
        getStatus: () => ({ bootId: 'old' }),
      });
      const ran = await host.run(['reboot', '--wait', '--timeout', '5s']);
      assert.equal(ran.exitCode, 8);
      assert.match(ran.err, /within 5 s: the node has not gone down yet/);
      const sleptMs = host.slept.reduce((sum, ms) => sum + ms, 0);
      assert(sleptMs <= 5000, `${sleptMs} ms`);
    } finally {
      await own.close();
    }
  });

  it('spends no longer on an enrolment', async function () {
    this.timeout(TEST_MS_MAX);
    const ran = await operator.host.run([
      ...['init', 'bootstrap', '--endpoint', endpoint, '--timeout', '1s'],
      ...['--fingerprint', 'ab'.repeat(32), '--token', 'AAAABBBBCCCCDDDDEEEE'],
    ]);
    assert.equal(ran.exitCode, 8, ran.err);
    assert.match(ran.err, /Cannot reach .*: no answer to the TLS handshake in time/);
  });

  it('says in one line that the output cannot be written', async function () {
    this.timeout(TEST_MS_MAX);
    const ran = await run(['version', '--client'], openSync('/dev/full', 'w'));
    assert.equal(ran.exitCode, 1);
    assert.match(
      ran.err,
      /^osctl: Cannot write the output: there is no room left\nhint: [^\n]+\n$/,
    );
  });
});
