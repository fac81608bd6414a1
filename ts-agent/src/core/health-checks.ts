/**
 * What makes a node healthy: one function a check, from facts to a verdict.
 */
import { formatBytes } from '@keelos/proto/byte-text.ts';
import type { BootReport, ServiceStatus, WatchdogKind } from '@keelos/proto/init-control.ts';
import type { Rung } from './boot-options.ts';
import type { LoaderVerdict } from './loader-copies.ts';

/** Result of a check. */
export type HealthState = 'healthy' | 'degraded' | 'failing';

/** Verdict of a check: what was seen and, unless healthy, what to do. */
export interface Verdict {
  readonly state: HealthState;
  readonly message: string;
  readonly remedy: string;
}

/** Recent restarts from which on a service counts as crash-looping. */
export const CRASH_LOOP_RESTARTS = 3;
/** How long a service must have been running to count as recovered. */
export const RECENT_MS = 120_000;
/** Below this share of room the state partition is degraded. */
export const STATE_FREE_SHARE_MIN = 0.1;
/** Below this room it is failing: records and logs need it. */
export const STATE_FREE_BYTES_MIN = 4 * 1_048_576;
/** Below this share of inodes it is degraded. */
export const STATE_FREE_INODES_SHARE_MIN = 0.05;
/** Below this share of available memory the node is degraded. */
export const MEMORY_AVAILABLE_SHARE_MIN = 0.05;

const healthy = (message: string): Verdict => ({ state: 'healthy', message, remedy: '' });
const degraded = (message: string, remedy: string): Verdict => ({
  state: 'degraded',
  message,
  remedy,
});
const failing = (message: string, remedy: string): Verdict => ({
  state: 'failing',
  message,
  remedy,
});

/** PID 1 answers and its services run. `services` is undefined when PID 1 does not answer. */
export function judgeInit(
  services: readonly (ServiceStatus & { readonly recentRestarts: number })[] | undefined,
  failures: BootReport['failures'],
  nowMs: number,
): Verdict {
  if (services === undefined) {
    return failing(
      'PID 1 does not answer on its socket.',
      'Look at the console of the node; when it stays so, reset the machine.',
    );
  }
  const looping = services.filter(
    ({ state, recentRestarts, sinceMs }) =>
      recentRestarts >= CRASH_LOOP_RESTARTS && (state === 'backoff' || nowMs - sinceMs < RECENT_MS),
  );
  if (looping.length > 0) {
    const named = looping.map(
      ({ name, recentRestarts, lastExit }) =>
        `${name} (${recentRestarts} restarts, last: ${lastExit})`,
    );
    return failing(
      `Service crashes again and again: ${named.join(', ')}.`,
      `Look at osctl logs ${looping[0]?.name}.`,
    );
  }
  const down = services.filter(({ state }) => state !== 'running');
  if (down.length > 0) {
    return degraded(
      `Service does not run: ${down.map(({ name, state }) => `${name} (${state})`).join(', ')}.`,
      `Look at osctl services and osctl logs ${down[0]?.name}.`,
    );
  }
  if (failures.length > 0) {
    const named = failures.map(({ step, reason }) => `${step} (${reason})`);
    return degraded(`Boot passed over a step: ${named.join(', ')}.`, 'Look at osctl dmesg.');
  }
  return healthy(`All ${services.length} services run.`);
}

/** Facts of {@link judgeStatePartition}. */
export interface StateFacts {
  readonly mode: BootReport['state']['mode'];
  readonly device: string;
  readonly problem: string;
  readonly sizeBytes: number;
  readonly freeBytes: number;
  readonly inodes: number;
  readonly freeInodes: number;
  /** Why a file could not be written and synced; empty when it could, or was not tried. */
  readonly writeProblem: string;
  /** True when enrolments are kept in memory only. */
  readonly isTrustVolatile: boolean;
}

