import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { kernelCommandLine } from '@keelos/image/core/command-line.ts';
import { ConfigService } from '@keelos/proto/gen/keel/v1/config_pb.js';
import { HealthService, HealthState } from '@keelos/proto/gen/keel/v1/health_pb.js';
import { NODE_PATHS } from '@keelos/proto/node-paths.ts';
import { encodeRecord } from '@keelos/proto/state-record.ts';
import type { ProbeConfig } from '@keelos/proto/stored-config.ts';
import { DEFAULT_NODE_CONFIG, STORED_CONFIG } from '@keelos/proto/stored-config.ts';
import type { Verdict } from '@keelos/ts-agent/core/health-checks.ts';
import type { GatewayAnswer, Outcome } from '@keelos/ts-agent/core/outside-checks.ts';
import {
  canonicalAddress,
  isOutsideCheck,
  judgeReach,
  parseIpv4Gateways,
  parseIpv6Gateways,
  probeCheckName,
  REACH_CHECK,
} from '@keelos/ts-agent/core/outside-checks.ts';
import { CHECK_MS } from '@keelos/ts-agent/shell/health.ts';
import type { OutsidePorts, OutsideSettings } from '@keelos/ts-agent/shell/outside-checks.ts';
import {
  FIRST_LOOK_MS,
  OutsideChecks,
  REACH_PERIOD_MS,
} from '@keelos/ts-agent/shell/outside-checks.ts';
import { forgetTrial, keepTrial } from '@keelos/ts-agent/shell/update-records.ts';
import { createFakeClock } from '@keelos/ts-agent/sys/clock.fake.ts';
import { systemClock } from '@keelos/ts-agent/sys/clock.ts';
import { createFakeKernelFiles } from '@keelos/ts-agent/sys/kernel-files.fake.ts';
import { knock } from '@keelos/ts-agent/sys/probe.ts';
import { MemoryStateStore } from '@keelos/ts-agent/sys/state-store.fake.ts';
import { check, enrolledNode, FakeWorld, Openings, TestClient } from './agent-fixture.ts';
import { makeCertificate } from './openssl-certificates.ts';
import { TRIAL } from './update-wishes.ts';

const ROUTES = [
  'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
  'eth1\t00000000\t0101A8C0\t0003\t0\t0\t200\t00000000\t0\t0\t0',
  'eth0\t00000000\t0202000A\t0003\t0\t0\t0\t00000000\t0\t0\t0',
  'eth0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0',
  'eth2\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0',
].join('\n');
const ZERO = '0'.repeat(32);
const ROUTES6 = [
  `${ZERO} 00 ${ZERO} 00 fe800000000000000000000000000002 00000400 00000001 00000000 00000003     eth0`,
  `20010db8000000000000000000000000 40 ${ZERO} 00 ${ZERO} 00000100 00000001 00000000 00000001     eth0`,
  `${ZERO} 00 ${ZERO} 00 ${ZERO} ffffffff 00000001 00000000 00200200       lo`,
].join('\n');

