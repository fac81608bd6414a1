/** An agent with fakes around it, and clients that call it over real TLS on the loopback. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { DescService, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { fromBinary } from '@bufbuild/protobuf';
import type { CallOptions, ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { BundleReader, readBundleTail, readTrustFile } from '@keelos/as-core/bundle.ts';
import { SERVER_DNS_NAME } from '@keelos/proto/certificates.ts';
import { parseAnnouncement } from '@keelos/proto/console.ts';
import { EnrolmentService } from '@keelos/proto/gen/keel/v1/enrolment_pb.js';
import type { ErrorDetail } from '@keelos/proto/gen/keel/v1/error_pb.js';
import { ErrorDetailSchema } from '@keelos/proto/gen/keel/v1/error_pb.js';
import { HealthService } from '@keelos/proto/gen/keel/v1/health_pb.js';
import { serviceDefinition } from '@keelos/proto/grpc.ts';
import { type BootReport, EVIDENCE_STEP } from '@keelos/proto/init-control.ts';
import { NODE_PATHS } from '@keelos/proto/node-paths.ts';
import { UNKNOWN_BOOT } from '@keelos/ts-agent/core/boot-report.ts';
import type { Limits } from '@keelos/ts-agent/core/limits.data.ts';
import type { AgentPorts } from '@keelos/ts-agent/ports.ts';
import type { Agent } from '@keelos/ts-agent/server.ts';
import { createAgent } from '@keelos/ts-agent/server.ts';
import { createFakeBlockDevice } from '@keelos/ts-agent/sys/block-device.fake.ts';
import { createFakeClock } from '@keelos/ts-agent/sys/clock.fake.ts';
import { createFakeFirmwareVariables } from '@keelos/ts-agent/sys/firmware-variables.fake.ts';
import type { ImageFile } from '@keelos/ts-agent/sys/image-files.ts';
import { createFakeInit } from '@keelos/ts-agent/sys/init-client.fake.ts';
import { createFakeKernelFiles } from '@keelos/ts-agent/sys/kernel-files.fake.ts';
import { createFakeKernelLog } from '@keelos/ts-agent/sys/kmsg.fake.ts';
import { MemoryStateStore } from '@keelos/ts-agent/sys/state-store.fake.ts';
import { bootEsp, bootTableBytes, setBootVariables } from './boot-disk.ts';
import type { MadeCertificate } from './openssl-certificates.ts';
import { makeCertificate } from './openssl-certificates.ts';

export const ROOT_HASH = 'ab'.repeat(32);
const GOOD_BOOT: BootReport = {
  ...UNKNOWN_BOOT,
  failures: [],
  steps: [
    { name: 'init-started', monotonicUs: 1_500_000 },
    { name: EVIDENCE_STEP, monotonicUs: 2_500_000 },
  ],
  state: { mode: 'disk', device: '/dev/vda4', problem: '' },
  clock: { source: 'rtc', trusted: true, rtcMs: 0, problem: '' },
  network: { mode: 'dhcp', problem: '' },
  watchdog: 'hardware',
};

/** The world of one node, all of it in memory. It outlives the agent, as a disk does. */
export class FakeWorld {
  readonly clock = createFakeClock(Date.now());
  readonly files = createFakeKernelFiles();
  readonly state = new MemoryStateStore();
  readonly init = createFakeInit();
  readonly kernelLog = createFakeKernelLog();
  readonly variables = createFakeFirmwareVariables();
  readonly logged: string[] = [];
  console = '';
  addresses = [{ interface: 'eth0', cidr: '10.0.2.15/24', isLinkLocal: false }];
  imageFileCount = 500;
  imageFilesRead = 0;
  verifyImage: AgentPorts['verifyImage'] = async () => Promise.reject(new Error('no image'));
  askProbe: AgentPorts['askProbe'] = async () => 'answers';
  openDelta: AgentPorts['openDelta'] = async () => Promise.reject(new Error('no delta'));
  applyDelta: AgentPorts['applyDelta'] = () => assert.fail('no delta');
  /** What was fetched of a delta, as long as it is kept. */
  keptDelta: Buffer | undefined;
  readonly deltaFile: AgentPorts['deltaFile'] = {
    path: '/var/lib/keel/update/fetched.kdelta',
    write: async (pieces) => {
      const all: Uint8Array[] = [];
      for await (const piece of pieces) all.push(Buffer.from(piece));
      this.keptDelta = Buffer.concat(all);
    },
    remove: async () => {
      this.keptDelta = undefined;
    },
  };
  /** Room that was asked for the unpacked kernel of a delta, as long as its file is there. */
  kernelBytes: number | undefined;
  readonly kernelFile: AgentPorts['kernelFile'] = {
    path: '/var/lib/keel/update/unpacked-kernel',
    write: async (_, sizeBytes) => {
      this.kernelBytes = sizeBytes;
    },
    remove: async () => {
      this.kernelBytes = undefined;
    },
  };
  httpSource: AgentPorts['httpSource'] = async () => Promise.reject(new Error('no network'));
  apiProblem = '';
  udp: AgentPorts['udp'] = async () => Promise.reject(new Error('no network'));

