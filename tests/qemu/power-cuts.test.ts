/**
 * A sample of what `npm run test:long` does at length: the plug pulled during an update, and a node booted from what its
 * disk held at flushes of one. KEEL_SEED: other moments.
 */
import { chosen } from '@keelos/tests/flush-points.ts';
import { cutDuringUpdates } from '@keelos/tests/power-cuts.ts';
import { ReplayedUpdate } from '@keelos/tests/replayed-update.ts';
import { UPDATE_TIMEOUT_MS } from '@keelos/tests/update-lab.ts';
import { wholeSetting } from '@keelos/tests/whole-setting.ts';
import { Random } from '../fuzz/random.ts';

const SEED = wholeSetting('KEEL_SEED', 1);
const CUTS = 1;
const POINTS = 2;

describe('a node whose power fails during an update', () => {
  let update: ReplayedUpdate;

  before(async function () {
    this.timeout(2 * UPDATE_TIMEOUT_MS);
    update = await ReplayedUpdate.record('power-cuts');
  });
  after(() => update?.close());

  it(`is well when booted from its disk at ${POINTS} flushes, seed ${SEED}`, async function () {
    this.timeout(POINTS * UPDATE_TIMEOUT_MS);
    const random = new Random(SEED, 0);
    for (const point of chosen(update.points, POINTS)) await update.prove(point, random);
  });

  it(`is well after ${CUTS} cut at a random moment, seed ${SEED}`, async function () {
    this.timeout((CUTS + 2) * UPDATE_TIMEOUT_MS);
    await update.lab.node.start();
    const random = new Random(SEED, 1);
    await cutDuringUpdates(update.lab, { count: CUTS, random, wholeMs: update.durationMs });
  });
});