describe('the way out of the node', () => {
  it('default gateways are read from the routing tables, the one in use first', () => {
    assert.deepEqual(parseIpv4Gateways(ROUTES), [
      { address: '10.0.2.2', interface: 'eth0' },
      { address: '192.168.1.1', interface: 'eth1' },
    ]);
    assert.deepEqual(parseIpv6Gateways(ROUTES6), [{ address: 'fe80::2', interface: 'eth0' }]);
    for (const text of ['', 'x', '\n\n', ROUTES.slice(0, 150), ROUTES6.slice(0, 70)]) {
      assert.deepEqual([...parseIpv4Gateways(text), ...parseIpv6Gateways(text)].slice(1), []);
    }
    assert.equal(canonicalAddress('2001:DB8:0::1'), '2001:db8::1');
  });

  const eth0 = { address: '10.0.2.2', interface: 'eth0' };
  const eth1 = { address: 'fe80::2', interface: 'eth1' };
  const gateways = (expected: readonly string[], ...answers: readonly GatewayAnswer[]) =>
    judgeReach({
      kind: 'gateways',
      expected,
      found: answers.map((answer, index) => ({ ...(index === 0 ? eth0 : eth1), answer })),
      hadGateway: false,
    });
  const lost = judgeReach({ kind: 'gateways', expected: [], found: [], hadGateway: true });
  const target = (outcome: Outcome) => judgeReach({ kind: 'target', target: 'a:1', outcome });
  const rows: readonly (readonly [name: string, verdict: Verdict, state: string, said: RegExp])[] =
    [
      ['no gateway', gateways([]), 'healthy', /no default gateway/],
      ['a gateway that the release before had', lost, 'failing', /The release before this one had/],
      ['an answer', gateways([], 'answers'), 'healthy', /10\.0\.2\.2 on eth0 answers/],
      ['silence', gateways([], 'silent'), 'healthy', /takes packets/],
      [
        'no such neighbour',
        gateways([], 'unreachable'),
        'failing',
        /10\.0\.2\.2 on eth0 is not there/,
      ],
      [
        'one of two',
        gateways([], 'answers', 'unreachable'),
        'healthy',
        /eth0 answers; fe80::2 on eth1 is not there/,
      ],
      [
        'none of two',
        gateways([], 'unreachable', 'unreachable'),
        'failing',
        /eth0, fe80::2 on eth1/,
      ],
      ['as configured', gateways(['10.0.2.2'], 'answers'), 'healthy', /answers/],
      [
        'a route that was lost',
        gateways(['10.0.2.3'], 'answers'),
        'failing',
        /no route .* 10\.0\.2\.3/,
      ],
      ['all routes lost', gateways(['10.0.2.2']), 'failing', /no route/],
      [
        'a target that takes connections',
        target({ kind: 'passed', seen: '' }),
        'healthy',
        /a:1 takes/,
      ],
      [
        'a target that does not',
        target({ kind: 'failed', reason: 'refused' }),
        'failing',
        /a:1 takes no connection: refused/,
      ],
    ];
  for (const [name, verdict, state, said] of rows) {
    it(`${name}: ${state}`, () => {
      assert.equal(verdict.state, state);
      assert.match(verdict.message, said);
      assert.equal(verdict.remedy === '', state === 'healthy');
    });
  }

  it('a host that refuses is there', async () => {
    const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const never = new AbortController().signal;
    assert.equal(await knock({ host: '127.0.0.1', port }, never), 'answers');
    server.close();
    await once(server, 'close');
    assert.equal(await knock({ host: '127.0.0.1', port }, never), 'answers');
  });

  it('only what is outside is outside', () => {
    assert.deepEqual(
      [REACH_CHECK, probeCheckName('a'), 'network', 'init', 'api', 'probe'].map(isOutsideCheck),
      [true, true, false, false, false, false],
    );
  });
});

