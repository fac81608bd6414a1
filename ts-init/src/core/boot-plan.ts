/**
 * Shape of the boot plan. The plan itself is {@link ./boot-plan.data.ts}; {@link ../shell/boot.ts} performs it.
 */

/** Flags of mount(2) by name, as in <linux/mount.h>. */
export const MOUNT_FLAGS = {
  ro: 1,
  nosuid: 2,
  nodev: 4,
  noexec: 8,
  remount: 32,
  noatime: 1024,
  bind: 4096,
  rec: 16384,
  shared: 1 << 20,
} as const;

/** Name of a mount flag. */
export type MountFlag = keyof typeof MOUNT_FLAGS;

/** What happens when a step fails: "fatal" reboots the machine, "record" goes into the boot report and the boot goes on. */
export type FailurePolicy = 'fatal' | 'record';

interface StepBase {
  /** Unique; the boot report and the kernel log use it. */
  readonly name: string;
  readonly onFailure: FailurePolicy;
  /** Why the step is there, or is as it is. */
  readonly why: string;
}

/** mount(2). */
export interface MountStep extends StepBase {
  readonly kind: 'mount';
  readonly source: string;
  readonly target: string;
  readonly type: string;
  readonly flags: readonly MountFlag[];
  readonly data?: string;
  /** EBUSY counts as success: the kernel has mounted it already. */
  readonly busyIsFine?: boolean;
  /** The step is left out, silently, when this path does not exist. */
  readonly onlyIf?: string;
}

/** mkdir(2) with chmod(2); an existing directory is fine. */
export interface DirectoryStep extends StepBase {
  readonly kind: 'directory';
  readonly path: string;
  readonly mode: number;
}

/** Writes a value to a file of /proc or /sys. */
export interface WriteStep extends StepBase {
  readonly kind: 'write';
  readonly path: string;
  readonly value: string;
  /** The step is left out, silently, when this path does not exist. */
  readonly onlyIf?: string;
}

/** A step that needs a decision; the shell has one function for each name. */
export interface ActionStep extends StepBase {
  readonly kind: 'action';
  readonly action: BootAction;
  /** Moment in the boot report, taken when the action is done. */
  readonly mark?: string;
}

/** The actions of the boot plan. */
export type BootAction =
  | 'arm-watchdog'
  | 'mount-state'
  | 'read-config'
  | 'set-clock'
  | 'set-identity'
  | 'start-services'
  | 'let-agent-listen'
  | 'keep-crash-reports'
  | 'look-for-trial'
  | 'open-control-socket'
  | 'configure-network'
  | 'load-random-seed'
  | 'listen-power-button'
  | 'take-ctrl-alt-del'
  | 'grow-state'
  | 'say-up'
  | 'check-image'
  | 'open-service-logs';

/** One step of the boot plan. */
export type BootStep = MountStep | DirectoryStep | WriteStep | ActionStep;

/** Sum of the flags' values, as mount(2) takes it. */
export function mountFlagBits(flags: readonly MountFlag[]): number {
  return flags.reduce((bits, flag) => bits | MOUNT_FLAGS[flag], 0);
}
