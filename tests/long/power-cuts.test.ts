/** The plug pulled at random moments of updates and trials. KEEL_CUTS: how often; KEEL_SEED: the same moments again. */
import assert from 'node:assert/strict';
import { cutDuringUpdates } from '@keelos/tests/power-cuts.ts';
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
    const { cuts, begun, inTrial, stayed, seconds } = await cutDuringUpdates(lab, {
      count: CUTS,
      random: new Random(SEED, 0),
      wholeMs: whole.seconds * 1000,
    });
    const minutes = (seconds / 60).toFixed(0);
    process.stdout.write(
      `    ${cuts} cuts in ${minutes} min, ${begun} in an update, ${inTrial} of these in a trial: ${stayed} on the old release, 0 bricks\n`,
    );
    assert.ok(begun >= cuts / 2, 'most cuts came before the update');
    if (cuts >= MANY_CUTS) assert.ok(inTrial > 0, 'no cut fell into a trial');
  });
});
