import assert from 'node:assert/strict';
import { once } from 'node:events';
import { create, fromBinary } from '@bufbuild/protobuf';
import type { FileDescriptorProto } from '@bufbuild/protobuf/wkt';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import {
  ServerReflection,
  ServerReflectionRequestSchema,
} from '@keelos/proto/gen/grpc/reflection/v1/reflection_pb.js';
import { ChangeEffect, ConfigService } from '@keelos/proto/gen/keel/v1/config_pb.js';
import {
  DiagnosticsService,
  FileType,
  LogStream,
} from '@keelos/proto/gen/keel/v1/diagnostics_pb.js';
import { HealthState } from '@keelos/proto/gen/keel/v1/health_pb.js';
import { LifecycleService } from '@keelos/proto/gen/keel/v1/lifecycle_pb.js';
import { ServiceState, Slot, SystemService } from '@keelos/proto/gen/keel/v1/system_pb.js';
import { serviceDefinition } from '@keelos/proto/grpc.ts';
import { NODE_PATHS } from '@keelos/proto/node-paths.ts';
import { HISTORY_MAX } from '@keelos/ts-agent/core/config-history.ts';
import {
  check,
  collect,
  enrolledNode,
  FakeWorld,
  failure,
  failureCode,
  Openings,
  ROOT_HASH,
  TestClient,
} from './agent-fixture.ts';
import { makeCertificate } from './openssl-certificates.ts';

const NAMED = (name: string) => `apiVersion: keel/v1\nhostname: ${name}\n`;

