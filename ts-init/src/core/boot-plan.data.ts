/**
 * The boot plan: what PID 1 does, in order. The steps before "start-services" are only those that a program cannot be
 * started without. The agent loads while the next ones are done, and touches nothing until the control socket is there
 * (proto/src/init-control.ts).
 */
import { EVIDENCE_STEP } from '@keelos/proto/init-control.ts';
import { NODE_PATHS } from '@keelos/proto/node-paths.ts';
import { UPDATE_DIR } from '@keelos/proto/update-record.ts';
import type { BootStep, FailurePolicy, MountFlag, MountStep, WriteStep } from './boot-plan.ts';
import { SYSCTLS } from './sysctl.data.ts';

const DATA: readonly MountFlag[] = ['nosuid', 'nodev', 'noexec'];

interface VirtualMount {
  readonly type: string;
  readonly target: string;
  readonly why: string;
  readonly flags?: readonly MountFlag[];
  readonly data?: string;
  readonly onFailure?: FailurePolicy;
  readonly onlyIf?: string;
}

function virtual(mount: VirtualMount): MountStep {
  return {
    kind: 'mount',
    name: `mount ${mount.target}`,
    source: mount.type,
    target: mount.target,
    type: mount.type,
    flags: mount.flags ?? DATA,
    onFailure: mount.onFailure ?? 'record',
    busyIsFine: true,
    why: mount.why,
    ...(mount.data === undefined ? {} : { data: mount.data }),
    ...(mount.onlyIf === undefined ? {} : { onlyIf: mount.onlyIf }),
  };
}

function directory(path: string, mode: number, why: string): BootStep {
  return { kind: 'directory', name: `directory ${path}`, path, mode, onFailure: 'record', why };
}

function sysctl(row: (typeof SYSCTLS)[number]): WriteStep {
  const path = `/proc/sys/${row.key.replaceAll('.', '/')}`;
  return {
    kind: 'write',
    name: `sysctl ${row.key}`,
    path,
    value: row.value,
    onFailure: 'record',
    why: row.why,
    ...(row.optional === true ? { onlyIf: path } : {}),
  };
}

/** Controllers that services' control groups may use. */
const CONTROLLERS = '+cpu +memory +pids +io';

/** Mounts and files without which neither PID 1 nor the agent can work. */
const FOUNDATION: readonly BootStep[] = [
  virtual({ type: 'proc', target: '/proc', onFailure: 'fatal', why: 'processes, sysctls' }),
  virtual({ type: 'sysfs', target: '/sys', onFailure: 'fatal', why: 'block devices, hardware' }),
  virtual({
    type: 'devtmpfs',
    target: '/dev',
    flags: ['nosuid', 'noexec'],
    data: 'mode=0755',
    onFailure: 'fatal',
    why: 'mounted by the kernel already; this is for a kernel that did not',
  }),
  {
    kind: 'action',
    name: 'watchdog',
    action: 'arm-watchdog',
    onFailure: 'record',
    why: 'first of all that may hang, so that a hang restarts the machine',
  },
  virtual({
    type: 'tmpfs',
    target: '/run',
    data: 'mode=0755,size=20%',
    onFailure: 'fatal',
    why: 'sockets, generated /etc files; bounded so that it cannot eat the memory',
  }),
  directory('/run/keel', 0o700, 'only PID 1 and the agent look inside'),
  virtual({
    type: 'cgroup2',
    target: '/sys/fs/cgroup',
    data: 'nsdelegate,memory_recursiveprot',
    why: 'one group for each service; containers below',
  }),
  {
    kind: 'write',
    name: 'cgroup controllers',
    path: '/sys/fs/cgroup/cgroup.subtree_control',
    value: CONTROLLERS,
    onFailure: 'record',
    why: 'limits and accounting in the groups below the root',
  },
  directory('/sys/fs/cgroup/keel', 0o755, "parent of the services' groups"),
  {
    kind: 'write',
    name: 'cgroup controllers of keel',
    path: '/sys/fs/cgroup/keel/cgroup.subtree_control',
    value: CONTROLLERS,
    onFailure: 'record',
    why: 'limits and accounting for each service',
  },
  {
    kind: 'action',
    name: 'services',
    action: 'start-services',
    mark: 'services-started',
    onFailure: 'record',
    why: 'as early as can be: the agent takes longest to load, and waits for the control socket before it does anything',
  },
];

/** What the agent reads first: its state, a sane clock, who this machine is. Then the sign that all of it is there. */
const WHILE_AGENT_LOADS: readonly BootStep[] = [
  {
    kind: 'action',
    name: 'state partition',
    action: 'mount-state',
    mark: 'state-mounted',
    onFailure: 'fatal',
    why: 'keys and configuration; falls back to memory, so a failure here is a bug',
  },
  directory(NODE_PATHS.stateDir, 0o700, "KeelOS's own records"),
  directory('/var/lib/keel/config', 0o700, 'node configuration'),
  directory(UPDATE_DIR, 0o700, 'records of updates'),
  {
    kind: 'action',
    name: 'node configuration',
    action: 'read-config',
    onFailure: 'record',
    why: 'host name and addresses',
  },
  {
    kind: 'action',
    name: 'clock',
    action: 'set-clock',
    mark: 'clock-set',
    onFailure: 'record',
    why: 'certificates have dates: nothing may be signed at a time that is known to be wrong',
  },
  directory('/run/keel/etc', 0o755, '/etc/{hostname,hosts,resolv.conf,machine-id} point into it'),
  {
    kind: 'action',
    name: 'identity',
    action: 'set-identity',
    onFailure: 'record',
    why: 'host name, machine id, hosts and resolv.conf',
  },
  {
    kind: 'action',
    name: 'trial',
    action: 'look-for-trial',
    onFailure: 'record',
    why: 'by its record, which costs one read: the deadline holds from here on, whatever else hangs',
  },
  {
    kind: 'action',
    name: 'control socket',
    action: 'open-control-socket',
    mark: 'control-socket-open',
    onFailure: 'record',
    why: 'the agent waits for it: from here on /var, clock and identity are as they stay',
  },
];

