/**
 * Trials that nobody in them can end: the deadline and the watchdog do, and the next boot says why. The releases are put
 * on the disk by other people's tools, and so is the trial record.
 */
import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { type UpdateHistoryEntry, UpdateOutcome } from '@keelos/proto/gen/keel/v1/update_pb.js';
import { encodeRecord } from '@keelos/proto/state-record.ts';
import { TRIAL_RECORD, type TrialRecord } from '@keelos/proto/update-record.ts';
import { BundleFactory, type ReleaseParts } from '@keelos/tests/bundle-factory.ts';
import { installByHand } from '@keelos/tests/by-hand.ts';
import { inPlace, PARTITION, partition, readBytes, tool, writeBytes } from '@keelos/tests/disk.ts';
import type { ReleaseName } from '@keelos/tests/release-variants.data.ts';
import { keepEvidence, TestNode } from '@keelos/tests/test-node.ts';
import { awaitSettled, bootsSince } from '@keelos/tests/update-view.ts';

const CASE_TIMEOUT_MS = 420_000;
const SEQUENCE = 2;
const HEALTH_TIMEOUT_SECONDS = 40;
const SQUASHFS_USED_AT = 40;
/** As PID 1 sees it on the state partition, which is mounted at /var. */
const RECORD_PATH = '/lib/keel/update/trial.rec';

interface Case {
  readonly release: ReleaseName;
  readonly cause: RegExp;
  readonly evidence: RegExp;
  /** One byte of its root is flipped. */
  readonly isRotten?: boolean;
}

const CASES: readonly Case[] = [
  {
    release: 'rots-later',
    isRotten: true,
    cause: /^The root is damaged: .*verity: .*block \d+ is corrupted/,
    evidence: /Kernel panic - not syncing: dm-verity device corrupted/,
  },
  {
    release: 'agent-dies',
    cause: /the agent has not settled the trial in 70 s from the start of the kernel/,
    evidence: /keel-init: service agent: exit 1[\s\S]*agent: .*dies on purpose/,
  },
];

describe('a trial that nobody in it can end', () => {
  let factory: BundleFactory;
  let first: TestNode;
  let node: TestNode | undefined;

  before(async function () {
    this.timeout(CASE_TIMEOUT_MS);
    factory = await BundleFactory.open();
    first = await TestNode.boot('trial-guard');
    assert.equal((await first.bootstrap()).exitCode, 0);
    await first.osctl('shutdown');
    await first.awaitPowerOff();
  });
  afterEach(async function () {
    await keepEvidence(node, this.currentTest);
    await node?.destroy();
    node = undefined;
  });
  after(async () => {
    await first?.destroy();
    await factory?.close();
  });

  const armByHand = async (disk: string, { version, ...release }: ReleaseParts) => {
    const counter = { left: 1, done: 0 };
    await installByHand(disk, { version, ...release }, { sequence: SEQUENCE, counter });
    const record: TrialRecord = {
      id: 'by-hand',
      kind: 'update',
      sequence: SEQUENCE,
      who: 'a test',
      reason: '',
      from: { slot: 'a', version, rootHash: first.image.rootHash },
      to: { slot: 'b', version, rootHash: release.rootHash },
      policy: {
        autoRollback: true,
        healthTimeoutSeconds: HEALTH_TIMEOUT_SECONDS,
        minHealthySeconds: 5,
      },
      armedMs: Date.now(),
      armedBootId: 'an earlier boot',
      isRebootLeft: true,
      hadGateway: false,
      heldChecks: [],
    };
    const file = `${disk}.rec`;
    await writeFile(file, encodeRecord(TRIAL_RECORD, record));
    const state = await inPlace(disk, PARTITION.state);
    await tool('debugfs', '-w', '-R', `write ${file} ${RECORD_PATH}`, state);
    await rm(file);
  };

  /** The last byte of the file system's tables, which every mount reads. */
  const rotSlotB = async (disk: string) => {
    const { offsetBytes } = await partition(disk, PARTITION.slotB);
    const used = await readBytes(disk, offsetBytes + SQUASHFS_USED_AT, 8);
    const at = offsetBytes + Number(used.readBigUInt64LE()) - 1;
    const [byte = 0] = await readBytes(disk, at, 1);
    await writeBytes(disk, at, Uint8Array.of(byte ^ 1));
  };

  it('has its deadline although its record is lost: the loader tells', async function () {
    this.timeout(CASE_TIMEOUT_MS);
    const parts = await factory.parts('good');
    const name = { sequence: SEQUENCE, counter: { left: 1, done: 0 } };
    node = await TestNode.boot('trial-guard-lost', {
      disk: first.disk,
      after: first,
      prepareDisk: (disk) => installByHand(disk, parts, name),
    });
    const text = await node.awaitConsole((console) =>
      console.includes('keel-init: trial committed'),
    );
    assert.match(text, /trial of a release, known from the loader: committed within 330 s/);
    assert.equal(await bootsSince(node, 0), 1);
  });

  for (const { release, isRotten = false, cause, evidence } of CASES) {
    it(`ends in the old release, which says why: ${release}`, async function () {
      this.timeout(CASE_TIMEOUT_MS);
      const parts = await factory.parts(release);
      node = await TestNode.boot('trial-guard-case', {
        disk: first.disk,
        after: first,
        async prepareDisk(disk) {
          await armByHand(disk, parts);
          if (isRotten) await rotSlotB(disk);
        },
      });
      const entry: UpdateHistoryEntry = await awaitSettled(node, CASE_TIMEOUT_MS);
      assert.equal(entry.outcome, UpdateOutcome.ROLLED_BACK);
      assert.equal(entry.automatic, true);
      assert.match(entry.cause, cause);
      assert.match(entry.evidence.join('\n'), evidence);
      assert.equal(await bootsSince(node, 0), 2);
    });
  }
});
