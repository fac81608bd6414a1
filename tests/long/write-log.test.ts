/** An update as the disk saw it, cut at many of its flushes. KEEL_POINTS: how many; KEEL_SEED: the same loose writes. */
import assert from 'node:assert/strict';
import { chosen } from '@keelos/tests/flush-points.ts';
import { ReplayedUpdate } from '@keelos/tests/replayed-update.ts';
import { UPDATE_TIMEOUT_MS } from '@keelos/tests/update-lab.ts';
import { wholeSetting } from '@keelos/tests/whole-setting.ts';
import { Random } from '../fuzz/random.ts';

const POINTS = wholeSetting('KEEL_POINTS', 30);
const SEED = wholeSetting('KEEL_SEED', 1);

describe('a disk whose power fails at a flush of an update', () => {
  let update: ReplayedUpdate;

  before(async function () {
    this.timeout(2 * UPDATE_TIMEOUT_MS);
    update = await ReplayedUpdate.record('write-log');
  });
  after(() => update?.close());

  it(`boots a node that is well at each of ${POINTS} flushes, seed ${SEED}`, async function () {
    this.timeout(POINTS * UPDATE_TIMEOUT_MS);
    const random = new Random(SEED, 0);
    const points = chosen(update.points, POINTS);
    assert.equal(points.length, POINTS, `an update has ${update.points.length} flushes`);
    for (const point of points) {
      const rootHash = await update.prove(point, random);
      process.stdout.write(`    ${point.entries} writes: ${rootHash} runs\n`);
    }
    process.stdout.write(
      `    ${points.length} of ${update.points.length} flushes booted, 0 bricks\n`,
    );
  });
});