const REST: readonly BootStep[] = [
  {
    kind: 'action',
    name: 'network',
    action: 'configure-network',
    mark: 'network-configured',
    onFailure: 'record',
    why: "loopback, then the configured addresses or the kernel's own",
  },
  ...SYSCTLS.map(sysctl),
  {
    kind: 'mount',
    name: 'protect /dev',
    source: '',
    target: '/dev',
    type: '',
    flags: ['remount', 'bind', 'nosuid', 'noexec'],
    onFailure: 'record',
    why: 'the kernel mounts it without flags',
  },
  directory('/dev/pts', 0o755, 'mount point'),
  virtual({
    type: 'devpts',
    target: '/dev/pts',
    flags: ['nosuid', 'noexec'],
    data: 'mode=0600,ptmxmode=0666,gid=5',
    why: 'terminals of containers; nodev would make them unusable',
  }),
  directory('/dev/shm', 0o1777, 'mount point'),
  virtual({
    type: 'tmpfs',
    target: '/dev/shm',
    data: 'mode=1777,size=20%',
    why: 'POSIX shared memory',
  }),
  virtual({ type: 'tmpfs', target: '/tmp', data: 'mode=1777,size=10%', why: 'scratch space' }),
  virtual({
    type: 'securityfs',
    target: '/sys/kernel/security',
    onlyIf: '/sys/kernel/security',
    why: 'lockdown state is read here',
  }),
  virtual({
    type: 'bpf',
    target: '/sys/fs/bpf',
    data: 'mode=0700',
    onlyIf: '/sys/fs/bpf',
    why: 'network plugins pin their programs here',
  }),
  {
    kind: 'mount',
    name: 'share mounts',
    source: '',
    target: '/',
    type: '',
    flags: ['rec', 'shared'],
    onFailure: 'record',
    why: 'kubelet and containers see mounts that come later; recursive, hence after those above; later ones inherit it',
  },
  directory(NODE_PATHS.containerStore, 0o711, 'container store'),
  {
    kind: 'mount',
    name: 'bind container store',
    source: NODE_PATHS.containerStore,
    target: NODE_PATHS.containerStore,
    type: '',
    flags: ['bind'],
    onFailure: 'record',
    why: 'a mount of its own, so that it can have flags of its own',
  },
  {
    kind: 'mount',
    name: 'allow exec in container store',
    source: '',
    target: NODE_PATHS.containerStore,
    type: '',
    flags: ['remount', 'bind', 'nosuid', 'nodev', 'noatime'],
    onFailure: 'record',
    why: 'programs of containers live here; the only writable mount with exec',
  },
  directory('/var/log', 0o755, "services' logs"),
  directory(NODE_PATHS.serviceLogDir, 0o700, "services' logs"),
  {
    kind: 'action',
    name: 'service logs',
    action: 'open-service-logs',
    onFailure: 'record',
    why: 'lines captured so far are written too',
  },
  {
    kind: 'action',
    name: 'random seed',
    action: 'load-random-seed',
    onFailure: 'record',
    why: 'mixed in, never credited: a cloned disk would bring the same seed twice',
  },
  {
    kind: 'action',
    name: 'power button',
    action: 'listen-power-button',
    onFailure: 'record',
    why: 'ACPI power button powers off in order',
  },
  {
    kind: 'action',
    name: 'ctrl-alt-del',
    action: 'take-ctrl-alt-del',
    onFailure: 'record',
    why: 'it restarts in order, instead of at once',
  },
  {
    kind: 'action',
    name: 'agent first',
    action: 'let-agent-listen',
    onFailure: 'record',
    why: 'the firmware is slow to tell its variables, and nothing below is needed to answer calls',
  },
  virtual({
    type: 'efivarfs',
    target: '/sys/firmware/efi/efivars',
    onlyIf: '/sys/firmware/efi/efivars',
    why: 'firmware boot options, and which entry the loader has started',
  }),
  {
    kind: 'action',
    name: 'trial by the loader',
    action: 'look-for-trial',
    onFailure: 'record',
    why: 'a trial whose record is lost with the state partition has its deadline, too; a committed entry ends one whose record was left',
  },
  virtual({
    type: 'pstore',
    target: '/sys/fs/pstore',
    onlyIf: '/sys/fs/pstore',
    why: 'the last words of a kernel that crashed',
  }),
  {
    kind: 'action',
    name: 'crash reports',
    action: 'keep-crash-reports',
    mark: EVIDENCE_STEP,
    onFailure: 'record',
    why: 'the agent finishes the history of a failed trial with them: it waits for the mark in the report, which the next step writes',
  },
  {
    kind: 'action',
    name: 'grow state partition',
    action: 'grow-state',
    mark: 'state-grown',
    onFailure: 'record',
    why: 'first boot on a larger disk; it may take long, so it waits until the agent answers',
  },
  {
    kind: 'action',
    name: 'up',
    action: 'say-up',
    onFailure: 'record',
    why: 'says on the console how the node came up, before the look at the image, which takes a while',
  },
  {
    kind: 'action',
    name: 'image',
    action: 'check-image',
    mark: 'image-checked',
    onFailure: 'record',
    why: 'says whether the partition still holds what was built; dm-verity protects, this only reports, so it comes last',
  },
];

/** The whole plan, in order. */
export const BOOT_PLAN: readonly BootStep[] = [...FOUNDATION, ...WHILE_AGENT_LOADS, ...REST];
