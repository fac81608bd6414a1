/** The plug pulled at random moments of updates and trials. KEEL_CUTS: how often; KEEL_SEED: the same moments again. */
import assert from 'node:assert/strict';
import { type CutCount, cutDuringUpdates } from '@keelos/tests/power-cuts.ts';
import { keepEvidence } from '@keelos/tests/test-node.ts';
import { UPDATE_TIMEOUT_MS, UpdateLab } from '@keelos/tests/update-lab.ts';
import { wholeSetting } from '@keelos/tests/whole-setting.ts';
import { Random } from '../fuzz/random.ts';

const CUTS = wholeSetting('KEEL_CUTS', 50);
const SEED = wholeSetting('KEEL_SEED', 1);
/** Of so many at random moments some fall into a trial, which is a third of an update. */
const MANY_CUTS = 20;
/** An update, a boot and a trial. */
const CUT_TIMEOUT_MS = UPDATE_TIMEOUT_MS;

describe('a node whose power fails during updates', () => {
  let lab: UpdateLab;

  before(async function () {
    this.timeout(UPDATE_TIMEOUT_MS);
    lab = await UpdateLab.open('power-cuts');
  });
  afterEach(async function () {
    await keepEvidence(lab?.node, this.currentTest);
  });
  after(() => lab?.close());

  it(`is well after each of ${CUTS} cuts, seed ${SEED}`, async function () {
    this.timeout((CUTS + 2) * CUT_TIMEOUT_MS);
    const whole = await lab.tryRelease('good');
    assert.equal(whole.ended.exitCode, 0, whole.ended.stderr);
    const byDelta = await lab.watch(async () =>
      lab.updateFrom(await lab.deltaUrlOf('good-again'), '--delta', '--wait', '--timeout', '9m'),
    );
    assert.equal(byDelta.ended.exitCode, 0, byDelta.ended.stderr);
    const report = await cutDuringUpdates(lab, {
      count: CUTS,
      random: new Random(SEED, 0),
      wholeMs: whole.seconds * 1000,
      deltaMs: byDelta.seconds * 1000,
    });
    const told = (what: string, { cuts, begun, inTrial }: CutCount) =>
      `${cuts} cuts of ${what}, ${begun} once it had begun, ${inTrial} in its trial`;
    const { stayed, seconds } = report;
    const lines = [told('whole updates', report.whole), told('updates by a delta', report.byDelta)];
    process.stdout.write(
      `    ${lines.join('; ')}: in ${(seconds / 60).toFixed(0)} min, ${stayed} on the old release, 0 bricks\n`,
    );
    for (const { cuts, begun, inTrial } of [report.whole, report.byDelta]) {
      assert.ok(begun >= cuts / 2, 'most cuts came before the update');
      if (cuts >= MANY_CUTS) assert.ok(inTrial > 0, 'no cut fell into a trial');
    }
  });
});
