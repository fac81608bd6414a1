/**
 * Releases that are broken on purpose: the node is back on what it ran before, by itself, and says why. The long run has
 * all of them: tests/long/broken-images.test.ts.
 */
import { BROKEN_MODES } from '@keelos/tests/broken-modes.ts';
import { modeLine, proveGood, proveMode } from '@keelos/tests/broken-run.ts';
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

  it('takes a good release at once afterwards', async function () {
    this.timeout(2 * UPDATE_TIMEOUT_MS);
    await proveGood(lab, 'good');
  });
});
