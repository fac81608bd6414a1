/**
 * One booted node, seen from outside: first trust, refusals, what protects the image, and the API through a stranger's eyes.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { GrpcStatus } from '@keelos/proto/errors.ts';
import { ApplyConfigRequestSchema, ConfigService } from '@keelos/proto/gen/keel/v1/config_pb.js';
import { DiagnosticsService, FileType } from '@keelos/proto/gen/keel/v1/diagnostics_pb.js';
import {
  EnrolmentService,
  EnrolRequestSchema,
  RenewRequestSchema,
} from '@keelos/proto/gen/keel/v1/enrolment_pb.js';
import { SystemService } from '@keelos/proto/gen/keel/v1/system_pb.js';
import { ApiClient, failureOf } from '@keelos/tests/api-client.ts';
import {
  type ClientCertificate,
  derOf,
  makeClientCertificate,
  subjectOf,
} from '@keelos/tests/certificate.ts';
import { runProgram } from '@keelos/tests/program.ts';
import { CHECKOUT, keepEvidence, TestNode } from '@keelos/tests/test-node.ts';
import { buildGrpcurl } from '../../scripts/setup.mjs';

const SHORT_LIFE_MS = 12_000;
const SILENT_CONNECTIONS = 1_000;
const EXECUTABLES_MAX = 12;
const OVERSIZE_BYTES = 8 * 1024 * 1024;

describe('a fresh node', () => {
  let node: TestNode;

  before(async function () {
    this.timeout(TestNode.bootTimeoutMs);
    node = await TestNode.boot('node');
  });
  afterEach(async function () {
    await keepEvidence(node, this.currentTest);
  });
  after(() => node?.destroy());

  const asCaller = async (certificate: ClientCertificate | undefined) =>
    ApiClient.connect(node.target, certificate);

  const refusal = async (certificate: ClientCertificate | undefined) => {
    const client = await asCaller(certificate);
    try {
      return await failureOf(client.unary(SystemService.method.getVersion));
    } finally {
      client.close();
    }
  };

  const enrolWith = async (token: string) => {
    const client = await asCaller(await makeClientCertificate());
    try {
      const request = create(EnrolRequestSchema, { token });
      return await failureOf(client.unary(EnrolmentService.method.enrol, request));
    } finally {
      client.close();
    }
  };

  describe('before enrolment', () => {
    it('prints fingerprint, token and address on its console', () => {
      assert.match(node.announcement.fingerprint, /^[0-9a-f]{64}$/);
      assert.ok(node.announcement.token !== undefined, 'no token');
      assert.ok(node.announcement.addresses.length > 0, 'no address');
    });

    it('refuses a caller without a certificate', async () => {
      const { status, code } = await refusal(undefined);
      assert.deepEqual([status, code], [GrpcStatus.UNAUTHENTICATED, 'E_NO_CLIENT_CERTIFICATE']);
    });

    it('refuses an unknown certificate, one with O=admin too', async () => {
      for (const subject of ['CN=nobody', 'CN=root,O=admin', 'CN=x,O=system:masters']) {
        const { status, code } = await refusal(await makeClientCertificate({ subject }));
        assert.deepEqual([status, code], [GrpcStatus.UNAUTHENTICATED, 'E_NOT_ENROLLED'], subject);
      }
    });

    it('refuses a wrong token', async () => {
      const { status, code } = await enrolWith('AAAA-BBBB-CCCC-DDDD-EEEE');
      assert.deepEqual([status, code], [GrpcStatus.PERMISSION_DENIED, 'E_TOKEN_WRONG']);
    });

    it('osctl does not send the token to a server with another fingerprint', async () => {
      const wrong = 'ab'.repeat(32);
      const { exitCode, stderr } = await node.bootstrap({ fingerprint: wrong });
      assert.equal(exitCode, 4, stderr);
      assert.match(stderr, /fingerprint|certificate/i);
    });
  });

  describe('after osctl init bootstrap', () => {
    let api: ApiClient;

    before(async function () {
      this.timeout(120_000);
      const { exitCode, stderr } = await node.bootstrap();
      assert.equal(exitCode, 0, stderr);
      api = await node.enrolledClient();
    });
    after(() => api?.close());

    it('is healthy', async () => {
      const health = await node.osctlJson<{ healthy: boolean }>('health');
      assert.equal(health.healthy, true, JSON.stringify(health, null, 2));
    });

    it('refuses the used token', async () => {
      const { status, code } = await enrolWith(node.announcement.token ?? '');
      assert.deepEqual([status, code], [GrpcStatus.PERMISSION_DENIED, 'E_TOKEN_USED']);
    });

    it('serves a renewed certificate until it ends, then refuses it and says why', async function () {
      this.timeout(SHORT_LIFE_MS + 30_000);
      const notAfter = new Date(Date.now() + SHORT_LIFE_MS);
      const { certificatePem } = await node.operator();
      const successor = await makeClientCertificate({
        subject: subjectOf(certificatePem),
        notAfter,
      });
      const request = create(RenewRequestSchema, { certificate: derOf(successor.certificatePem) });
      await api.unary(EnrolmentService.method.renew, request);
      const client = await asCaller(successor);
      await client.unary(SystemService.method.getVersion);
      client.close();
      // By the clock of the node, which a busy machine leaves behind; dates of certificates have whole seconds.
      await node.until(SHORT_LIFE_MS + 20_000, async () => {
        const { clock } = await node.osctlJson<{ clock: { now: string } }>('status');
        return Date.parse(clock.now) > notAfter.getTime() + 1_000 || undefined;
      });
      const { status, code } = await refusal(successor);
      assert.deepEqual([status, code], [GrpcStatus.UNAUTHENTICATED, 'E_CERTIFICATE_EXPIRED']);
    });

    it('tells its release, slot and root hash', async () => {
      const version = await api.unary(SystemService.method.getVersion);
      assert.equal(version.arch, 'x86_64');
      assert.match(version.kernel, /^6\.12\./);
      const status = await api.unary(SystemService.method.getStatus);
      assert.equal(status.version, version.version);
      assert.equal(status.rootHash, node.image.rootHash);
      assert.ok(status.enrolled);
    });

    it('lists its services, their log and the kernel log', async () => {
      const services = await node.osctl('services');
      assert.match(services.stdout, /agent/);
      const logs = await node.osctl('logs', 'agent', '--tail', '5');
      assert.equal(logs.exitCode, 0, logs.stderr);
      const dmesg = await node.osctl('dmesg');
      assert.match(dmesg.stdout, /Linux version 6\.12\./);
    });

    it('never writes the token into a log', async () => {
      const token = (node.announcement.token ?? '').replaceAll('-', '');
      for (const args of [['dmesg'], ['logs', 'agent']]) {
        const { stdout } = await node.osctl(...args);
        assert.ok(!stdout.replaceAll('-', '').includes(token), `${args[0]} shows the token`);
      }
    });

    it('refuses a message over the limit and goes on', async () => {
      const request = create(ApplyConfigRequestSchema, {
        yaml: `# ${'x'.repeat(OVERSIZE_BYTES)}`,
        dryRun: true,
      });
      const { status } = await failureOf(api.unary(ConfigService.method.applyConfig, request));
      assert.equal(status, GrpcStatus.RESOURCE_EXHAUSTED);
      await api.unary(SystemService.method.getVersion);
    });

    it('answers with 1,000 connections open that say nothing', async function () {
      this.timeout(120_000);
      const sockets = await openSilent(node.target.port, SILENT_CONNECTIONS);
      try {
        const { exitCode, stderr } = await node.osctl('version', '--timeout', '60s');
        assert.equal(exitCode, 0, stderr);
      } finally {
        for (const socket of sockets) socket.destroy();
      }
    });

    describe('seen with grpcurl', () => {
      const list = async (...args: string[]) => {
        const program = await buildGrpcurl();
        return runProgram(program, ['-max-time', '30', ...args, node.endpoint, 'list']);
      };

      it('lists its services to the enrolled certificate', async function () {
        this.timeout(60_000);
        const { certificateFile, keyFile } = await node.credentialFiles();
        const { exitCode, stdout, stderr } = await list(
          ...['-insecure', '-cert', certificateFile, '-key', keyFile],
        );
        assert.equal(exitCode, 0, stderr);
        for (const name of ['keel.v1.SystemService', 'keel.v1.EnrolmentService']) {
          assert.ok(stdout.split('\n').includes(name), `${name} is not in: ${stdout}`);
        }
        assert.match(stdout, /grpc\.health\.v1\.Health/);
      });

      it('refuses plain text, and calls without a certificate', async function () {
        this.timeout(90_000);
        assert.notEqual((await list('-plaintext')).exitCode, 0);
        const bare = await list('-insecure');
        assert.notEqual(bare.exitCode, 0);
        assert.match(bare.stderr, /certificate|Unauthenticated/i);
      });
    });

    describe('protects what runs', () => {
      it('lockdown is integrity; the root is squashfs on dm-verity, read-only', async () => {
        const security = await api.unary(DiagnosticsService.method.getSecurity);
        assert.equal(security.lockdown, 'integrity');
        assert.equal(security.rootType, 'squashfs');
        assert.equal(security.rootTarget, 'verity');
        assert.equal(security.rootHash, node.image.rootHash);
        assert.equal(security.rootReadOnly, true);
        assert.match(security.commandLine, /\blockdown=integrity\b/);
      });

      it('holds at most 12 executables, and the page lists exactly them; no setuid; no script', async function () {
        this.timeout(60_000);
        const files = await api.list(DiagnosticsService.method.listImageFiles);
        assert.ok(files.length > 10, `only ${files.length} files`);
        const regular = files.filter((file) => file.type === FileType.REGULAR);
        assert.deepEqual(
          regular.filter((file) => (file.mode & 0o6000) !== 0),
          [],
        );
        const magic = (file: (typeof regular)[number]) =>
          Buffer.from(file.magic).toString('latin1');
        assert.deepEqual(
          regular.filter((file) => magic(file).startsWith('#!')).map((f) => f.path),
          [],
        );
        const programs = regular.filter((file) => (file.mode & 0o111) !== 0).map((f) => f.path);
        assert.ok(programs.length >= 1 && programs.length <= EXECUTABLES_MAX, programs.join(', '));
        const page = await readFile(join(CHECKOUT, 'docs/reference/image-contents.md'), 'utf8');
        const section = (title: string) =>
          page.split(/^## /m).find((s) => s.startsWith(title)) ?? '';
        const listed = (title: string, row: RegExp) =>
          [...section(title).matchAll(row)].map((match) => match[1]).sort();
        assert.deepEqual(listed('Executables', /^- `(\/[^`]+)`$/gm), programs.sort());
        assert.deepEqual(
          listed('Files', /^\| `(\/[^`]+)` \|/gm),
          regular.map((f) => f.path).sort(),
        );
      });

      it('mounts everything nosuid and nodev where it can be, writable ones noexec but the container store', async () => {
        const { mounts } = await api.unary(DiagnosticsService.method.listMounts);
        const byPoint = new Map(mounts.map((mount) => [mount.mountPoint, mount]));
        for (const point of ['/', '/proc', '/sys', '/dev', '/run', '/var']) {
          assert.ok(byPoint.has(point), `${point} is not mounted`);
        }
        for (const mount of mounts) {
          const has = (option: string) => mount.options.includes(option);
          const where = `${mount.mountPoint} (${mount.options.join(',')})`;
          if (mount.mountPoint === '/') {
            assert.ok(has('ro'), where);
            continue;
          }
          assert.ok(has('nosuid'), where);
          if (mount.type !== 'devtmpfs' && mount.type !== 'devpts') assert.ok(has('nodev'), where);
          if (has('rw') && mount.mountPoint !== '/var/lib/containerd')
            assert.ok(has('noexec'), where);
        }
        const store = byPoint.get('/var/lib/containerd');
        assert.ok(store !== undefined && !store.options.includes('noexec'), 'container store');
      });
    });
  });
});

/** Opens `count` TCP connections that send nothing. Those that the node refuses or drops count as well. */
async function openSilent(port: number, count: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  const opened: Promise<void>[] = [];
  for (let index = 0; index < count; index++) {
    const socket = connect({ host: '127.0.0.1', port });
    sockets.push(socket);
    opened.push(
      new Promise((done) => {
        socket.once('connect', () => done());
        socket.once('error', () => done()); // refusing is the node's good right
      }),
    );
    socket.on('error', () => {}); // reset later on: the same
  }
  await Promise.all(opened);
  return sockets;
}
