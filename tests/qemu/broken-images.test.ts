/**
 * Releases that are broken on purpose: the node is back on what it ran before, by itself, and says why. The long run has
 * all of them: tests/long/broken-images.test.ts.
 */
import assert from 'node:assert/strict';
import { UpdateOutcome } from '@keelos/proto/gen/keel/v1/update_pb.js';
import { BROKEN_MODES } from '@keelos/tests/broken-modes.ts';
import { modeLine, proveMode } from '@keelos/tests/broken-run.ts';
import { keepEvidence } from '@keelos/tests/test-node.ts';
import { UPDATE_TIMEOUT_MS, UpdateLab } from '@keelos/tests/update-lab.ts';

describe('a node that is given broken releases', () => {
  let lab: UpdateLab;

  before(async function () {
    this.timeout(UPDATE_TIMEOUT_MS);
    lab = await UpdateLab.open('broken-images');
  });
  afterEach(async function () {
    await keepEvidence(lab?.node, this.currentTest);
  });
  after(() => lab?.close());

  for (const mode of BROKEN_MODES.filter(({ isShort }) => isShort)) {
    it(`comes back from: ${mode.name}`, async function () {
      this.timeout(2 * UPDATE_TIMEOUT_MS);
      const seen = await proveMode(lab, mode);
      process.stdout.write(`    ${modeLine(mode, seen)}\n`);
    });
  }

  it('takes a good release afterwards, at the time of a schedule', async function () {
    this.timeout(2 * UPDATE_TIMEOUT_MS);
    const { exitCode, stderr } = await lab.node.osctl(
      ...['schedule', 'update', '--source', await lab.urlOf('good'), '--in', '5s'],
      ...['--enable-auto-rollback', '--min-healthy', '5'],
    );
    assert.equal(exitCode, 0, stderr);
    const { rootHash } = await lab.factory.bundle('good');
    const { outcome, who, to } = await lab.node.until(UPDATE_TIMEOUT_MS, async () => {
      const entry = await lab.settled();
      return entry.to?.rootHash === rootHash ? entry : undefined;
    });
    assert.equal(outcome, UpdateOutcome.COMMITTED);
    assert.match(who, /^schedule /);
    assert.equal((await lab.running()).rootHash, to?.rootHash);
    const list = await lab.node.osctl('schedule', 'list', '-o', 'json');
    assert.match(list.stdout, /"state": "done"/);
    await lab.assertWell('after a schedule');
  });
});
