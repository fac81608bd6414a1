import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo, Server as TcpServer } from 'node:net';
import { createServer } from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import {
  Health,
  HealthCheckResponse_ServingStatus as Serving,
} from '@keelos/proto/gen/grpc/health/v1/health_pb.js';
import { ConfigService } from '@keelos/proto/gen/keel/v1/config_pb.js';
import { HealthService, HealthState } from '@keelos/proto/gen/keel/v1/health_pb.js';
import { serviceDefinition } from '@keelos/proto/grpc.ts';
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
import type { OutsidePorts, OutsideSettings } from '@keelos/ts-agent/shell/outside-checks.ts';
import { OutsideChecks } from '@keelos/ts-agent/shell/outside-checks.ts';
import { systemClock } from '@keelos/ts-agent/sys/clock.ts';
import { createFakeKernelFiles } from '@keelos/ts-agent/sys/kernel-files.fake.ts';
import { askProbe, knock } from '@keelos/ts-agent/sys/probe.ts';
import { check, enrolledNode, FakeWorld, Openings, TestClient } from './agent-fixture.ts';
import { HostileServer, send } from './hostile-server.ts';
import { makeCertificate } from './openssl-certificates.ts';

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
    });
  const target = (outcome: Outcome) => judgeReach({ kind: 'target', target: 'a:1', outcome });
  const rows: readonly (readonly [name: string, verdict: Verdict, state: string, said: RegExp])[] =
    [
      ['no gateway', gateways([]), 'healthy', /no default gateway/],
      ['an answer', gateways([], 'answers'), 'healthy', /10\.0\.2\.2 on eth0 answers/],
      ['silence', gateways([], 'silent'), 'healthy', /takes packets/],
      [
        'no such neighbour',
        gateways([], 'unreachable'),
        'failing',
        /10\.0\.2\.2 on eth0 is not there/,
      ],
      ['one of two', gateways([], 'answers', 'unreachable'), 'degraded', /fe80::2 on eth1 is not/],
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

describe('probes', () => {
  const openings = new Openings();
  afterEach(() => openings.closeAll());
  const certificate = makeCertificate({
    subject: '/CN=server',
    extensions: ['subjectAltName=IP:127.0.0.1,DNS:store.example'],
  });

  /** What a probe says, or why it failed. */
  async function asked(probe: Partial<ProbeConfig>, timeMs = 5_000): Promise<string> {
    const timing = { name: 'p', timeoutSeconds: timeMs / 1_000, periodSeconds: 10 };
    const signal = AbortSignal.timeout(timeMs);
    try {
      return await askProbe({ ...timing, ...probe }, signal);
    } catch (cause) {
      return signal.aborted ? 'late' : `failed: ${cause instanceof Error ? cause.message : cause}`;
    }
  }

  async function listen(server: TcpServer): Promise<number> {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    openings.add({ close: () => server.close() });
    return (server.address() as AddressInfo).port;
  }

  it('by TCP', async () => {
    const port = await listen(createServer((socket) => socket.destroy()));
    assert.equal(await asked({ tcp: `127.0.0.1:${port}` }), 'takes connections');
    assert.equal(await asked({ tcp: `localhost:${port}` }), 'takes connections');
    await openings.closeAll();
    assert.match(await asked({ tcp: `127.0.0.1:${port}` }), /^failed: .*ECONNREFUSED/);
  });

  it('by HTTP: any status from 200 to 399', async () => {
    for (const [status, expected] of [
      [200, 'answers 200'],
      [204, 'answers 204'],
      [302, 'answers 302'],
      [400, 'failed: it answers 400'],
      [503, 'failed: it answers 503'],
    ] as const) {
      const server = openings.add(await HostileServer.start((_, s) => send(s, status, {})));
      assert.equal(await asked({ http: server.url('/healthz') }), expected);
      assert.equal(server.asked[0]?.line, 'GET /healthz');
    }
    const silent = openings.add(await HostileServer.start(() => undefined));
    assert.equal(await asked({ http: silent.url() }, 100), 'late');
  });

  it('by HTTPS: with the authorities and the name that it is given', async () => {
    const server = openings.add(await HostileServer.start((_, s) => send(s, 200, {}), certificate));
    const http = server.url();
    const caPem = certificate.certPem;
    assert.match(await asked({ http }), /^failed: .*self-signed/);
    assert.equal(await asked({ http, caPem }), 'answers 200');
    assert.equal(await asked({ http, caPem, serverName: 'store.example' }), 'answers 200');
    assert.match(await asked({ http, caPem, serverName: 'b.example' }), /^failed: .*altnames/);
  });

  /** A gRPC server as others write it. */
  async function grpcServer(secure: boolean): Promise<number> {
    const server = new Server();
    server.addService(serviceDefinition(Health) as never, {
      check: (
        call: { readonly request: { readonly service: string } },
        answer: (error: object | null, value?: object) => void,
      ) => {
        const { service } = call.request;
        if (service === 'gone') answer({ code: 5, details: 'no such service' });
        else if (service !== 'silent') {
          answer(null, { status: service === 'ill' ? Serving.NOT_SERVING : Serving.SERVING });
        }
      },
      watch: () => undefined,
    });
    const { certPem, keyPem } = certificate;
    const pair = { cert_chain: Buffer.from(certPem), private_key: Buffer.from(keyPem) };
    const credentials = secure
      ? ServerCredentials.createSsl(null, [pair])
      : ServerCredentials.createInsecure();
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', credentials, (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    openings.add({ close: () => server.forceShutdown() });
    return port;
  }

  it('by the health protocol of gRPC, against another implementation of it', async () => {
    const port = await grpcServer(false);
    const at = (service: string) => ({ grpc: `grpc://127.0.0.1:${port}${service}` });
    assert.equal(await asked(at('')), 'is serving');
    assert.equal(await asked(at('/shop.v1.Store')), 'is serving');
    assert.equal(await asked(at('/ill')), 'failed: it says NOT_SERVING');
    assert.equal(await asked(at('/gone')), 'failed: it answers with the gRPC status 5');
    assert.equal(await asked(at('/silent'), 300), 'late');
    const tcp = await listen(createServer((socket) => socket.end('SSH-2.0-x\r\n')));
    assert.match(await asked({ grpc: `grpc://127.0.0.1:${tcp}` }), /^failed: /);
    const http = openings.add(await HostileServer.start((_, s) => send(s, 200, {})));
    assert.match(await asked({ grpc: `grpc://127.0.0.1:${http.port}` }, 1_000), /^(failed: |late)/);
  });

  it('by the same with TLS', async () => {
    const port = await grpcServer(true);
    const grpc = `grpcs://127.0.0.1:${port}`;
    const caPem = certificate.certPem;
    assert.equal(await asked({ grpc, caPem }), 'is serving');
    assert.equal(await asked({ grpc, caPem, serverName: 'store.example' }), 'is serving');
    assert.match(await asked({ grpc, caPem, serverName: 'b.example' }), /^failed: .*altnames/);
    assert.match(await asked({ grpc }), /^failed: .*self-signed/);
    const web = openings.add(await HostileServer.start((_, s) => send(s, 200, {}), certificate));
    assert.match(await asked({ grpc: `grpcs://127.0.0.1:${web.port}`, caPem }), /^failed: /);
  });
});

describe('checks of what is outside', () => {
  const openings = new Openings();
  afterEach(() => openings.closeAll());
  const probe: ProbeConfig = { name: 'a', tcp: 'h:1', timeoutSeconds: 1, periodSeconds: 1 };
  const settings: OutsideSettings = { probes: [probe], health: {}, gateways: [] };

  function outside(change: Partial<OutsidePorts> = {}) {
    const files = createFakeKernelFiles();
    files.files.set('/proc/net/route', ROUTES);
    const logged: string[] = [];
    const checks = new OutsideChecks({
      files,
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
        return host === '10.0.2.2' ? 'answers' : 'unreachable';
      },
    });
    checks.restart({ ...settings, probes: [] });
    assert.equal((await verdictOf(REACH_CHECK)).state, 'degraded');
    assert.deepEqual(knocked, ['10.0.2.2:9', '192.168.1.1:9']);
    checks.restart({ ...settings, gateways: ['10.0.2.9'] });
    assert.match((await verdictOf(REACH_CHECK)).message, /no route .* 10\.0\.2\.9/);
    checks.restart({ ...settings, health: { networkTarget: 'api:443' } });
    assert.match((await verdictOf(REACH_CHECK)).message, /^api:443 takes connections/);
    assert.ok(logged.some((line) => line.startsWith('reach is failing: ')));
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
