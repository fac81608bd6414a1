import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { Health } from '@keelos/proto/gen/grpc/health/v1/health_pb.js';
import { EnrolmentService } from '@keelos/proto/gen/keel/v1/enrolment_pb.js';
import { HealthService } from '@keelos/proto/gen/keel/v1/health_pb.js';
import { SystemService } from '@keelos/proto/gen/keel/v1/system_pb.js';
import { decodeRecord, encodeRecord } from '@keelos/proto/state-record.ts';
import { fingerprintOf } from '@keelos/ts-agent/core/client-certificate.ts';
import { TOKEN_LIFETIME_MS } from '@keelos/ts-agent/core/enrolment.ts';
import { OPERATORS_MAX, OPERATORS_RECORD } from '@keelos/ts-agent/core/operators.ts';
import { SERVER_KEY_PATH } from '@keelos/ts-agent/shell/server-identity.ts';
import { OPERATORS_PATH } from '@keelos/ts-agent/shell/trust.ts';
import { DAMAGED_SUFFIX } from '@keelos/ts-agent/sys/state-store.ts';
import {
  enrolledNode,
  FakeWorld,
  failure,
  failureCode,
  Openings,
  TestClient,
} from './agent-fixture.ts';
import { makeCertificate } from './openssl-certificates.ts';

const HOUR_MS = 3_600_000;

