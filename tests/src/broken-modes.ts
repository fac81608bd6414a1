/** Every way in which a release or a boot partition is broken in tests, and how a node must come out of it. */
import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { HOST_FROM_GUEST } from './bundle-server.ts';
import { listEsp, putOnEsp, removeFromEsp } from './by-hand.ts';
import { PARTITION, partition, readBytes, writeBytes } from './disk.ts';
import type { Ended } from './program.ts';
import type { ReleaseName } from './release-variants.data.ts';
import { SHORT_HEALTH_TIMEOUT_SECONDS, type UpdateLab } from './update-lab.ts';
import { historyOf, slotsOf } from './update-view.ts';

/** Starts that a node may need: the trial, one more for firmware that stumbles, and the old release. */
const BOOTS_MAX = 3;
/** Nine tries of a committed root, and the old release. */
const BOOTS_ROTTED_MAX = 10;
/** Nine starts of the firmware and of a kernel that restarts at once, and one of a node. */
const ROTTED_TIMEOUT_MS = 600_000;
const SQUASHFS_USED_AT = 40;
/** As core/trial-evidence.ts and core/trial.ts of the agent word it. */
const NOT_LOADED = /^The release left no trace: its kernel image was not loaded/;
const NOT_HEALTHY = `^The checks did not pass within ${SHORT_HEALTH_TIMEOUT_SECONDS} s: `;
const LOADER_BYTES_LOST = 65_536;
/** A node that has started, until its checks pass. */
const REPAIR_TIMEOUT_MS = 120_000;

/** What the history tells: a failed trial, a refused install, a committed release that gave way, a repair below them. */
export type Told = 'rolled-back' | 'refused' | 'gave-way' | 'repaired';

/** How it must end. */
export interface Expected {
  /** Exit code of the command, where one waits for the end. */
  readonly exitCode: number;
  readonly bootsMax: number;
  /** A failed trial when absent. */
  readonly told?: Told;
  /** The cause that the history names. */
  readonly cause: RegExp;
  /** What the evidence beside it shows. */
  readonly evidence?: RegExp;
}

/** One way of being broken. */
export interface BrokenMode {
  readonly name: string;
  readonly expected: Expected;
  /** Also in the short run of `npm test`. */
  readonly isShort: boolean;
  /** Breaks it, and returns when the node has come to rest. */
  readonly run: (lab: UpdateLab) => Promise<Ended>;
}

const DONE: Ended = { exitCode: 0, stdout: '', stderr: '' };

function release(
  name: ReleaseName,
  expected: Partial<Expected> &
    Pick<Expected, 'cause'> & { readonly isShort?: boolean; readonly trialSeconds?: number },
): BrokenMode {
  const { isShort = false, trialSeconds, ...more } = expected;
  const policy = trialSeconds === undefined ? [] : ['--health-check-timeout', `${trialSeconds}`];
  return {
    name,
    isShort,
    expected: { exitCode: 37, bootsMax: BOOTS_MAX, ...more },
    run: async (lab) => lab.update(name, ...policy, '--wait', '--timeout', '9m'),
  };
}

/** The byte in a slot that every mount reads: the last one of the file system's tables. */
async function rotSlot(lab: UpdateLab, number: number): Promise<void> {
  const { offsetBytes } = await partition(lab.node.disk, number);
  const used = await readBytes(lab.node.disk, offsetBytes + SQUASHFS_USED_AT, 8);
  const at = offsetBytes + Number(used.readBigUInt64LE()) - 1;
  const [byte = 0] = await readBytes(lab.node.disk, at, 1);
  await writeBytes(lab.node.disk, at, Uint8Array.of(byte ^ 0x01));
}

/** Number of the partition that the node runs from, or of the other one. */
async function slotNumber(lab: UpdateLab, isRunning: boolean): Promise<number> {
  const { slots } = await slotsOf(lab.node);
  const at = slots.findIndex(({ running }) => running === isRunning);
  return at === 0 ? PARTITION.slotA : PARTITION.slotB;
}

async function rotInTrial(lab: UpdateLab): Promise<Ended> {
  const armed = await lab.update('rots-later', '--no-reboot');
  assert.equal(armed.exitCode, 0, armed.stderr);
  await rotSlot(lab, await slotNumber(lab, false));
  const { exitCode, stderr } = await lab.node.osctl('reboot');
  assert.equal(exitCode, 0, stderr);
  await lab.settled();
  return DONE;
}

async function rotCommitted(lab: UpdateLab): Promise<Ended> {
  const updated = await lab.update('rots-committed', '--wait', '--timeout', '9m');
  assert.equal(updated.exitCode, 0, updated.stderr);
  const number = await slotNumber(lab, true);
  await lab.node.cutPower();
  await rotSlot(lab, number);
  await lab.node.start(ROTTED_TIMEOUT_MS);
  await lab.settled();
  return DONE;
}

