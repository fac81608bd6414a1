/** Every broken release and boot partition of the table, each followed by a good update. */
import { BROKEN_MODES } from '@keelos/tests/broken-modes.ts';
import { modeLine, proveGood, proveMode } from '@keelos/tests/broken-run.ts';
import type { ReleaseName } from '@keelos/tests/release-variants.data.ts';
import { keepEvidence } from '@keelos/tests/test-node.ts';
import { UPDATE_TIMEOUT_MS, UpdateLab } from '@keelos/tests/update-lab.ts';

/** In turn: what is installed is never what runs. */
const GOOD: readonly ReleaseName[] = ['good', 'good-again', 'good-third'];

describe('every broken release and boot partition', () => {
  let lab: UpdateLab;
  const lines: string[] = [];

  before(async function () {
    this.timeout(UPDATE_TIMEOUT_MS);
    lab = await UpdateLab.open('long-broken');
  });
  afterEach(async function () {
    await keepEvidence(lab?.node, this.currentTest);
  });
  after(async () => {
    const head = `${'mode'.padEnd(26)} boots seconds cause`;
    process.stdout.write(`\n    ${[head, ...lines].join('\n    ')}\n`);
    await lab?.close();
  });

  for (const [turn, mode] of BROKEN_MODES.entries()) {
    it(`comes back from: ${mode.name}`, async function () {
      this.timeout(3 * UPDATE_TIMEOUT_MS);
      lines.push(modeLine(mode, await proveMode(lab, mode)));
      await proveGood(lab, GOOD[turn % GOOD.length] ?? 'good');
    });
  }
});
