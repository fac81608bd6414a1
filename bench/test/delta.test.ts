import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deltaFigures } from '../delta.ts';
import { DELTA_RIVALS, runRival } from '../rivals/delta.ts';

const cost = { bytes: 100, seconds: 2, cpuSeconds: 1, peakBytes: 1000, applySeconds: 0.5 };

describe('figures of deltas', () => {
  it('name the rival, and leave out what was not measured', () => {
    const other = { bytes: 400, seconds: 1, cpuSeconds: 4, peakBytes: 0 };
    const figures = deltaFigures(cost, 'theirs', other);
    const seen = figures.map(({ name, rival, ratio }) => [name, rival, ratio]);
    assert.deepEqual(seen, [
      ['bytes', 'theirs', 4],
      ['generate', 'theirs', 0.5],
      ['generate-processor-time', 'theirs', 4],
    ]);
  });
});

describe('reuse of blocks by their hash', () => {
  it('sends the blocks that are nowhere, once each, and the index', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'keel-bench-'));
    try {
      const block = (value: number) => Buffer.alloc(4096, value);
      const [older, newer] = [join(folder, 'older'), join(folder, 'newer')];
      await writeFile(older, Buffer.concat([block(1), block(2), block(3)]));
      await writeFile(newer, Buffer.concat([block(3), block(4), block(4), block(1), block(5)]));
      const rival = DELTA_RIVALS['blocks of 4 KiB by hash, as RAUC has them'];
      assert.ok(rival);
      const { bytes } = await runRival(rival, { older, newer, scratch: join(folder, 'own') });
      assert.equal(bytes, 2 * 4096 + 5 * 32);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