  constructor() {
    const texts: Record<string, string> = {
      '/etc/os-release': 'ID=keelos\nVERSION_ID=0.1.0\nBUILD_EPOCH=1767225600\n',
      '/etc/machine-id': '0123456789abcdef0123456789abcdef\n',
      '/proc/sys/kernel/hostname': 'keel-01234567\n',
      '/proc/sys/kernel/osrelease': '6.12.117\n',
      '/proc/sys/kernel/random/boot_id': 'b-1\n',
      '/proc/uptime': '12.50 20.00\n',
      '/proc/meminfo': 'MemTotal:  2000 kB\nMemAvailable:  1000 kB\n',
      '/proc/cmdline': `ro keel.slot-hash=${ROOT_HASH} lockdown=integrity\n`,
      '/proc/1/mountinfo':
        '21 1 254:0 / / ro - squashfs /dev/root ro\n22 21 253:4 / /var rw,nosuid,nodev,noexec - ext4 /dev/vda4 rw\n',
      '/proc/1/cmdline': '/sbin/init\0',
      '/proc/1/stat': '1 (keel) S 0 1 1\n',
      '/proc/1/smaps_rollup': 'Rss:  900 kB\nPss:  700 kB\n',
      '/proc/2/cmdline': '',
      '/sys/kernel/security/lockdown': 'none [integrity] confidentiality\n',
      '/sys/kernel/security/lsm': 'lockdown,capability\n',
      '/sys/class/block/vda1/uevent': 'DEVTYPE=partition\nPARTN=1\nPARTNAME=EFI\n',
      '/sys/class/block/vda2/uevent': 'DEVTYPE=partition\nPARTN=2\nPARTNAME=keel-a\n',
      '/sys/class/block/vda/uevent': 'DEVTYPE=disk\n',
      '/sys/block/dm-0/slaves/vda2': '',
      '/sys/fs/cgroup/keel/agent/memory.current': '4096\n',
    };
    for (const [path, text] of Object.entries(texts)) this.files.files.set(path, text);
    this.files.links.set('/sys/dev/block/254:0', '../../devices/virtual/block/dm-0');
    this.files.links.set('/sys/class/block/vda1', '../../devices/pci/block/vda/vda1');
    this.files.links.set('/sys/class/block/vda2', '../../devices/pci/block/vda/vda2');
    this.files.files.set('/dev/vda', bootTableBytes(ROOT_HASH));
    this.files.files.set('/dev/vda1', bootEsp({ rootHash: ROOT_HASH, triesLeft: 8 }));
    setBootVariables(this.variables, ROOT_HASH);
    const room = { sizeBytes: 1e9, availableBytes: 9e8, inodes: 1e6, freeInodes: 9e5 };
    this.files.rooms.set('/var', room);
    this.boot({});
    this.init.services = [
      {
        name: 'agent',
        state: 'running',
        pid: 42,
        sinceMs: 1_000,
        restarts: 0,
        lastExit: '',
        cgroup: '/keel/agent',
      },
    ];
  }

  /** Files of the image, and how many of them were read so far. */
  async *walk(): AsyncGenerator<ImageFile> {
    for (let index = 0; index < this.imageFileCount; index += 1) {
      this.imageFilesRead += 1;
      yield {
        path: `/usr/lib/${'x'.repeat(200)}${index}`,
        type: 'regular',
        mode: 0o755,
        sizeBytes: index,
        linkTarget: '',
        magic: Buffer.from('\x7fELF', 'latin1'),
      };
    }
  }

  /** What lies on a tmpfs is gone. */
  reboot(): void {
    for (const path of this.state.files.keys()) {
      if (path.startsWith('/run/')) this.state.files.delete(path);
    }
    this.console = '';
  }

  /** Changes the boot report. */
  boot(change: Partial<BootReport>): void {
    this.files.files.set(NODE_PATHS.bootReport, JSON.stringify({ ...GOOD_BOOT, ...change }));
  }

  /** The token that the console shows last. */
  get token(): string {
    return parseAnnouncement(this.console)?.token ?? '';
  }

  ports(): AgentPorts {
    return {
      clock: this.clock,
      files: this.files,
      state: this.state,
      init: this.init,
      kernelLog: this.kernelLog,
      addresses: () => this.addresses,
      writeConsole: async (lines) => {
        this.console += `${lines.join('\n')}\n`;
      },
      walkImage: () => this.walk(),
      verifyImage: (...verification) => this.verifyImage(...verification),
      readBundle: readBundleTail,
      readTrust: readTrustFile,
      readChannelHead: async (bytes) => (await BundleReader.create()).readChannelHead(bytes),
      openDelta: (...call) => this.openDelta(...call),
      applyDelta: (...call) => this.applyDelta(...call),
      deltaFile: this.deltaFile,
      kernelFile: this.kernelFile,
      targetOf: async () => 'verity',
      udp: (...exchange) => this.udp(...exchange),
      askProbe: (...call) => this.askProbe(...call),
      knock: async () => 'answers',
      httpSource: async (options) => this.httpSource(options),
      reachApi: async () => this.apiProblem,
      openDevice: async (path) => {
        const found = this.files.files.get(path) ?? new Error(`ENOENT: ${path}`);
        if (!Buffer.isBuffer(found)) throw found;
        const device = createFakeBlockDevice(found);
        // One disk behind both ports: what hangs or fails for one does so for the other.
        const readAt = async (offsetBytes: number, lengthBytes: number) => {
          await this.files.readAt(path, { offsetBytes, lengthBytes });
          return device.readAt(offsetBytes, lengthBytes);
        };
        return { ...device, readAt };
      },
      variables: this.variables,
      random: randomBytes,
      log: (line) => this.logged.push(line),
    };
  }