/** The state partition is mounted, writable and has room. */
export function judgeStatePartition(facts: StateFacts): Verdict {
  const { mode, problem } = facts;
  if (mode === 'memory') {
    return failing(
      `No state partition could be mounted (${problem}): the node forgets everything at the next boot.`,
      'Look at osctl dmesg, check the disk, and write the image again or replace the disk.',
    );
  }
  if (mode === 'read-only') {
    return failing(
      `The state partition ${facts.device} is read-only (${problem}).`,
      'Look at osctl dmesg for disk errors; save what you need, then replace the disk.',
    );
  }
  if (facts.writeProblem !== '' || facts.freeBytes < STATE_FREE_BYTES_MIN) {
    const reason = facts.writeProblem === '' ? '' : ` (${facts.writeProblem})`;
    return failing(
      `The state partition ${facts.device} cannot take more data: ${formatBytes(facts.freeBytes)} free${reason}.`,
      'Remove container images or logs that are not needed, or use a larger disk.',
    );
  }
  if (mode === 'backup-superblock') {
    return degraded(
      `The first superblock of ${facts.device} was damaged (${problem}) and has been restored from its copy.`,
      'Look at osctl dmesg for disk errors; if there are any, plan a replacement of the disk.',
    );
  }
  if (facts.freeBytes < facts.sizeBytes * STATE_FREE_SHARE_MIN) {
    return degraded(
      `The state partition is nearly full: ${formatBytes(facts.freeBytes)} of ${formatBytes(facts.sizeBytes)} free.`,
      'Remove container images or logs that are not needed, or use a larger disk.',
    );
  }
  if (facts.inodes > 0 && facts.freeInodes < facts.inodes * STATE_FREE_INODES_SHARE_MIN) {
    return degraded(
      `The state partition has few inodes left: ${facts.freeInodes} of ${facts.inodes}.`,
      'Remove container images that are not needed.',
    );
  }
  if (facts.isTrustVolatile) {
    return degraded(
      'An enrolment could not be stored and is kept in memory only.',
      'Make room on the state partition and renew the certificate.',
    );
  }
  const room = `${formatBytes(facts.freeBytes)} of ${formatBytes(facts.sizeBytes)}`;
  return healthy(`${room} free on ${facts.device}.`);
}

/** The EFI system partition can be read. `problem` is undefined when it can. */
export function judgeEsp(device: string | undefined, problem: string | undefined): Verdict {
  const remedy =
    'The running system is not touched, the next boot may be. Write the image to the disk again, or replace the disk.';
  if (device === undefined) return failing('No EFI system partition was found.', remedy);
  return problem === undefined
    ? healthy(`The EFI system partition ${device} can be read.`)
    : failing(`The EFI system partition ${device} cannot be used: ${problem}.`, remedy);
}

/** The boot loader can count tries. undefined: it cannot be told. */
export function judgeBootCounting(isCounting: boolean | undefined): Verdict {
  if (isCounting === true) return healthy('The boot loader counts tries.');
  if (isCounting === false) {
    return failing(
      'The boot loader started this system without counting a try: a failed update would not be undone.',
      'Updates are refused. The firmware must be able to write to the EFI system partition: look at its set-up.',
    );
  }
  return degraded(
    'The boot loader did not start this system, and this one has not been seen to count tries before.',
    'Updates are refused until it was: reboot once. When it stays so, look at osctl slots and at the boot options of the firmware.',
  );
}

/** Boot options and boot loaders are in order. `rungs` is empty when the firmware keeps no variables. */
export function judgeBootOptions(
  rungs: readonly Rung[],
  loaders: LoaderVerdict | undefined,
): Verdict {
  if (rungs.length === 0) {
    if (loaders !== undefined && loaders.kind !== 'equal') {
      return degraded(
        'A copy of the boot loader is damaged or cannot be read, and the firmware keeps no variables to start the other one.',
        'The node mends it at every boot. When it stays so, look at osctl logs agent, and keep an image of the node at hand.',
      );
    }
    return degraded(
      'The firmware keeps no variables: a damaged boot loader has nothing behind it.',
      'Keep an image of the node at hand. In a virtual machine, give it a store for UEFI variables.',
    );
  }
  const wrong = rungs.filter(({ isCorrect }) => !isCorrect);
  if (wrong.length === 0) return healthy('The boot options of the firmware are in order.');
  const named = wrong.map(
    ({ description, number }) =>
      `"${description}" ${number === undefined ? 'is missing' : 'is wrong, out of place, or starts a damaged loader'}`,
  );
  return degraded(
    `Boot options of the firmware: ${named.join(', ')}.`,
    'The node mends them at every boot and commit. When it stays so, look at osctl logs agent.',
  );
}

/** The clock is believable. */
export function judgeTime(clock: BootReport['clock'], nowMs: number): Verdict {
  const now = new Date(nowMs).toISOString();
  if (clock.trusted && clock.problem === '') {
    return healthy(`The time is ${now}, from ${clock.source}.`);
  }
  const problem = clock.problem === '' ? 'no trusted source was heard' : clock.problem;
  return degraded(
    clock.trusted
      ? `The time ${now} comes from ${clock.source} and is believed; at boot ${problem}.`
      : `The time ${now} comes from ${clock.source}: ${problem}.`,
    'Set time.servers in the configuration, or correct the real-time clock in the firmware.',
  );
}

