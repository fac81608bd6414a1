/** A node that gets a new kernel by a delta: it unpacks its own, patches it, and packs it to the bytes of the release. */
import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { UpdateOutcome } from '@keelos/proto/gen/keel/v1/update_pb.js';
import { makeDelta } from '@keelos/tests/bundle-factory.ts';
import { keepEvidence } from '@keelos/tests/test-node.ts';
import { KERNEL_DELTA_NODE, UPDATE_TIMEOUT_MS, UpdateLab } from '@keelos/tests/update-lab.ts';

/** An emulated node packs for minutes. */
const TIMEOUT_MS = 4 * UPDATE_TIMEOUT_MS;
/** Of the packed kernel, which every new kernel cost before. */
const SHARE_MAX = 0.1;

describe('a delta with a new kernel', function () {
  this.timeout(TIMEOUT_MS);
  let lab: UpdateLab;

  before(async () => {
    lab = await UpdateLab.open('delta-kernel', KERNEL_DELTA_NODE);
  });
  afterEach(async function () {
    await keepEvidence(lab?.node, this.currentTest);
  });
  after(() => lab?.close());

  it('is installed, starts, and is committed', async () => {
    const { factory, node, server } = lab;
    const newer = await factory.bundle('new-kernel');
    const delta = join(factory.dir, 'new-kernel.kdelta');
    await makeDelta([await factory.beginning(), newer], delta);
    const { size } = await stat(delta);
    assert.ok(size < newer.manifest.uki.size * SHARE_MAX, `${size} bytes`);
    const { ended, after, entry, seconds } = await lab.watch(() =>
      node.osctlWithin(
        TIMEOUT_MS,
        ...['update', '--source', server.add(delta), '--delta', '--enable-auto-rollback'],
        ...['--health-check-timeout', '120', '--min-healthy', '5', '--timeout', '30m', '--wait'],
      ),
    );
    assert.equal(ended.exitCode, 0, ended.stderr + ended.stdout);
    assert.deepEqual(after, { version: newer.version, rootHash: newer.rootHash });
    assert.equal(entry?.outcome, UpdateOutcome.COMMITTED);
    process.stdout.write(`    ${size} bytes of delta, committed in ${seconds.toFixed(1)} s\n`);
  });
});