  /** Starts an agent in this world. */
  start(limits: Partial<Limits> = {}): Promise<Agent> {
    return createAgent(this.ports(), { host: '127.0.0.1', port: 0, limits });
  }
}

/** A client with a certificate, or with none. */
export class TestClient {
  readonly grpc: Client;

  constructor(agent: Agent, certificate?: MadeCertificate) {
    const channel = credentials.createSsl(
      Buffer.from(agent.identity.certificatePem),
      certificate === undefined ? null : Buffer.from(certificate.keyPem),
      certificate === undefined ? null : Buffer.from(certificate.certPem),
    );
    this.grpc = new Client(`127.0.0.1:${agent.port}`, channel, {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.ssl_target_name_override': SERVER_DNS_NAME,
    });
  }

  /** Calls a method that answers once. */
  call<S extends DescService, K extends keyof S['method'] & string>(
    service: S,
    method: K,
    request: MessageInitShape<S['method'][K]['input']>,
    options: CallOptions = {},
  ): Promise<MessageShape<S['method'][K]['output']>> {
    const definition = definitionOf(service, method);
    return new Promise((resolve, reject) => {
      this.grpc.makeUnaryRequest(
        definition.path,
        definition.requestSerialize as never,
        definition.responseDeserialize as never,
        request,
        new Metadata(),
        { deadline: Date.now() + 20_000, ...options },
        (error, value) => (error === null ? resolve(value as never) : reject(error)),
      );
    });
  }

  /** Calls a method that sends a stream. */
  stream<S extends DescService, K extends keyof S['method'] & string>(
    service: S,
    method: K,
    request: MessageInitShape<S['method'][K]['input']>,
  ): ClientReadableStream<MessageShape<S['method'][K]['output']>> {
    const definition = definitionOf(service, method);
    return this.grpc.makeServerStreamRequest(
      definition.path,
      definition.requestSerialize as never,
      definition.responseDeserialize as never,
      request,
    ) as never;
  }

  /** Enrols with a token. */
  enrol(token: string) {
    return this.call(EnrolmentService, 'enrol', { token });
  }

  close(): void {
    this.grpc.close();
  }
}

function definitionOf(service: DescService, method: string) {
  const definition = serviceDefinition(service)[method];
  if (definition === undefined) throw new TypeError(`no method ${method}`);
  return definition;
}

/** The error of a call that has to fail, with what travelled beside it. */
export async function failure(
  call: Promise<unknown>,
): Promise<{ readonly error: ServiceError; readonly detail: ErrorDetail | undefined }> {
  try {
    await call;
  } catch (cause) {
    const error = cause as ServiceError;
    const [bytes] = error.metadata?.get('keel-error-bin') ?? [];
    const detail = Buffer.isBuffer(bytes) ? fromBinary(ErrorDetailSchema, bytes) : undefined;
    return { error, detail };
  }
  throw new Error('the call did not fail');
}

/** Code of the error table of a call that has to fail. */
export async function failureCode(call: Promise<unknown>): Promise<string | undefined> {
  return (await failure(call)).detail?.code;
}

/** Closes what a test opened, in reverse order. */
export class Openings {
  readonly #closers: (() => unknown)[] = [];

  add<T extends { close(): unknown }>(opened: T): T {
    this.#closers.push(() => opened.close());
    return opened;
  }

  async closeAll(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
  }
}

/** A world with an agent and an operator who is enrolled. */
export async function enrolledNode(openings: Openings, limits: Partial<Limits> = {}) {
  const world = new FakeWorld();
  const agent = openings.add(await world.start(limits));
  const certificate = makeCertificate();
  const client = openings.add(new TestClient(agent, certificate));
  await client.enrol(world.token);
  return { world, agent, certificate, client };
}

/** The first `count` items of a stream, or all. */
export async function collect<T>(
  stream: AsyncIterable<T>,
  count = Number.POSITIVE_INFINITY,
): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) {
    items.push(item);
    if (items.length === count) break;
  }
  return items;
}

/** The health check of that name, as the API gives it. */
export async function check(client: TestClient, name: string) {
  const { checks } = await client.call(HealthService, 'getHealth', {});
  const found = checks.find((one) => one.name === name);
  assert.ok(found, `no check ${name}`);
  return found;
}
