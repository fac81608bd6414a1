/**
 * What the firmware and the boot loader do by themselves, with releases that were put on the disk by other people's
 * tools: no part of this depends on the code that installs. Other kernel images that do not start, and a damaged first
 * loader, are rows of the long table (tests/src/broken-modes.ts).
 */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import type { EntryName } from '@keelos/proto/boot-entry.ts';
import { BundleFactory } from '@keelos/tests/bundle-factory.ts';
import { installByHand, listEsp, removeFromEsp } from '@keelos/tests/by-hand.ts';
import type { ReleaseName } from '@keelos/tests/release-variants.data.ts';
import { keepEvidence, TestNode } from '@keelos/tests/test-node.ts';
import { areInOrder, bootsSince, runningNow, slotsOf } from '@keelos/tests/update-view.ts';

const CASE_TIMEOUT_MS = 420_000;
const BOOTS_MAX = 3;
const TRIAL: EntryName = { sequence: 2, counter: { left: 1, done: 0 } };
const COMMITTED: EntryName = { sequence: 2, counter: { left: 9, done: 0 } };

describe('firmware and boot loader', () => {
  let factory: BundleFactory;
  let first: TestNode;
  let node: TestNode | undefined;
  let disk: string;

  before(async function () {
    this.timeout(CASE_TIMEOUT_MS);
    factory = await BundleFactory.open();
    first = await TestNode.boot('loader');
    assert.equal((await first.bootstrap()).exitCode, 0);
    // The firmware's boot options are in order: the node has made them.
    await inOrder(first);
    await first.osctl('shutdown');
    await first.awaitPowerOff();
    disk = first.disk;
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

  const inOrder = (machine: TestNode) =>
    machine.until(TestNode.bootTimeoutMs, async () =>
      areInOrder(await slotsOf(machine)) ? true : undefined,
    );

  /** A copy of the first node's machine, changed while it is off, and started. */
  const started = async (change: (disk: string) => Promise<void>): Promise<TestNode> => {
    node = await TestNode.boot('loader-case', { disk, after: first, prepareDisk: change });
    return node;
  };
  const withRelease = (name: ReleaseName, entry: EntryName) =>
    started(async (copy) => installByHand(copy, await factory.parts(name), entry));
  const runs = async (machine: TestNode) =>
    (await machine.until(TestNode.bootTimeoutMs, () => runningNow(machine))).rootHash;

  it('starts the newest committed entry, and the same after the power was off', async function () {
    this.timeout(CASE_TIMEOUT_MS);
    const machine = await withRelease('good', COMMITTED);
    const { rootHash } = factory.second.manifest;
    assert.equal(await runs(machine), rootHash);
    await machine.cutPower();
    await machine.start();
    assert.equal(await runs(machine), rootHash);
  });

  it('goes back by itself from a trial whose kernel image is cut short', async function () {
    this.timeout(CASE_TIMEOUT_MS);
    const machine = await withRelease('kernel-image-cut', TRIAL);
    assert.equal(await runs(machine), first.image.rootHash);
    const boots = await bootsSince(machine, 0);
    assert.ok(boots <= BOOTS_MAX, `${boots} boots`);
  });

  it('starts the committed kernel image itself when no entry is left', async function () {
    this.timeout(CASE_TIMEOUT_MS);
    const machine = await started(async (copy) => {
      for (const entry of await listEsp(copy, 'loader/entries')) {
        await removeFromEsp(copy, `loader/entries/${entry}`);
      }
    });
    assert.equal(await runs(machine), first.image.rootHash);
  });

  it('starts without any firmware variable, and has its boot options again afterwards', async function () {
    this.timeout(CASE_TIMEOUT_MS);
    const machine = await started(async () => {});
    await machine.cutPower();
    await rm(machine.firmwareVars);
    await machine.start();
    assert.equal(await runs(machine), first.image.rootHash);
    await inOrder(machine);
  });
});