describe('services', () => {
  const openings = new Openings();
  afterEach(() => openings.closeAll());

  it('version and status come from the machine', async () => {
    const { client, agent } = await enrolledNode(openings);
    const version = await client.call(SystemService, 'getVersion', {});
    assert.equal(version.kernel, '6.12.117');
    assert.equal(version.node, process.versions.node);
    assert.equal(version.buildTime?.seconds, 1_767_225_600n);
    const status = await client.call(SystemService, 'getStatus', {});
    assert.equal(status.slot, Slot.A);
    assert.equal(status.rootHash, ROOT_HASH);
    assert.equal(status.uptime?.seconds, 12n);
    assert.equal(status.memory?.availableBytes, 1_024_000n);
    assert.equal(status.serverCertificate?.fingerprintSha256, agent.fingerprint);
    assert.equal(status.serverCertificate?.notBefore?.seconds, 1_767_225_600n);
    assert.equal(status.enrolled, true);
    assert.equal(status.bootId, 'b-1');
    assert.deepEqual(
      status.filesystems.map(({ mountPoint, readOnly }) => [mountPoint, readOnly]),
      [
        ['/', true],
        ['/var', false],
      ],
    );
    assert.deepEqual(
      status.addresses.map(({ interface: name, address, origin }) => [name, address, origin]),
      [['eth0', '10.0.2.15/24', 'dhcp']],
    );
  });

  it('services and reboot go through PID 1', async () => {
    const { client, world } = await enrolledNode(openings);
    const { services } = await client.call(SystemService, 'listServices', {});
    assert.deepEqual(
      services.map(({ name, state, memoryBytes }) => [name, state, memoryBytes]),
      [['agent', ServiceState.RUNNING, 4096n]],
    );
    const { bootId } = await client.call(LifecycleService, 'reboot', { reason: 'kernel update' });
    assert.equal(bootId, 'b-1');
    await client.call(LifecycleService, 'shutdown', {});
    assert.deepEqual(world.init.requests.slice(-2), [
      { op: 'reboot', reason: 'kernel update' },
      { op: 'powerOff', reason: '' },
    ]);
    assert.equal(
      await failureCode(client.call(LifecycleService, 'reboot', { reason: 'é'.repeat(129) })),
      'E_INVALID_ARGUMENT',
    );
    world.init.isReachable = false;
    assert.equal(
      await failureCode(client.call(LifecycleService, 'reboot', {})),
      'E_INIT_UNREACHABLE',
    );
  });

  it('the answer to a reboot leaves before the agent is ended by it', async () => {
    const world = new FakeWorld();
    const agent = await world.start();
    const client = openings.add(new TestClient(agent, makeCertificate()));
    await client.enrol(world.token);
    let closed: Promise<void> | undefined;
    world.init.request = async () => {
      closed = agent.close();
      return { type: 'ok' };
    };
    assert.equal((await client.call(LifecycleService, 'reboot', {})).bootId, 'b-1');
    await closed;
  });

  it('a restart names a service that exists', async () => {
    const { client, world } = await enrolledNode(openings);
    const restart = (service: string) =>
      client.call(LifecycleService, 'restartService', { service, kill: true });
    assert.equal((await restart('agent')).pid, 42);
    assert.deepEqual(world.init.requests.at(-1), {
      op: 'restartService',
      service: 'agent',
      kill: true,
    });
    assert.equal(await failureCode(restart('nginx')), 'E_NOT_FOUND');
  });

  it('security, mounts, processes, boot timing', async () => {
    const { client } = await enrolledNode(openings);
    const security = await client.call(DiagnosticsService, 'getSecurity', {});
    assert.deepEqual(
      [
        security.lockdown,
        security.rootType,
        security.rootDevice,
        security.rootTarget,
        security.rootHash,
        security.rootReadOnly,
      ],
      ['integrity', 'squashfs', '/dev/dm-0', 'verity', ROOT_HASH, true],
    );
    assert.deepEqual(security.securityModules, ['lockdown', 'capability']);
    const { mounts } = await client.call(DiagnosticsService, 'listMounts', {});
    assert.deepEqual([mounts[0]?.mountPoint, mounts[0]?.source], ['/', '/dev/dm-0']);
    assert.deepEqual(mounts[1]?.options, ['rw', 'nosuid', 'nodev', 'noexec']);
    const { processes } = await client.call(DiagnosticsService, 'listProcesses', {});
    assert.deepEqual(
      processes.map(({ pid, command, pssBytes }) => [pid, command, pssBytes]),
      [[1, '/sbin/init', 716_800n]],
    );
    const { steps } = await client.call(DiagnosticsService, 'getBootTiming', {});
    assert.equal(steps[0]?.name, 'init-started');
  });

  it('the image is listed whole', async () => {
    const { client } = await enrolledNode(openings);
    const files = await collect(client.stream(DiagnosticsService, 'listImageFiles', {}));
    assert.equal(files.length, 500);
    assert.equal(files[7]?.type, FileType.REGULAR);
    assert.equal(Buffer.from(files[7]?.magic ?? []).toString('latin1'), '\x7fELF');
  });

  it('a stream that nobody reads is not filled', async () => {
    const { client, world } = await enrolledNode(openings);
    world.imageFileCount = 50_000;
    const stream = client.stream(DiagnosticsService, 'listImageFiles', {});
    stream.on('error', () => undefined);
    await once(stream, 'readable');
    for (let quietTurns = 0, last = -1; quietTurns < 500; ) {
      quietTurns = world.imageFilesRead === last ? quietTurns + 1 : 0;
      last = world.imageFilesRead;
      await new Promise(setImmediate);
    }
    assert.ok(world.imageFilesRead < 5_000, `${world.imageFilesRead} files were read ahead`);
    stream.cancel();
  });

  it('the kernel log: all, tail, follow, cancel', async () => {
    const { client, world } = await enrolledNode(openings);
    for (let index = 0; index < 200; index += 1)
      world.kernelLog.records.push(`6,${index},${index}000,-;line ${index}\n`);
    const read = (request: { follow?: boolean; tailLines?: number }) =>
      client.stream(DiagnosticsService, 'streamKernelLog', request);
    assert.equal((await collect(read({}))).length, 200);
    assert.deepEqual(
      (await collect(read({ tailLines: 2 }))).map(({ message }) => message),
      ['line 198', 'line 199'],
    );
    assert.deepEqual(await collect(read({ tailLines: 0 })), []);
    const followed = read({ follow: true, tailLines: 1 });
    const iterator = followed[Symbol.asyncIterator]();
    assert.equal((await iterator.next()).value.message, 'line 199');
    world.kernelLog.records.push('4,200,1,-;new\n');
    assert.equal((await iterator.next()).value.message, 'new');
    assert.equal(world.kernelLog.openReaders, 1);
    followed.on('error', () => undefined);
    followed.cancel();
    while (world.kernelLog.openReaders > 0) await new Promise(setImmediate);
  });

  it('a service log: follow, unknown service, too many streams', async () => {
    const { client, world } = await enrolledNode(openings, { logStreamsMax: 1 });
    world.init.write('agent', { timeMs: 1_500, stream: 'stderr', line: 'one' });
    const followed = client.stream(DiagnosticsService, 'streamServiceLog', {
      service: 'agent',
      follow: true,
    });
    const iterator = followed[Symbol.asyncIterator]();
    const first = (await iterator.next()).value;
    assert.deepEqual(
      [first.line, first.stream, first.time.nanos],
      ['one', LogStream.STDERR, 500_000_000],
    );
    world.init.write('agent', { timeMs: 2_000, stream: 'stdout', line: 'two' });
    assert.equal((await iterator.next()).value.line, 'two');
    const refused = client.stream(DiagnosticsService, 'streamServiceLog', { service: 'agent' });
    assert.equal(await failureCode(collect(refused)), 'E_LIMIT_EXCEEDED');
    const ended = once(followed, 'error');
    followed.cancel();
    await ended;
    const read = (service: string) =>
      collect(client.stream(DiagnosticsService, 'streamServiceLog', { service }));
    let code: string | undefined = 'E_LIMIT_EXCEEDED';
    while (code === 'E_LIMIT_EXCEEDED') code = await failureCode(read('nginx'));
    assert.equal(code, 'E_NOT_FOUND');
    assert.equal(await failureCode(read('../etc')), 'E_INVALID_ARGUMENT');
  });

  it('configuration: dry run, apply, what takes effect, conflict, history', async () => {
    const { client, world } = await enrolledNode(openings);
    const apply = (yaml: string, more: { dryRun?: boolean; expectedRevision?: bigint } = {}) =>
      client.call(ConfigService, 'applyConfig', { yaml, ...more });
    const fresh = await client.call(ConfigService, 'getConfig', {});
    assert.deepEqual([fresh.revision, fresh.history.length, fresh.rebootRequired], [0n, 0, false]);
    assert.match(fresh.yaml, /apiVersion: keel\/v1/);

    const dry = await apply(NAMED('node-1'), { dryRun: true });
    assert.deepEqual(
      [dry.revision, dry.changes.map(({ path, newJson, effect }) => [path, newJson, effect])],
      [0n, [['hostname', '"node-1"', ChangeEffect.IMMEDIATE]]],
    );
    assert.equal((await client.call(ConfigService, 'getConfig', {})).revision, 0n);

    assert.equal((await apply(NAMED('node-1'), { expectedRevision: 0n })).revision, 1n);
    assert.deepEqual(world.init.requests.at(-1), { op: 'setHostname', hostname: 'node-1' });
    assert.equal(
      await failureCode(apply(NAMED('node-2'), { expectedRevision: 0n })),
      'E_CONFIG_CONFLICT',
    );
    assert.equal((await apply(NAMED('node-1'))).revision, 1n, 'nothing differs');

    const address = `${NAMED('node-1')}network:\n  nameservers: [9.9.9.9]\n`;
    assert.equal((await apply(address)).rebootRequired, true);
    assert.equal((await client.call(ConfigService, 'getConfig', {})).rebootRequired, true);
    assert.equal((await apply(NAMED('node-1'))).rebootRequired, false, 'as it was at boot');

    for (let index = 0; index < 12; index += 1) await apply(NAMED(`n${index}`));
    const last = await client.call(ConfigService, 'getConfig', {});
    assert.equal(last.history.length, HISTORY_MAX);
    assert.deepEqual(
      [last.revision, last.history[0]?.revision, last.history[9]?.revision],
      [15n, 15n, 6n],
    );
    assert.equal(last.history[0]?.subject, 'CN=operator,O=admin');
    assert.equal(world.state.list(NODE_PATHS.nodeConfigHistoryDir).length, HISTORY_MAX);
    await apply('apiVersion: keel/v1\n');
    assert.deepEqual(world.init.requests.at(-1), { op: 'setHostname', hostname: 'keel-01234567' });
  });

  it('configuration: a host name that PID 1 does not take waits for a reboot', async () => {
    const { client, world } = await enrolledNode(openings);
    const apply = (hostname: string) =>
      client.call(ConfigService, 'applyConfig', {
        yaml: `apiVersion: keel/v1\nhostname: ${hostname}\n`,
      });
    const waits = async () => (await client.call(ConfigService, 'getConfig', {})).rebootRequired;
    world.init.refused = 'setHostname';
    assert.equal((await apply('one')).rebootRequired, true);
    assert.equal(await waits(), true);
    assert.ok(world.logged.some((line) => /host name not set.*E_INVALID_ARGUMENT/.test(line)));
    world.init.isReachable = false;
    const { rebootRequired, revision } = await apply('two');
    assert.deepEqual([rebootRequired, revision], [true, 2n]);
    world.init.isReachable = true;
    world.init.refused = undefined;
    assert.equal((await apply('three')).rebootRequired, false);
    assert.equal(await waits(), false);
  });

  it('configuration: problems are named with line and column, and nothing is stored', async () => {
    const { client, world } = await enrolledNode(openings);
    const apply = (yaml: string) => client.call(ConfigService, 'applyConfig', { yaml });
    const { error, detail } = await failure(apply('apiVersion: keel/v1\nhostnam: x\n'));
    assert.equal(detail?.code, 'E_CONFIG_INVALID');
    assert.match(error.details, /line 2, column 1/);
    assert.match(String(detail?.details.problem_1), /^2:1 hostnam/);
    assert.equal(await failureCode(apply('x'.repeat(262_145))), 'E_LIMIT_EXCEEDED');
    assert.equal(world.state.files.has(NODE_PATHS.nodeConfig), false);
    world.state.writeFailure = 'ENOSPC';
    assert.equal(await failureCode(apply(NAMED('node-1'))), 'E_STATE_FULL');
    assert.equal((await client.call(ConfigService, 'getConfig', {})).revision, 0n);
  });

  it('a damaged configuration record is said and mended by the next apply', async () => {
    const { client, world, certificate } = await enrolledNode(openings);
    await client.call(ConfigService, 'applyConfig', { yaml: NAMED('node-1') });
    await openings.closeAll();
    const bytes = Buffer.from(world.state.files.get(NODE_PATHS.nodeConfig) ?? []);
    bytes[bytes.length - 3] = (bytes.at(-3) ?? 0) ^ 1;
    world.state.files.set(NODE_PATHS.nodeConfig, bytes);
    world.boot({ configProblem: 'wrong checksum' });
    const agent = openings.add(await world.start());
    const again = openings.add(new TestClient(agent, certificate));
    const { message, remedy } = await check(again, 'configuration');
    assert.match(message, /checksum.*; revision 1 of the history is used\.$/);
    assert.match(remedy, /^Revision 1 is in force.*osctl get config \| osctl apply -f -/);
    const { revision, yaml } = await again.call(ConfigService, 'getConfig', {});
    assert.deepEqual([revision, yaml], [1n, NAMED('node-1')]);
    assert.equal((await again.call(ConfigService, 'applyConfig', { yaml })).revision, 2n);
    assert.ok(world.logged.includes('configuration replaced that could not be read'));
    world.clock.advance(2_000);
    assert.equal((await check(again, 'configuration')).state, HealthState.HEALTHY);
  });

  it('a damaged configuration record without a history leaves the defaults', async () => {
    const { client, world, certificate } = await enrolledNode(openings);
    await client.call(ConfigService, 'applyConfig', { yaml: NAMED('node-1') });
    await openings.closeAll();
    for (const [path, bytes] of world.state.files) {
      if (path.includes('/config/')) world.state.files.set(path, bytes.subarray(1));
    }
    const again = openings.add(new TestClient(openings.add(await world.start()), certificate));
    const { message, remedy } = await check(again, 'configuration');
    assert.match(message, /; the defaults are used\.$/);
    assert.match(remedy, /^Apply the configuration again/);
    assert.equal((await again.call(ConfigService, 'getConfig', {})).revision, 0n);
  });

  it('reflection lists every service and gives files with their imports, under both names', async () => {
    const { client } = await enrolledNode(openings);
    const definition = serviceDefinition(ServerReflection).serverReflectionInfo;
    assert.ok(definition);
    const ask = async (version: string, messageRequest: { case: string; value: unknown }) => {
      const call = client.grpc.makeBidiStreamRequest(
        definition.path.replace('v1', version),
        definition.requestSerialize as never,
        definition.responseDeserialize as never,
      );
      call.write(create(ServerReflectionRequestSchema, { messageRequest } as never));
      call.end();
      const [answer] = await collect(
        call as AsyncIterable<{ messageResponse: { case: string; value: never } }>,
      );
      assert.ok(answer);
      return answer.messageResponse;
    };
    for (const version of ['v1', 'v1alpha']) {
      const list = await ask(version, { case: 'listServices', value: '*' });
      const names = (list.value as unknown as { service: { name: string }[] }).service.map(
        ({ name }) => name,
      );
      assert.equal(names.length, 9);
      for (const name of names) {
        const file = await ask(version, { case: 'fileContainingSymbol', value: name });
        const bytes = (file.value as unknown as { fileDescriptorProto: Uint8Array[] })
          .fileDescriptorProto;
        const files: FileDescriptorProto[] = bytes.map((one) =>
          fromBinary(FileDescriptorProtoSchema, one),
        );
        const known = new Set(files.map((one) => one.name));
        assert.ok(files.every((one) => one.dependency.every((needed) => known.has(needed))));
        assert.ok(name.endsWith(String(files[0]?.service[0]?.name)));
      }
    }
    for (const symbol of [
      'keel.v1.SystemService.GetStatus',
      'keel.v1.Slot',
      'google.protobuf.Timestamp',
    ]) {
      assert.equal(
        (await ask('v1', { case: 'fileContainingSymbol', value: symbol })).case,
        'fileDescriptorResponse',
        symbol,
      );
    }
    for (const symbol of ['', 'keel.v1', 'keel.v1.SystemService.Nothing']) {
      assert.equal(
        (await ask('v1', { case: 'fileContainingSymbol', value: symbol })).case,
        'errorResponse',
        symbol,
      );
    }
  });
});
