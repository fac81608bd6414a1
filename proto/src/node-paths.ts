/**
 * Every path on a node that more than one process knows. The state partition is mounted at /var.
 */

/** Paths on a running node. */
export const NODE_PATHS = {
  /** Control socket of PID 1, mode 0600; see init-control.ts. */
  initSocket: '/run/keel/init.sock',
  /** What PID 1 learned during boot, as JSON {@link BootReport}. Replaced atomically. */
  bootReport: '/run/keel/boot-report.json',
  /** Release facts of the image. */
  osRelease: '/etc/os-release',
  /** KeelOS's own records on the state partition. */
  stateDir: '/var/lib/keel',
  /** Node configuration in force, a state record. */
  nodeConfig: '/var/lib/keel/config/current.rec',
  /** Older configurations, state records named by revision. */
  nodeConfigHistoryDir: '/var/lib/keel/config/history',
  /** Server key and certificate, enrolled operators. */
  trustDir: '/var/lib/keel/trust',
  /** Last known time, a state record. */
  clockFloor: '/var/lib/keel/clock-floor.rec',
  /** Captured output of services: <name>.log and <name>.log.1. */
  serviceLogDir: '/var/log/keel',
  /** Machine identity, bind-mounted or linked to /etc/machine-id. */
  machineId: '/var/lib/keel/machine-id',
  /** Container store, the only writable mount with exec. */
  containerStore: '/var/lib/containerd',
  console: '/dev/console',
  kmsg: '/dev/kmsg',
} as const;

/** GPT type of the state partition: Discoverable Partitions Specification, "Variable data" (/var). */
export const STATE_PARTITION_TYPE = '4d21b016-b534-45c2-a9fb-5c16e091fd2d';
/** GPT names (labels) of the partitions. */
export const PARTITION_NAMES = {
  esp: 'keel-esp',
  slotA: 'keel-a',
  slotB: 'keel-b',
  state: 'keel-state',
} as const;
/** TCP port of the gRPC API. */
export const API_PORT = 50051;
/** Folder of the kernel images on the EFI system partition, each with the verity table of its root. */
export const ESP_KERNEL_DIR = 'EFI/keel';
