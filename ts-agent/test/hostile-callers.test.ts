import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { ConfigService } from '@keelos/proto/gen/keel/v1/config_pb.js';
import { DiagnosticsService } from '@keelos/proto/gen/keel/v1/diagnostics_pb.js';
import { EnrolmentService } from '@keelos/proto/gen/keel/v1/enrolment_pb.js';
import { HealthService } from '@keelos/proto/gen/keel/v1/health_pb.js';
import { SystemService } from '@keelos/proto/gen/keel/v1/system_pb.js';
import { ENROL_METHOD } from '@keelos/ts-agent/core/access.ts';
import { LIMITS } from '@keelos/ts-agent/core/limits.data.ts';
import {
  enrolledNode,
  FakeWorld,
  failure,
  failureCode,
  Openings,
  TestClient,
} from './agent-fixture.ts';
import { makeCertificate } from './openssl-certificates.ts';

describe('hostile callers', () => {
  const openings = new Openings();
  afterEach(() => openings.closeAll());
  const silent = async (port: number, count: number): Promise<Socket[]> => {
    const sockets = Array.from({ length: count }, () => connect(port, '127.0.0.1'));
    for (const socket of sockets) {
      socket.on('error', () => undefined);
      openings.add({ close: () => socket.destroy() });
    }
    await Promise.all(
      sockets.map((socket) => socket.readyState === 'open' || once(socket, 'connect')),
    );
    return sockets;
  };

  it('a thousand connections that say nothing do not keep an operator out', async () => {
    const { agent, certificate, client } = await enrolledNode(openings);
    const sockets = await silent(agent.port, 1_000);
    const fresh = openings.add(new TestClient(agent, certificate));
    assert.equal((await fresh.call(SystemService, 'getVersion', {})).version, '0.1.0');
    assert.equal(
      (await client.call(SystemService, 'getVersion', {})).version,
      '0.1.0',
      'and leave the open one alone',
    );
    while (sockets.filter((socket) => !socket.destroyed).length > LIMITS.unprovenPerAddressMax) {
      await new Promise(setImmediate);
    }
    assert.ok(agent.connectionCount() <= LIMITS.unprovenPerAddressMax + 2);
  });

  it('nor do two hundred finished handshakes without a call', async () => {
    const { agent, certificate } = await enrolledNode(openings);
    for (let index = 0; index < 200; index += 1) {
      const socket = connectTls({
        port: agent.port,
        host: '127.0.0.1',
        rejectUnauthorized: false,
        ALPNProtocols: ['h2'],
      });
      socket.on('error', () => undefined);
      openings.add({ close: () => socket.destroy() });
      if (index % 20 === 0) await once(socket, 'secureConnect');
    }
    const fresh = openings.add(new TestClient(agent, certificate));
    await fresh.call(SystemService, 'getVersion', {});
    assert.ok(agent.connectionCount() <= LIMITS.unprovenPerAddressMax + 2);
  });

  it('a certificate with too many connections shuts out itself only', async () => {
    const { agent, certificate, client } = await enrolledNode(openings, {
      provenPerCertificateMax: 2,
    });
    const successor = makeCertificate();
    await client.call(EnrolmentService, 'renew', { certificate: successor.der });
    const version = (one: TestClient) =>
      one.call(SystemService, 'getVersion', {}, { deadline: Date.now() + 2_000 });
    await version(openings.add(new TestClient(agent, certificate)));
    const { error } = await failure(version(openings.add(new TestClient(agent, certificate))));
    assert.match(String(error.code), /^(4|14)$/);
    await version(openings.add(new TestClient(agent, successor)));
  });

  it('a connection that proves nothing ends by itself', async () => {
    const world = new FakeWorld();
    const agent = openings.add(await world.start({ unprovenLifetimeMs: 50 }));
    const [socket] = await silent(agent.port, 1);
    assert.ok(socket);
    await once(socket, 'close');
  });

  it('a handshake that never ends is cut', async () => {
    const world = new FakeWorld();
    const agent = openings.add(await world.start({ handshakeMs: 50 }));
    const [socket] = await silent(agent.port, 1);
    assert.ok(socket);
    await once(socket, 'close');
  });

  it('a message over the limit is refused, and the connection lives on', async () => {
    const { client } = await enrolledNode(openings);
    const yaml = 'x'.repeat(LIMITS.messageBytesMax + 1);
    const { error } = await failure(client.call(ConfigService, 'applyConfig', { yaml }));
    assert.equal(error.code, 8);
    assert.match(error.details, /larger than max/);
    await client.call(SystemService, 'getVersion', {});
  });

  it('more calls than the rate are refused, for this caller only', async () => {
    const { client, world, agent } = await enrolledNode(openings, {
      callBurst: 3,
      callsPerSecond: 1,
    });
    const codes: (string | undefined)[] = [];
    for (let index = 0; index < 5; index += 1) {
      codes.push(
        await client.call(SystemService, 'getVersion', {}).then(
          () => 'ok',
          async (e) => failureCode(Promise.reject(e)),
        ),
      );
    }
    assert.deepEqual(codes, ['ok', 'ok', 'ok', 'E_RATE_LIMITED', 'E_RATE_LIMITED']);
    const nobody = openings.add(new TestClient(agent, makeCertificate()));
    assert.equal(await failureCode(nobody.call(SystemService, 'getVersion', {})), 'E_NOT_ENROLLED');
    world.clock.advance(1_000);
    await client.call(SystemService, 'getVersion', {});
  });

  it('a stranger has one call at a time on a connection', async () => {
    const world = new FakeWorld();
    const agent = openings.add(await world.start());
    const stranger = openings.add(new TestClient(agent, makeCertificate()));
    const open = stranger.grpc.makeBidiStreamRequest(
      ENROL_METHOD,
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes,
    );
    open.on('error', () => undefined);
    open.write(Buffer.alloc(0));
    let code: string | undefined = 'E_TOKEN_WRONG';
    while (code === 'E_TOKEN_WRONG') code = await failureCode(stranger.enrol('guess'));
    assert.equal(code, 'E_LIMIT_EXCEEDED');
    open.cancel();
    while (code === 'E_LIMIT_EXCEEDED') code = await failureCode(stranger.enrol('guess'));
    assert.match(String(code), /E_TOKEN_WRONG|E_RATE_LIMITED/);
  });

  it('an old connection takes no new calls, and its stream goes on', async () => {
    const { client, world, agent } = await enrolledNode(openings, {
      connectionAgeMs: 300,
      callBurst: 100_000,
    });
    world.init.logs.set('agent', []);
    const followed = client.stream(DiagnosticsService, 'streamServiceLog', {
      service: 'agent',
      follow: true,
    });
    openings.add({ close: () => followed.cancel() });
    followed.on('error', () => undefined);
    while (agent.connectionCount() < 2) await client.call(SystemService, 'getVersion', {});
    const line = once(followed, 'data');
    world.init.write('agent', { timeMs: 1, stream: 'stdout', line: 'still here' });
    const [entry] = await line;
    assert.match(
      JSON.stringify(entry, (_, value) => String(value?.line ?? value)),
      /still here/,
    );
  });

  it('a stream ends with the certificate of its caller', async () => {
    const { client, world } = await enrolledNode(openings);
    world.clock.advance(23 * 3_600_000 - 1_100);
    const followed = client.stream(DiagnosticsService, 'streamKernelLog', { follow: true });
    followed.resume();
    const [error] = await once(followed, 'error');
    assert.equal(error.code, 4);
  });

  it('a message that comes after the certificate has ended is refused', async () => {
    const { client, world } = await enrolledNode(openings);
    const answer = Promise.withResolvers<unknown>();
    const open = client.grpc.makeClientStreamRequest(
      '/keel.v1.LifecycleService/Reboot',
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes,
      (error, value) => (error === null ? answer.resolve(value) : answer.reject(error)),
    );
    // Answered after the headers of the open call, which are before it in the connection.
    await client.call(SystemService, 'getVersion', {});
    world.clock.advance(25 * 3_600_000);
    open.write(Buffer.alloc(0));
    open.end();
    assert.equal(await failureCode(answer.promise), 'E_CERTIFICATE_EXPIRED');
    assert.equal(
      world.init.requests.find(({ op }) => op === 'reboot'),
      undefined,
    );
  });

  it('bytes that are no message are an argument error, not a fault', async () => {
    const { client, world } = await enrolledNode(openings);
    const call = new Promise((resolve, reject) =>
      client.grpc.makeUnaryRequest(
        '/keel.v1.ConfigService/ApplyConfig',
        () => Buffer.from('0aff', 'hex'),
        (bytes: Buffer) => bytes,
        {},
        (error, value) => (error === null ? resolve(value) : reject(error)),
      ),
    );
    const { error, detail } = await failure(call);
    assert.deepEqual([error.code, detail?.code], [3, 'E_INVALID_ARGUMENT']);
    assert.deepEqual(
      world.logged.filter((line) => line.includes('internal error')),
      [],
    );
  });

  it('a fault inside is logged with an id and not told', async () => {
    const { client, world } = await enrolledNode(openings);
    world.init.request = async () => Promise.reject(new Error('secret inner detail'));
    const { error, detail } = await failure(client.call(SystemService, 'listServices', {}));
    assert.equal(detail?.code, 'E_INTERNAL');
    assert.doesNotMatch(error.details, /secret/);
    const id = String(detail?.details.correlation_id);
    assert.ok(
      world.logged.some((line) => line.includes(id) && line.includes('secret inner detail')),
    );
  });

  it('a check that hangs is reported, and the others answer', async () => {
    const { client, world } = await enrolledNode(openings);
    world.files.readAt = () => new Promise(() => undefined);
    world.clock.advance(2_000);
    const { checks } = await client.call(HealthService, 'getHealth', {});
    assert.match(
      String(checks.find(({ name }) => name === 'esp')?.message),
      /no result within 3000 ms/,
    );
    world.clock.advance(2_000);
    const again = await client.call(HealthService, 'getHealth', {});
    assert.match(
      String(again.checks.find(({ name }) => name === 'esp')?.message),
      /an earlier run of it has not ended/,
    );
    assert.equal(
      checks.find(({ name }) => name === 'network')?.message,
      'Addresses: 10.0.2.15/24 (dhcp).',
    );
  });

  it('a deadline that passes aborts the work below', async () => {
    const { client, world } = await enrolledNode(openings);
    const aborted = Promise.withResolvers<void>();
    world.init.request = (_: unknown, signal?: AbortSignal) => {
      signal?.addEventListener('abort', () => aborted.resolve());
      return new Promise<never>(() => undefined);
    };
    const call = client.call(SystemService, 'listServices', {}, { deadline: Date.now() + 200 });
    assert.equal((await failure(call)).error.code, 4);
    await aborted.promise;
  });
});
