/** SystemService: what runs here, and how it is. */

import { X509Certificate } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type {
  GetStatusResponseSchema,
  SystemService,
} from '@keelos/proto/gen/keel/v1/system_pb.js';
import { ServiceState, Slot } from '@keelos/proto/gen/keel/v1/system_pb.js';
import type { BootReport, ServiceStatus } from '@keelos/proto/init-control.ts';
import { SLOT_PARTITION_NAMES } from '@keelos/proto/node-paths.ts';
import { subjectOf } from '../core/client-certificate.ts';
import { parseKilobytes } from '../core/proc-text.ts';
import type { Node } from '../node.ts';
import type { ServiceMethods } from '../shell/calls.ts';
import {
  bootId,
  bootReport,
  hostname,
  machineId,
  mounts,
  osRelease,
  partitions,
  rootHash,
  rootPartition,
  trimmedText,
} from '../shell/node-facts.ts';
import { replyError } from '../sys/init-client.ts';

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' };
const SLOTS: Readonly<Record<string, Slot>> = {
  [SLOT_PARTITION_NAMES.a]: Slot.A,
  [SLOT_PARTITION_NAMES.b]: Slot.B,
};
/** File systems whose room is worth a line. */
const DATA_TYPES: ReadonlySet<string> = new Set(['ext4', 'xfs', 'btrfs', 'vfat', 'squashfs']);
const STATES = {
  waiting: ServiceState.WAITING,
  running: ServiceState.RUNNING,
  backoff: ServiceState.BACKOFF,
  stopping: ServiceState.STOPPING,
  stopped: ServiceState.STOPPED,
} as const;

/** Methods over `node`. */
export function systemMethods(node: Node): ServiceMethods<typeof SystemService> {
  const { files, init } = node.ports;
  return {
    async getVersion() {
      const release = await osRelease(files);
      return {
        version: release.get('VERSION_ID') ?? '',
        kernel: await trimmedText(files, '/proc/sys/kernel/osrelease'),
        node: process.versions.node,
        arch: ARCHITECTURES[process.arch] ?? process.arch,
        buildTime: timestampFromMs(Number(release.get('BUILD_EPOCH') ?? 0) * 1000),
        api: 'keel.v1',
      };
    },
    getStatus: () => status(node),
    async listServices(_, { signal }) {
      const reply = await init.request({ op: 'listServices' }, signal);
      if (reply.type === 'error') throw replyError(reply, 'the services');
      const services = reply.type === 'services' ? reply.services : [];
      return {
        services: await Promise.all(services.map((service) => serviceMessage(node, service))),
      };
    },
  };
}

async function serviceMessage({ ports }: Node, service: ServiceStatus) {
  const memory = await trimmedText(ports.files, `/sys/fs/cgroup${service.cgroup}/memory.current`);
  return {
    name: service.name,
    state: STATES[service.state],
    pid: service.pid,
    since: timestampFromMs(service.sinceMs),
    restarts: service.restarts,
    lastExit: service.lastExit,
    memoryBytes: /^\d{1,18}$/.test(memory) ? BigInt(memory) : 0n,
  };
}

async function status(node: Node): Promise<MessageInitShape<typeof GetStatusResponseSchema>> {
  const { ports, trust } = node;
  const { files } = ports;
  const report = await bootReport(files);
  const memory = parseKilobytes((await files.readText('/proc/meminfo')) ?? '');
  const partition = await rootPartition(ports, await partitions(files));
  return {
    hostname: await hostname(files),
    machineId: await machineId(files),
    version: (await osRelease(files)).get('VERSION_ID') ?? '',
    slot: SLOTS[partition?.label ?? ''] ?? Slot.UNSPECIFIED,
    rootHash: await rootHash(files),
    uptime: await uptime(node),
    memory: {
      totalBytes: BigInt(memory.get('MemTotal') ?? 0),
      availableBytes: BigInt(memory.get('MemAvailable') ?? 0),
    },
    filesystems: await filesystems(node),
    addresses: ports.addresses().map((address) => ({
      interface: address.interface,
      address: address.cidr,
      origin: address.isLinkLocal ? 'kernel' : originOf(report.network.mode),
    })),
    clock: {
      now: timestampFromMs(ports.clock.nowMs()),
      source: report.clock.source,
      trusted: report.clock.trusted,
    },
    serverCertificate: certificateMessage(node),
    enrolled: trust.isEverEnrolled,
    bootId: await bootId(files),
  };
}

function originOf(mode: BootReport['network']['mode']): string {
  return mode === 'none' ? 'kernel' : mode;
}

function certificateMessage({ identity }: Node) {
  const certificate = new X509Certificate(identity.certificatePem);
  return {
    fingerprintSha256: identity.fingerprint,
    subject: subjectOf(certificate),
    notBefore: timestampFromMs(certificate.validFromDate.getTime()),
    notAfter: timestampFromMs(certificate.validToDate.getTime()),
  };
}

async function uptime({ ports }: Node) {
  const text = await trimmedText(ports.files, '/proc/uptime');
  const ms = Math.round(Number.parseFloat(text || '0') * 1000);
  return { seconds: BigInt(Math.floor(ms / 1000)), nanos: (ms % 1000) * 1_000_000 };
}

async function filesystems({ ports }: Node) {
  const all = await mounts(ports.files);
  // A bind mount has the device of the mount that it shows: one line for each device is enough.
  const first = all.filter(
    ({ type, device }, index) =>
      DATA_TYPES.has(type) && all.findIndex((other) => other.device === device) === index,
  );
  return Promise.all(
    first.map(async ({ mountPoint, type, source, options, superOptions }) => {
      const room = await ports.files.room(mountPoint);
      return {
        mountPoint,
        type,
        source,
        sizeBytes: BigInt(room?.sizeBytes ?? 0),
        availableBytes: BigInt(room?.availableBytes ?? 0),
        readOnly: options.includes('ro') || superOptions.includes('ro'),
      };
    }),
  );
}