/** A probe that is green before the trial and red in it: its server goes away when the node goes down. */
async function probeRed(lab: UpdateLab): Promise<Ended> {
  const probed = createServer((socket) => socket.end());
  await new Promise<void>((done) => {
    probed.listen(0, '127.0.0.1', done);
  });
  const address = probed.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const file = join(lab.node.dir, 'probe.yaml');
  const probes = `probes:\n  - name: shop\n    tcp: ${HOST_FROM_GUEST}:${port}\n    periodSeconds: 2\n`;
  await writeFile(file, `apiVersion: keel/v1\n${probes}`);
  const applied = await lab.node.osctl('apply', '-f', file);
  assert.equal(applied.exitCode, 0, applied.stderr);
  const mark = await lab.node.consoleSize();
  const update = lab.update(
    'probe-red',
    ...['--health-check-timeout', String(SHORT_HEALTH_TIMEOUT_SECONDS)],
    ...['--wait', '--timeout', '9m'],
  );
  await Promise.race([
    update,
    lab.node.until(600_000, async () =>
      (await lab.node.consoleText(mark)).includes('Linux version') ? true : undefined,
    ),
  ]);
  await new Promise<void>((done) => {
    probed.close(() => done());
  });
  const ended = await update;
  await writeFile(file, 'apiVersion: keel/v1\n');
  const restored = await lab.node.osctl('apply', '-f', file);
  assert.equal(restored.exitCode, 0, restored.stderr);
  return ended;
}

/** Something that is changed while the machine is off. */
function below(name: string, cause: RegExp, change: (lab: UpdateLab) => Promise<void>): BrokenMode {
  return {
    name,
    isShort: false,
    expected: { exitCode: 0, bootsMax: BOOTS_MAX, told: 'repaired', cause },
    async run(lab) {
      const [known] = await historyOf(lab.node);
      const off = await lab.node.osctl('shutdown');
      assert.equal(off.exitCode, 0, off.stderr);
      await lab.node.awaitPowerOff();
      await change(lab);
      await lab.node.start();
      // It is mended once the node is healthy.
      await lab.node.until(REPAIR_TIMEOUT_MS, async () => {
        const [newest] = await historyOf(lab.node);
        return newest?.id === known?.id ? undefined : newest;
      });
      return DONE;
    },
  };
}

async function emptyEntries(lab: UpdateLab): Promise<void> {
  const names = await listEsp(lab.node.disk, 'loader/entries');
  assert.notDeepEqual(names, []);
  for (const name of names) await removeFromEsp(lab.node.disk, `loader/entries/${name}`);
}

/** The table. */
export const BROKEN_MODES: readonly BrokenMode[] = [
  release('kernel-panic', {
    cause: /^The kernel panicked: Requested init \/sbin\/nothing failed/,
    isShort: true,
  }),
  release('slot-missing', {
    cause: /^The kernel waited for its slot: .*waiting for device/,
    evidence: /Kernel panic - not syncing: Software Watchdog Timer expired/,
  }),
  release('init-throws', {
    cause: /^The trial was ended: PID 1 failed: this release throws on purpose/,
  }),
  release('init-hangs', { cause: /^The system hung until its watchdog bit: / }),
  release('agent-dies', {
    cause: /^The trial was ended: the agent has not settled the trial in \d+ s/,
    evidence: /agent: .*dies on purpose/,
    trialSeconds: SHORT_HEALTH_TIMEOUT_SECONDS,
  }),
  release('agent-unhealthy', {
    cause: new RegExp(`${NOT_HEALTHY}network: `),
    evidence: /check network fails since/,
    trialSeconds: SHORT_HEALTH_TIMEOUT_SECONDS,
    isShort: true,
  }),
  release('kernel-image-foreign', { cause: NOT_LOADED }),
  release('kernel-image-cut', { cause: NOT_LOADED }),
  release('kernel-image-random', {
    exitCode: 20,
    bootsMax: 0,
    told: 'refused',
    cause: /its kernel image does not start its root/,
    isShort: true,
  }),
  release('other-arch', {
    exitCode: 28,
    bootsMax: 0,
    told: 'refused',
    cause: /it is for aarch64/,
    isShort: true,
  }),
  {
    name: 'root rots in its trial',
    isShort: false,
    expected: { exitCode: 0, bootsMax: BOOTS_MAX, cause: /^The root is damaged: .*corrupted/ },
    run: rotInTrial,
  },
  {
    name: 'root rots once committed',
    isShort: false,
    expected: {
      exitCode: 0,
      bootsMax: 1 + BOOTS_ROTTED_MAX, // the update itself boots once
      cause: / gave way\. It has used up its tries: /,
      told: 'gave-way',
    },
    run: rotCommitted,
  },
  {
    name: 'a user probe stays red',
    isShort: false,
    expected: {
      exitCode: 37,
      bootsMax: BOOTS_MAX,
      cause: new RegExp(`${NOT_HEALTHY}probe/shop: `),
    },
    run: probeRed,
  },
  below('first loader damaged', /^The boot loader EFI\/BOOT\/BOOTX64\.EFI was damaged/, (lab) =>
    putOnEsp(lab.node.disk, 'EFI/BOOT/BOOTX64.EFI', Buffer.alloc(LOADER_BYTES_LOST, 0xa5)),
  ),
  below('entries emptied', /^The boot loader had no entry for the running release/, emptyEntries),
  // The first loader is the only one that it knows now: the row above has damaged it, and the node mended it.
  below('firmware variables lost', /^The firmware had lost or changed its boot options/, (lab) =>
    rm(lab.node.firmwareVars),
  ),
];
