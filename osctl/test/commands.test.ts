import assert from 'node:assert/strict';
import { durationFromMs, timestampFromMs } from '@bufbuild/protobuf/wkt';
import { KeelError } from '@keelos/proto/errors.ts';
import type { StreamServiceLogRequest } from '@keelos/proto/gen/keel/v1/diagnostics_pb.js';
import type { Handler } from './fake-node.ts';
import { FAILING, HEALTHY, operatorOfEachTest } from './operator.ts';

describe('osctl against a node', () => {
  const operator = operatorOfEachTest();
  const { given, stop } = operator;

  it('prints health as a table with remedies and exits with 7', async () => {
    await given({ getHealth: () => FAILING });
    const ran = await operator.host.run(['health']);
    assert.equal(ran.exitCode, 7);
    assert.match(ran.out, /^CHECK +STATE +SINCE +MESSAGE\n/);
    assert.match(ran.out, /state-partition +failing +- +read-only\n/);
    assert.match(ran.out, /state-partition: Replace the disk\.\n/);
    assert.equal(
      ran.err.split('\n')[0],
      'osctl: Cannot call the node healthy: 1 check failing (state-partition)',
    );
  });

  it('prints health as JSON with a fixed shape', async () => {
    await given({
      getHealth: () => ({
        ...HEALTHY,
        checks: [{ ...HEALTHY.checks[0], since: timestampFromMs(0) }],
      }),
    });
    const ran = await operator.host.run(['health', '-o', 'json']);
    assert.equal(ran.exitCode, 0);
    assert.deepEqual(JSON.parse(ran.out), {
      healthy: true,
      checks: [
        {
          name: 'agent',
          state: 'healthy',
          since: '1970-01-01T00:00:00.000Z',
          message: 'ok',
          remedy: '',
        },
      ],
    });
  });

  it('prints status with every field', async () => {
    await given({
      getStatus: () => ({
        hostname: 'keel-1',
        slot: 1,
        bootId: '5f2d-1',
        uptime: durationFromMs(61_500),
        memory: { totalBytes: 2n ** 30n, availableBytes: 3n * 2n ** 28n },
        clock: { now: timestampFromMs(Date.now() - 3_600_000), source: 'rtc', trusted: true },
      }),
    });
    const ran = await operator.host.run(['status', '-o', 'json']);
    const data = JSON.parse(ran.out);
    assert.deepEqual(Object.keys(data), [
      ...['hostname', 'machineId', 'version', 'slot', 'rootHash', 'uptimeSeconds', 'memory'],
      ...['filesystems', 'addresses', 'clock', 'serverCertificate', 'enrolled', 'bootId'],
    ]);
    assert.equal(data.uptimeSeconds, 61.5);
    assert.equal(data.slot, 'a');
    assert.equal(data.serverCertificate, null);
    assert.deepEqual(data.memory, { totalBytes: 1_073_741_824, availableBytes: 805_306_368 });
    assert.match(
      JSON.parse(ran.err).warning.message,
      /The node's clock .* is 1 h .*behind this machine's/,
    );
    const table = await operator.host.run(['status']);
    assert.match(table.out, /^boot id +5f2d-1$/m);
    assert.match(table.out, /^uptime +1 min 1 s$/m);
    assert.match(table.out, /^memory +768 MiB available of 1\.0 GiB$/m);
    const yaml = await operator.host.run(['status', '-o', 'yaml']);
    assert.match(yaml.out, /^uptimeSeconds: 61\.5$/m);
  });

  it('streams log lines one JSON object a line, and asks for what was asked', async () => {
    const { requests } = await given({
      streamServiceLog: async function* () {
        yield { time: timestampFromMs(0), stream: 1, line: 'one' };
        yield { time: timestampFromMs(1), stream: 2, line: '\u001b[2Jtwo' };
      },
    });
    const json = await operator.host.run(['logs', 'agent', '--tail', '2', '-o', 'json']);
    assert.deepEqual(
      json.out
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
      [
        { time: '1970-01-01T00:00:00.000Z', stream: 'stdout', line: 'one' },
        { time: '1970-01-01T00:00:00.001Z', stream: 'stderr', line: '\u001b[2Jtwo' },
      ],
    );
    const { service, follow, tailLines } = requests[0] as StreamServiceLogRequest;
    assert.deepEqual([service, follow, tailLines], ['agent', false, 2]);
    const table = await operator.host.run(['logs', 'agent']);
    assert.equal(table.out.split('\n')[1], '1970-01-01T00:00:00.001Z \\x1b[2Jtwo');
  });

  it('ends a followed log with 130 on Ctrl-C, and the call with it', async () => {
    const controller = new AbortController();
    let cancelled: Promise<unknown> = Promise.reject(new Error('never called'));
    cancelled.catch(() => undefined);
    await given({
      streamServiceLog: async function* ({ signal }) {
        cancelled = new Promise((resolve) => signal.addEventListener('abort', resolve));
        yield { line: 'one' };
        await cancelled;
      },
    });
    operator.host.onOut = () =>
      controller.abort(new KeelError('E_CANCELLED', 'Cannot finish: interrupted'));
    const ran = await operator.host.run(['logs', 'agent', '-f'], controller.signal);
    assert.equal(ran.exitCode, 130);
    assert.match(ran.err, /^osctl: Cannot finish: interrupted\n/);
    assert.match(ran.out, /one\n/);
    await cancelled;
  });

  it('gives up after --timeout', async () => {
    await given({ getVersion: () => new Promise(() => undefined) });
    const ran = await operator.host.run(['version', '--timeout', '100ms']);
    assert.equal(ran.exitCode, 8);
    assert.match(ran.err, /Cannot finish GetVersion on 127\.0\.0\.1:\d+: no answer in 0\.1 s/);
  });

  it('says that the node is gone, with the endpoint, and exits with 3', async () => {
    const { endpoint } = await given({});
    await stop();
    const ran = await operator.host.run(['services', '-o', 'json']);
    assert.equal(ran.exitCode, 3);
    const { error } = JSON.parse(ran.err);
    assert.deepEqual(Object.keys(error), ['code', 'message', 'hint', 'details']);
    assert.equal(error.code, 'E_UNREACHABLE');
    assert.equal(
      error.message,
      `Cannot reach ${endpoint}: connection refused: nothing listens there`,
    );
  });

  it('says whose certificate expired, when, and by whose clock', async () => {
    const refuse: Handler = () => {
      throw new KeelError('E_CERTIFICATE_EXPIRED', 'Cannot answer: expired', {
        hint: 'The hint of the node.',
      });
    };
    await given({ getVersion: refuse }, { validityMs: 3_600_000, ageMs: 7_200_000 });
    const late = await operator.host.run(['version']);
    assert.equal(late.exitCode, 4);
    assert.match(
      late.err,
      /your client certificate \(CN=tester, O=keel:admin\) expired at \S+Z, 1 h 5 min ago by this machine's clock/,
    );
    assert.match(late.err, /^hint: The hint of the node\.$/m);
    operator.host.offsetMs = -5_400_000;
    const early = await operator.host.run(['version']);
    assert.match(
      early.err,
      /expired by the node's clock, but by this machine's clock .* the two clocks disagree/,
    );
  });

  it('answers every diagnostic command in all three forms', async () => {
    await given({
      getBootTiming: () => ({ steps: [{ name: 'api-listening', monotonicUs: 5_900_000n }] }),
      listImageFiles: async function* () {
        yield { path: '/sbin/init', type: 3, mode: 0o777, linkTarget: '/usr/bin/keel' };
      },
      listMounts: () => ({ mounts: [{ mountPoint: '/', type: 'squashfs', options: ['ro'] }] }),
      listProcesses: () => ({ processes: [{ pid: 1, command: '/sbin/init', pssBytes: 1024n }] }),
      getSecurity: () => ({ lockdown: 'integrity', rootReadOnly: true }),
      listServices: () => ({ services: [{ name: 'agent', state: 2, pid: 7 }] }),
      streamKernelLog: async function* () {
        yield { sequence: 1n, monotonicUs: 1_500_000n, message: 'hello' };
      },
    });
    const expected: [string[], RegExp][] = [
      [['get', 'boot'], /5\.900 {2}api-listening/],
      [['get', 'image-files'], /0777 +symlink +- +\/sbin\/init -> \/usr\/bin\/keel/],
      [['get', 'mounts'], /\/ +squashfs +- +ro/],
      [['get', 'processes'], /1 +0 +0 B +1\.0 KiB +\/sbin\/init/],
      [['get', 'security'], /lockdown +integrity/],
      [['services'], /agent +running +7/],
      [['dmesg'], /\[ +1\.500000\] hello/],
    ];
    for (const [args, table] of expected) {
      const ran = await operator.host.run(args);
      assert.equal(ran.exitCode, 0, ran.err);
      assert.match(ran.out, table);
      assert.ok(
        typeof JSON.parse((await operator.host.run([...args, '-o', 'json'])).out) === 'object',
      );
      assert.match((await operator.host.run([...args, '-o', 'yaml'])).out, /^\S+:/m);
    }
  });

  it('sees the exit code of the table for what a node says', async () => {
    await given({
      getVersion: () => {
        throw new KeelError('E_STATE_FULL', 'Cannot store: no room', { details: { path: '/var' } });
      },
    });
    const full = await operator.host.run(['version', '-o', 'json']);
    assert.equal(full.exitCode, 10);
    assert.deepEqual(JSON.parse(full.err).error.details, { path: '/var' });
    const unknown = await operator.host.run(['get', 'mounts']);
    assert.equal(unknown.exitCode, 1);
    assert.match(unknown.err, /hint: Compare the versions with osctl version/);
  });

  it('warns about releases that are far apart', async () => {
    await given({ getVersion: () => ({ version: '0.9.0', api: 'keel.v1' }) });
    const ran = await operator.host.run(['version']);
    assert.equal(ran.exitCode, 0);
    assert.match(
      ran.err,
      /^warning: osctl 0\.1\.0 and the node's release 0\.9\.0 are more than one minor/,
    );
  });

  it('edits contexts and shows no key unless it is asked to', async () => {
    await given({});
    assert.equal((await operator.host.run(['config', 'rename', 'one', 'two'])).exitCode, 0);
    const shown = await operator.host.run(['config', 'show', '-o', 'json']);
    assert.equal(JSON.parse(shown.out).name, 'two');
    assert.ok(!shown.out.includes('PRIVATE KEY'));
    assert.match((await operator.host.run(['config', 'show', '--raw'])).out, /BEGIN PRIVATE KEY/);
    assert.match(
      (await operator.host.run(['config', 'list'])).out,
      /^\* +two +127\.0\.0\.1:\d+ +in 23 h/m,
    );
    assert.equal((await operator.host.run(['config', 'list', '--names'])).out, 'two\n');
    assert.equal((await operator.host.run(['config', 'use', 'three'])).exitCode, 2);
    assert.equal((await operator.host.run(['config', 'remove', 'two'])).exitCode, 0);
    assert.equal((await operator.host.run(['version'])).exitCode, 2);
    assert.equal(
      (await operator.host.run(['config', 'path'])).out,
      `${operator.host.store.path}\n`,
    );
  });

  it('refuses wrong command lines with 2 and help with 0', async () => {
    const wrong = [
      ['helth'],
      ['logs'],
      ['logs', 'agent', '--tail', 'many'],
      ['health', '-o', 'xml'],
      ['health', '--timeout', '5'],
      ['apply'],
      ['completion', 'tcsh'],
      ['init', 'bootstrap', '--fingerprint', 'ab', '--endpoint', 'n', '--token', 't'],
      ['services', 'extra'],
      ['get'],
      [],
    ];
    for (const args of wrong) {
      const ran = await operator.host.run(args);
      assert.equal(ran.exitCode, 2, `${args.join(' ')}: ${ran.err}`);
    }
    const help = await operator.host.run(['init', 'bootstrap', '--help']);
    assert.deepEqual([help.exitCode, help.err], [0, '']);
    assert.match(help.out, /Examples:\n {2}osctl init bootstrap/);
  });
});