describe('trust over TLS', () => {
  const openings = new Openings();
  afterEach(() => openings.closeAll());

  const node = async () => {
    const world = new FakeWorld();
    const agent = openings.add(await world.start());
    const client = (certificate?: ReturnType<typeof makeCertificate>) =>
      openings.add(new TestClient(agent, certificate));
    return { world, agent, client };
  };
  const version = (client: TestClient) => client.call(SystemService, 'getVersion', {});

  it('a fresh node prints a token, enrols its bearer, and serves them', async () => {
    const { world, agent, client } = await node();
    const certificate = makeCertificate();
    const ann = client(certificate);
    const answer = await ann.enrol(world.token.toLowerCase().replaceAll('-', ' '));
    assert.equal(answer.machineId, '0123456789abcdef0123456789abcdef');
    assert.equal((await version(ann)).version, '0.1.0');
    assert.match(world.console, new RegExp(`certificate-sha256: ${agent.fingerprint}`));
    assert.ok(
      world.init.requests.some(
        (request) => request.op === 'markBoot' && request.step === 'api-listening',
      ),
    );
    const second = client(certificate);
    assert.equal((await version(second)).version, '0.1.0');
  });

  it('the token is nowhere but on the console', async () => {
    const { world, client } = await node();
    const { token } = world;
    await client(makeCertificate()).enrol(token);
    const everywhere =
      JSON.stringify([world.logged, world.init.requests]) +
      [...world.state.files.values()].map((bytes) => Buffer.from(bytes).toString()).join();
    for (const form of [token, token.replaceAll('-', '')]) assert.ok(!everywhere.includes(form));
  });

  it('before enrolment nothing else answers: not health, not reflection, not renewal', async () => {
    const { client } = await node();
    for (const caller of [client(), client(makeCertificate())]) {
      for (const call of [
        () => version(caller),
        () => caller.call(HealthService, 'getHealth', {}),
        () => caller.call(Health, 'check', {}),
        () => caller.call(EnrolmentService, 'renew', { certificate: new Uint8Array(10) }),
      ]) {
        const { error, detail } = await failure(call());
        assert.equal(error.code, 16);
        assert.match(String(detail?.code), /E_NO_CLIENT_CERTIFICATE|E_NOT_ENROLLED/);
      }
    }
  });

  it('without a client certificate even the right token enrols nobody, and is not spent', async () => {
    const { world, client } = await node();
    assert.equal(await failureCode(client().enrol(world.token)), 'E_NO_CLIENT_CERTIFICATE');
    await client(makeCertificate()).enrol(world.token);
  });

  it('wrong token, used token, expired token', async () => {
    const { world, client } = await node();
    assert.equal(await failureCode(client(makeCertificate()).enrol('0000-0000')), 'E_TOKEN_WRONG');
    await client(makeCertificate()).enrol(world.token);
    assert.equal(await failureCode(client(makeCertificate()).enrol(world.token)), 'E_TOKEN_USED');
    const late = await node();
    late.world.clock.advance(TOKEN_LIFETIME_MS);
    assert.equal(
      await failureCode(late.client(makeCertificate()).enrol(late.world.token)),
      'E_TOKEN_EXPIRED',
    );
  });

  it('five wrong tokens lock further guesses out for a while, and never the right token', async () => {
    const { world, client } = await node();
    const guesser = client(makeCertificate());
    for (let index = 0; index < 5; index += 1) {
      assert.equal(await failureCode(guesser.enrol(`guess ${index}`)), 'E_TOKEN_WRONG');
    }
    const { error, detail } = await failure(guesser.enrol('guess 6'));
    assert.equal(detail?.code, 'E_RATE_LIMITED');
    assert.match(error.details, /wait 10 s/);
    await client(makeCertificate()).enrol(world.token);
  });

  it('an unknown certificate is named in the answer, with the command that mends it', async () => {
    const { client } = await enrolledNode(openings).then(({ agent }) => ({
      client: (certificate: ReturnType<typeof makeCertificate>) =>
        openings.add(new TestClient(agent, certificate)),
    }));
    const { error, detail } = await failure(
      version(client(makeCertificate({ subject: '/O=admin/CN=mallory' }))),
    );
    assert.equal(error.code, 16);
    assert.equal(detail?.code, 'E_NOT_ENROLLED');
    assert.match(error.details, /"CN=mallory,O=admin" \(SHA-256 [0-9a-f]{64}\) is not enrolled/);
    assert.match(String(detail?.hint), /osctl init bootstrap/);
  });

  it('an expired certificate is refused on the open connection too', async () => {
    const { world, client } = await enrolledNode(openings);
    world.clock.advance(24 * HOUR_MS);
    const { error, detail } = await failure(version(client));
    assert.equal(detail?.code, 'E_CERTIFICATE_EXPIRED');
    assert.match(error.details, /expired at 20/);
    assert.ok(detail?.details.not_after);
  });

  it('certificates of another form are not enrolled, and the token stays good', async () => {
    const { world, client } = await node();
    const nowMs = Date.now();
    const cases = [
      [{ notAfterMs: nowMs + 48 * HOUR_MS }, 'E_CERTIFICATE_UNACCEPTABLE'],
      [{ key: ['rsa:2048'] }, 'E_CERTIFICATE_UNACCEPTABLE'],
      [{ notBeforeMs: nowMs - 2 * HOUR_MS, notAfterMs: nowMs - HOUR_MS }, 'E_CERTIFICATE_EXPIRED'],
    ] as const;
    for (const [wish, code] of cases) {
      assert.equal(await failureCode(client(makeCertificate(wish)).enrol(world.token)), code);
    }
    await client(makeCertificate()).enrol(world.token);
  });

  it('a certificate that begins later than the clock is served, and PID 1 hears of the time', async () => {
    const { world, client } = await node();
    const nowMs = Math.floor(Date.now() / 1000) * 1000;
    world.clock.set(Date.UTC(2026, 0, 1));
    const ann = client(makeCertificate({ notBeforeMs: nowMs - 60_000 }));
    await ann.enrol(world.token);
    await version(ann);
    const raised = world.init.requests.filter(({ op }) => op === 'raiseClock');
    assert.deepEqual(raised, [{ op: 'raiseClock', timeMs: nowMs - 60_000, source: 'operator' }]);
  });

  it('when 64 are enrolled the token still lets its bearer in, and the first to expire goes', async () => {
    const world = new FakeWorld();
    const operators = Array.from({ length: OPERATORS_MAX }, (_, index) => ({
      fingerprint: fingerprintOf(Buffer.of(index)),
      certificate: Buffer.of(index).toString('base64'),
      subject: `CN=${index}`,
      notBeforeMs: 0,
      notAfterMs: world.clock.nowMs() + HOUR_MS + (index === 40 ? 0 : 1),
      enrolledAtMs: 0,
      enrolledBy: 'token',
    }));
    world.state.replace(OPERATORS_PATH, encodeRecord(OPERATORS_RECORD, { operators }));
    const agent = openings.add(await world.start());
    const client = openings.add(new TestClient(agent, makeCertificate()));
    await client.enrol(world.token);
    const record = decodeRecord(OPERATORS_RECORD, world.state.read(OPERATORS_PATH) ?? Buffer.of());
    const left = (record as { operators: readonly { subject: string }[] }).operators;
    assert.equal(left.length, OPERATORS_MAX);
    assert.ok(!left.some(({ subject }) => subject === 'CN=40'));
  });

  it('renewal takes an acceptable successor of the same subject only', async () => {
    const { client, agent, world } = await enrolledNode(openings);
    const renew = (certificate: Uint8Array) =>
      client.call(EnrolmentService, 'renew', { certificate });
    const successor = makeCertificate();
    const stranger = makeCertificate({ subject: '/O=admin/CN=other' });
    const forever = makeCertificate({ notAfterMs: Date.now() + 99 * HOUR_MS });
    const tampered = Uint8Array.from(successor.der);
    tampered[tampered.length - 1] = (tampered.at(-1) ?? 0) ^ 1;
    assert.equal(await failureCode(renew(stranger.der)), 'E_CERTIFICATE_UNACCEPTABLE');
    assert.equal(await failureCode(renew(forever.der)), 'E_CERTIFICATE_UNACCEPTABLE');
    assert.equal(await failureCode(renew(tampered)), 'E_CERTIFICATE_UNACCEPTABLE');
    assert.equal(await failureCode(renew(new Uint8Array())), 'E_INVALID_ARGUMENT');
    assert.equal(await failureCode(renew(new Uint8Array(8_193))), 'E_INVALID_ARGUMENT');
    await renew(successor.der);
    await version(openings.add(new TestClient(agent, successor)));
    const record = decodeRecord(
      OPERATORS_RECORD,
      world.state.files.get(OPERATORS_PATH) ?? new Uint8Array(),
    );
    assert.equal((record as { operators: unknown[] }).operators.length, 2);
  });

  it('renewing over and over leaves two certificates of a line', async () => {
    const { client, agent, certificate } = await enrolledNode(openings, { callBurst: 500 });
    const chain = [certificate];
    let current = client;
    for (let index = 0; index < 4; index += 1) {
      const successor = makeCertificate();
      await current.call(EnrolmentService, 'renew', { certificate: successor.der });
      current = openings.add(new TestClient(agent, successor));
      chain.push(successor);
    }
    const known = chain.map((one) =>
      version(openings.add(new TestClient(agent, one))).then(
        () => true,
        () => false,
      ),
    );
    assert.deepEqual(await Promise.all(known), [false, false, false, true, true]);
    const lost = makeCertificate();
    await current.call(EnrolmentService, 'renew', { certificate: lost.der });
    await current.call(EnrolmentService, 'renew', { certificate: makeCertificate().der });
    const dropped = version(openings.add(new TestClient(agent, lost)));
    assert.equal(await failureCode(dropped), 'E_NOT_ENROLLED');
  });

  it('a node whose clock is ahead says so to the bearer of the token, and to nobody else', async () => {
    const { world, client } = await node();
    const nowMs = world.clock.nowMs();
    world.clock.set(nowMs + 48 * HOUR_MS);
    const ann = client(makeCertificate());
    assert.equal(await failureCode(ann.enrol('guess')), 'E_TOKEN_WRONG');
    const { error, detail } = await failure(ann.enrol(world.token));
    assert.equal(detail?.code, 'E_CERTIFICATE_EXPIRED');
    assert.match(error.details, /valid from 20.*expired at 20.*node's time is 20.*clock is ahead/);
    assert.match(String(detail?.hint), /firmware.*last time that it knew/);
    world.clock.set(nowMs);
    await ann.enrol(world.token);
  });

  it('a time that PID 1 refused is told again', async () => {
    const { world, client } = await node();
    const nowMs = Math.floor(Date.now() / 1000) * 1000;
    world.clock.set(Date.UTC(2026, 0, 1));
    world.init.refused = 'raiseClock';
    const ann = client(makeCertificate({ notBeforeMs: nowMs - 60_000 }));
    await ann.enrol(world.token);
    world.init.refused = undefined;
    await version(ann);
    assert.equal(world.init.requests.filter(({ op }) => op === 'raiseClock').length, 2);
    assert.ok(world.logged.some((line) => /clock not raised: E_INVALID/.test(line)));
  });

  it('operators and the server key are known after a restart', async () => {
    const { world, agent, certificate } = await enrolledNode(openings);
    await openings.closeAll();
    const again = openings.add(await world.start());
    assert.equal(again.fingerprint, agent.fingerprint);
    await version(openings.add(new TestClient(again, certificate)));
  });

  it('an agent that is started again makes no second token, unless the first is unused', async () => {
    const { world, client } = await node();
    const first = world.token;
    const guesser = client(makeCertificate());
    for (let index = 0; index < 5; index += 1) await failureCode(guesser.enrol(`guess ${index}`));
    await openings.closeAll();
    const second = openings.add(await world.start());
    const ann = openings.add(new TestClient(second, makeCertificate()));
    assert.notEqual(world.token, first);
    assert.equal(await failureCode(ann.enrol(first)), 'E_RATE_LIMITED');
    await ann.enrol(world.token);
    await openings.closeAll();
    const used = world.token;
    world.console = '';
    const third = openings.add(await world.start());
    assert.equal(world.token, '');
    const bob = openings.add(new TestClient(third, makeCertificate()));
    assert.equal(await failureCode(bob.enrol(used)), 'E_TOKEN_USED');
    await openings.closeAll();
    world.reboot();
    openings.add(await world.start());
    assert.notEqual(world.token, '');
  });

  it('until-enrolled: no token once somebody was enrolled, and its loss is explained', async () => {
    const { world, client } = await enrolledNode(openings);
    const { ConfigService } = await import('@keelos/proto/gen/keel/v1/config_pb.js');
    await client.call(ConfigService, 'applyConfig', {
      yaml: 'apiVersion: keel/v1\nenrolment:\n  consoleToken: until-enrolled\n',
    });
    await openings.closeAll();
    world.reboot();
    const again = openings.add(await world.start());
    assert.equal(world.token, '');
    const { detail } = await failure(
      openings.add(new TestClient(again, makeCertificate())).enrol('x'),
    );
    assert.match(String(detail?.hint), /until-enrolled/);
  });

  it('a damaged key, key record or operators record never stops the agent, and health says so', async () => {
    const { world, agent } = await enrolledNode(openings);
    await openings.closeAll();
    world.state.files.set(SERVER_KEY_PATH, Buffer.from('damaged'));
    const damaged = Buffer.from('keel-record operators 1 5 x\nhello');
    world.state.files.set(OPERATORS_PATH, damaged);
    world.reboot();
    const again = openings.add(await world.start());
    assert.notEqual(again.fingerprint, agent.fingerprint);
    const client = openings.add(new TestClient(again, makeCertificate()));
    await client.enrol(world.token);
    const { checks, healthy } = await client.call(HealthService, 'getHealth', {});
    const check = checks.find(({ name }) => name === 'certificate');
    assert.equal(healthy, true);
    assert.match(String(check?.message), /key was replaced: .*operators could not be used/);
    const aside = (path: string) =>
      Buffer.from(world.state.files.get(path + DAMAGED_SUFFIX) ?? []).toString();
    assert.deepEqual([SERVER_KEY_PATH, OPERATORS_PATH].map(aside), ['damaged', String(damaged)]);
  });

  it('a key and operators that cannot be read are not written over, and health says so', async () => {
    const { world, agent, certificate } = await enrolledNode(openings);
    await openings.closeAll();
    const kept = (path: string) => String(world.state.files.get(path));
    const before = [SERVER_KEY_PATH, OPERATORS_PATH].map(kept);
    world.reboot();
    world.state.readFailure = 'EIO';
    const meanwhile = openings.add(await world.start());
    assert.notEqual(meanwhile.fingerprint, agent.fingerprint);
    const client = openings.add(new TestClient(meanwhile, makeCertificate()));
    await client.enrol(world.token);
    const { checks } = await client.call(HealthService, 'getHealth', {});
    const check = checks.find(({ name }) => name === 'certificate');
    assert.match(String(check?.message), /key could not be read.*EIO.*operators could not be used/);
    await openings.closeAll();
    assert.deepEqual([SERVER_KEY_PATH, OPERATORS_PATH].map(kept), before);
    world.state.readFailure = undefined;
    world.reboot();
    const again = openings.add(await world.start());
    assert.equal(again.fingerprint, agent.fingerprint);
    await version(openings.add(new TestClient(again, certificate)));
  });

  it('with a full state partition a node still makes a key and enrols, and says so', async () => {
    const world = new FakeWorld();
    world.state.writeFailure = 'ENOSPC';
    const agent = openings.add(await world.start());
    const client = openings.add(new TestClient(agent, makeCertificate()));
    await client.enrol(world.token);
    const { healthy, checks } = await client.call(HealthService, 'getHealth', {});
    assert.equal(healthy, false);
    assert.match(
      String(checks.find(({ name }) => name === 'state-partition')?.message),
      /no space left/,
    );
    assert.match(
      String(checks.find(({ name }) => name === 'certificate')?.message),
      /lasts until the next boot/,
    );
  });

  it('plaintext and TLS 1.2 are refused', async () => {
    const { agent } = await node();
    const plain = connectTcp(agent.port, '127.0.0.1');
    plain.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    plain.on('error', () => undefined);
    const chunks: Buffer[] = [];
    plain.on('data', (chunk) => chunks.push(chunk));
    await once(plain, 'close');
    assert.ok(!Buffer.concat(chunks).includes('HTTP'));
    const old = connectTls({
      port: agent.port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      maxVersion: 'TLSv1.2',
      ALPNProtocols: ['h2'],
    });
    const [error] = await once(old, 'error');
    assert.match(String(error), /protocol version|alert/i);
  });
});