describe('checks of what is outside', () => {
  const openings = new Openings();
  afterEach(() => openings.closeAll());
  const probe: ProbeConfig = { name: 'a', tcp: 'h:1', timeoutSeconds: 1, periodSeconds: 1 };
  const settings: OutsideSettings = {
    probes: [probe],
    health: {},
    gateways: [],
    isDynamic: true,
  };

  function outside(change: Partial<OutsidePorts> = {}) {
    const files = createFakeKernelFiles();
    files.files.set('/proc/net/route', ROUTES);
    const logged: string[] = [];
    const checks = new OutsideChecks({
      files,
      state: new MemoryStateStore(),
      clock: systemClock,
      log: (line) => logged.push(line),
      askProbe: async () => 'works',
      knock: async () => 'answers',
      ...change,
    });
    const verdictOf = async (name: string) => {
      const found = checks.checks().find(([one]) => one === name);
      assert.ok(found, name);
      return await found[1]();
    };
    return { checks: openings.add(checks), verdictOf, logged };
  }

  it('a check waits for its first result, and takes the last one after', async () => {
    const answers: PromiseWithResolvers<string>[] = [];
    const { checks, verdictOf } = outside({
      askProbe: async (_, signal) => {
        const answer = Promise.withResolvers<string>();
        signal.addEventListener('abort', () => answer.reject(signal.reason), { once: true });
        answers.push(answer);
        return answer.promise;
      },
    });
    checks.restart(settings);
    const first = verdictOf('probe/a');
    answers[0]?.resolve('works');
    assert.deepEqual(await first, { state: 'healthy', message: 'tcp h:1: works.', remedy: '' });
    while (answers.length < 2) await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal((await verdictOf('probe/a')).state, 'healthy', 'while the second one runs');
  });

  it('a first look that takes long says so, in time for the health check', async () => {
    const probes = [{ ...probe, timeoutSeconds: 60 }];
    const { checks, verdictOf } = outside({
      askProbe: async () => Promise.withResolvers<string>().promise,
    });
    checks.restart({ ...settings, probes });
    assert.ok(FIRST_LOOK_MS < CHECK_MS);
    const { state, message, remedy } = await verdictOf('probe/a');
    assert.equal(state, 'failing', 'no trial is committed by a look that was not made');
    assert.match(message, /^The first look is running, for \d s so far\.$/);
    assert.match(remedy, /Ask again/);
  });

  it('a look that throws is failing, and the next one is made', async () => {
    let reads = 0;
    const files = createFakeKernelFiles();
    const readText = async () => {
      reads += 1;
      if (reads === 1) throw new Error('EIO: i/o error');
      return ROUTES;
    };
    // The next look comes after REACH_PERIOD_MS, less what this one took.
    const { checks, verdictOf } = outside({
      files: { ...files, readText },
      clock: { ...systemClock, monotonicMs: () => reads * REACH_PERIOD_MS },
    });
    checks.restart({ ...settings, probes: [] });
    const broken = await verdictOf(REACH_CHECK);
    assert.equal(broken.state, 'failing');
    assert.match(broken.message, /^The look has failed: EIO: i\/o error\.$/);
    while (reads < 3) await new Promise((resolve) => setTimeout(resolve, 20));
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal((await verdictOf(REACH_CHECK)).state, 'healthy');
  });

  it('a trial that has lost the gateway is failing, until it has one, or is over', async () => {
    const state = new MemoryStateStore();
    const files = createFakeKernelFiles();
    const runs = (rootHash: string) =>
      files.files.set(
        '/proc/cmdline',
        kernelCommandLine({ dataBytes: 4096, rootHash, salt: 'ab' }),
      );
    runs(TRIAL.to.rootHash);
    keepTrial({ state, log: () => undefined }, { ...TRIAL, hadGateway: true });
    const look = async (isDynamic = true) => {
      const { checks, verdictOf } = outside({ state, files });
      checks.restart({ ...settings, probes: [], isDynamic });
      return (await verdictOf(REACH_CHECK)).state;
    };
    assert.equal(await look(), 'failing');
    assert.equal(await look(false), 'healthy', 'a configuration without a gateway is in force');
    runs(TRIAL.from.rootHash);
    assert.equal(await look(), 'healthy', 'this is the release that had one');
    runs(TRIAL.to.rootHash);
    files.files.set('/proc/net/route', ROUTES);
    assert.equal(await look(), 'healthy');
    files.files.delete('/proc/net/route');
    keepTrial({ state, log: () => undefined }, { ...TRIAL, hadGateway: false });
    assert.equal(await look(), 'healthy');
    keepTrial({ state, log: () => undefined }, { ...TRIAL, hadGateway: true });
    forgetTrial({ state, log: () => undefined });
    assert.equal(await look(), 'healthy');
  });

  it('a probe that fails, throws or hangs is failing', async () => {
    for (const [ask, said] of [
      [async () => Promise.reject(new Error('no luck')), /tcp h:1 failed: no luck/],
      [
        (_: ProbeConfig, signal: AbortSignal) =>
          new Promise<string>((_resolve, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason));
          }),
        /failed: no result within 1 s/,
      ],
    ] as const) {
      const { checks, verdictOf } = outside({ askProbe: ask });
      checks.restart(settings);
      const verdict = await verdictOf('probe/a');
      assert.equal(verdict.state, 'failing');
      assert.match(verdict.message, said);
    }
  });

  it('gateways, a target in their place, and routes that the configuration wants', async () => {
    const knocked: string[] = [];
    const { checks, verdictOf, logged } = outside({
      knock: async ({ host, port }) => {
        knocked.push(`${host}:${port}`);
        return host === '10.0.2.2' ? 'answers' : 'no-route';
      },
    });
    checks.restart({ ...settings, probes: [] });
    assert.match((await verdictOf(REACH_CHECK)).message, /eth0 answers; 192\.168\.1\.1 on eth1/);
    assert.deepEqual(knocked, ['10.0.2.2:9', '192.168.1.1:9']);
    checks.restart({ ...settings, gateways: ['10.0.2.9'] });
    assert.match((await verdictOf(REACH_CHECK)).message, /no route .* 10\.0\.2\.9/);
    checks.restart({ ...settings, health: { networkTarget: 'api:443' } });
    assert.match((await verdictOf(REACH_CHECK)).message, /^api:443 takes connections/);
    assert.ok(logged.some((line) => line.startsWith('reach is failing: ')));
  });

  it('a neighbour that is searched for in vain is told from a firewall that rejects', async () => {
    const clock = createFakeClock(0);
    const oneGateway = createFakeKernelFiles();
    oneGateway.files.set('/proc/net/route', ROUTES.split('\n').slice(2).join('\n'));
    const after = async (...searchesMs: readonly number[]) => {
      const left = [...searchesMs];
      const { checks, verdictOf } = outside({
        clock,
        files: oneGateway,
        knock: async () => {
          const ms = left.shift();
          assert.ok(ms !== undefined, 'a knock too many');
          clock.advance(ms);
          return 'unreachable';
        },
      });
      checks.restart({ ...settings, probes: [] });
      const { state } = await verdictOf(REACH_CHECK);
      checks.close();
      return `${state}, ${left.length} left`;
    };
    assert.equal(await after(3_000, 9_000), 'failing, 1 left', 'searched in vain');
    assert.equal(await after(500, 3_000), 'failing, 0 left', 'after the end of another search');
    assert.equal(await after(1, 1), 'healthy, 0 left', 'told so at once, twice');
  });

  it('who waits for a check when the settings change is not kept waiting', async () => {
    const { checks, verdictOf } = outside({ askProbe: () => new Promise(() => undefined) });
    checks.restart(settings);
    const waiting = verdictOf('probe/a');
    checks.restart({ ...settings, probes: [] });
    assert.match((await waiting).message, /has just changed/);
    assert.deepEqual(
      checks.checks().map(([name]) => name),
      [REACH_CHECK],
    );
  });

  it('a configuration that an older release has stored is in force, and can be changed', async () => {
    const world = new FakeWorld();
    const { probes: _p, update: _u, health: _h, ...config } = DEFAULT_NODE_CONFIG;
    const stored = { revision: 3, timeMs: 0, subject: 'a', fingerprint: 'b', yaml: 'c', config };
    world.state.replace(NODE_PATHS.nodeConfig, encodeRecord(STORED_CONFIG, stored));
    const agent = openings.add(await world.start());
    const client = openings.add(new TestClient(agent, makeCertificate()));
    await client.enrol(world.token);
    assert.equal((await check(client, REACH_CHECK)).state, HealthState.HEALTHY);
    const yaml = 'apiVersion: keel/v1\nhealth: {networkTarget: "h:1"}\n';
    const { changes, revision } = await client.call(ConfigService, 'applyConfig', { yaml });
    assert.deepEqual(
      changes.map(({ path }) => path),
      ['health.networkTarget'],
    );
    assert.equal(revision, 4n);
  });

  it('a probe of the configuration is in force at once, and makes the node unhealthy', async () => {
    const { client, world } = await enrolledNode(openings);
    assert.match((await check(client, REACH_CHECK)).message, /no default gateway/);
    world.askProbe = async () => Promise.reject(new Error('no luck'));
    const yaml = 'apiVersion: keel/v1\nprobes: [{name: web, http: "http://127.0.0.1/healthz"}]\n';
    const { rebootRequired } = await client.call(ConfigService, 'applyConfig', { yaml });
    assert.equal(rebootRequired, false);
    world.clock.advance(2_000);
    const found = await check(client, 'probe/web');
    assert.equal(found.state, HealthState.FAILING);
    assert.match(found.message, /http:\/\/127\.0\.0\.1\/healthz failed: no luck/);
    const { healthy } = await client.call(HealthService, 'getHealth', {});
    assert.equal(healthy, false);
    await client.call(ConfigService, 'applyConfig', { yaml: 'apiVersion: keel/v1\n' });
    world.clock.advance(2_000);
    assert.equal((await client.call(HealthService, 'getHealth', {})).healthy, true);
  });
});