/** The node has an address. */
export function judgeNetwork(
  addresses: readonly string[],
  network: BootReport['network'],
): Verdict {
  if (addresses.length === 0) {
    const problem = network.problem === '' ? 'no interface has one' : network.problem;
    return failing(
      `The node has no address: ${problem}.`,
      'Check the cable and the DHCP server, or set network.interfaces in the configuration.',
    );
  }
  return network.problem === ''
    ? healthy(`Addresses: ${addresses.join(', ')} (${network.mode}).`)
    : degraded(
        `Addresses: ${addresses.join(', ')}, but ${network.problem}.`,
        'Look at osctl dmesg and at network.interfaces in the configuration.',
      );
}

/** Facts of {@link judgeCertificate}. */
export interface CertificateFactsForHealth {
  readonly notAfterMs: number;
  /** Problems with stored keys and records that were found at start. */
  readonly problems: readonly string[];
}

/** The node's own certificate and the records of trust are in order. */
export function judgeCertificate(facts: CertificateFactsForHealth, nowMs: number): Verdict {
  if (facts.notAfterMs < nowMs) {
    return degraded(
      `The node's own certificate ended at ${new Date(facts.notAfterMs).toISOString()}.`,
      'Check the time of the node. Clients pin the certificate and go on working.',
    );
  }
  if (facts.problems.length > 0) {
    return degraded(
      facts.problems.join(' '),
      'Compare the fingerprint on the console and enrol again with osctl init bootstrap.',
    );
  }
  return healthy(`Valid until ${new Date(facts.notAfterMs).toISOString()}.`);
}

/** Facts of {@link judgeRoot}. */
export interface RootFacts {
  readonly type: string;
  readonly device: string;
  readonly target: string;
  readonly isReadOnly: boolean;
}

/** The root file system is the verified, read-only image. */
export function judgeRoot(facts: RootFacts): Verdict {
  if (facts.target === 'verity' && facts.isReadOnly) {
    return healthy(`${facts.type} on ${facts.device}, verified by dm-verity, read-only.`);
  }
  const seen = `${facts.type} on ${facts.device}, target "${facts.target}", ${facts.isReadOnly ? 'read-only' : 'writable'}`;
  return failing(
    `The root file system is not a verified image: ${seen}.`,
    'Do not trust this node. Write a signed image to its disk.',
  );
}

/** The start of the image, read past dm-verity, is what the kernel was told. */
export function judgeImage({ state, device, problem }: BootReport['image']): Verdict {
  if (state === 'verified') {
    return healthy(`The start of ${device} leads to the root hash that the kernel was told.`);
  }
  if (state === 'unchecked') return healthy('PID 1 has not looked at the image yet.');
  const seen =
    state === 'damaged'
      ? `The image on ${device} is damaged: ${problem}.`
      : `The image could not be checked: ${problem}.`;
  return degraded(
    seen,
    'dm-verity restarts the machine when it meets a bad block. Run osctl verify to see all of them; then write the image again.',
  );
}

/** A hardware watchdog is fed. */
export function judgeWatchdog(kind: WatchdogKind): Verdict {
  if (kind === 'hardware') return healthy('A hardware watchdog is fed.');
  const instead = kind === 'software' ? 'only the software watchdog is fed' : 'none is in use';
  return degraded(
    `No hardware watchdog was found, ${instead}: a hang of the kernel needs a hand.`,
    'Enable the watchdog in the firmware, or add one to the virtual machine.',
  );
}

/**
 * The stored configuration could be read. `problem` is empty when it could; else `revision` is the one that is in force
 * instead, 0 for the defaults.
 */
export function judgeConfiguration(problem: string, revision: number): Verdict {
  if (problem !== '') {
    return degraded(
      `The stored configuration is not in use: ${problem}.`,
      revision === 0
        ? 'Apply the configuration again with osctl apply -f FILE.'
        : `Revision ${revision} is in force, which osctl get config shows. Store it again with osctl get config | osctl apply -f -, or apply another.`,
    );
  }
  return healthy(
    revision === 0 ? 'The default configuration is in force.' : `Revision ${revision}.`,
  );
}

/** There is memory left. */
export function judgeMemory(totalBytes: number, availableBytes: number): Verdict {
  const room = `${formatBytes(availableBytes)} of ${formatBytes(totalBytes)} available`;
  if (totalBytes > 0 && availableBytes >= totalBytes * MEMORY_AVAILABLE_SHARE_MIN) {
    return healthy(`${room}.`);
  }
  return degraded(
    `Memory is short: ${room}.`,
    'Look at osctl status; move work to another node or add memory.',
  );
}
