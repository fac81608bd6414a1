import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundleSample, plainSample } from '../../image/test/delta-samples.ts';
import { deltaFigures, ownDelta } from '../delta.ts';
import { DELTA_RIVALS, runRival } from '../rivals/delta.ts';

const cost = { bytes: 100, seconds: 2, cpuSeconds: 1, peakBytes: 1000, applySeconds: 0.5 };

describe('figures of deltas', () => {
  it('name the rival, and leave out what was not measured', () => {
    const other = { bytes: 400, seconds: 1, cpuSeconds: 4, peakBytes: 0 };
    const figures = deltaFigures(
      { bench: 'delta', prefix: 'libc6-' },
      { mine: cost, rival: 'theirs', other },
    );
    const seen = figures.map(({ name, rival, ratio }) => [name, rival, ratio]);
    assert.deepEqual(seen, [
      ['libc6-bytes', 'theirs', 4],
      ['libc6-generate', 'theirs', 0.5],
      ['libc6-generate-processor-time', 'theirs', 4],
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
      const cost = await runRival(rival, { older, newer, scratch: join(folder, 'own') });
      assert.equal(cost?.bytes, 2 * 4096 + 5 * 32);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe('xdelta3-wasm', () => {
  it('makes a delta of a small pair, and says that it makes none of a larger one', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'keel-bench-'));
    try {
      const rival = DELTA_RIVALS['xdelta3-wasm'];
      assert.ok(rival);
      const cost = async (name: string, sizeBytes: number) => {
        const [older, newer] = [join(folder, `${name}-older`), join(folder, `${name}-newer`)];
        const bytes = randomBytes(sizeBytes);
        await writeFile(older, bytes);
        bytes.fill(7, 1000, 1100);
        await writeFile(newer, bytes);
        return runRival(rival, { older, newer, scratch: join(folder, name) });
      };
      const small = await cost('small', 100_000);
      assert.ok((small?.bytes ?? 0) > 0 && (small?.bytes ?? 0) < 10_000, `${small?.bytes}`);
      assert.equal(await cost('large', 8 * 1_048_576), undefined);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }).timeout(60_000);
});

describe('our own delta', () => {
  for (const [what, sample] of [
    ['two bundles', bundleSample],
    ['two SquashFS files', plainSample],
  ] as const) {
    it(`of ${what} is made, and applied by the code of a node in a process of its own`, async () => {
      const folder = await mkdtemp(join(tmpdir(), 'keel-bench-'));
      try {
        const { oldFile, targetFile } = await sample();
        const [older, newer] = [join(folder, 'older'), join(folder, 'newer')];
        await writeFile(older, oldFile);
        await writeFile(newer, targetFile);
        const cost = await runRival(ownDelta, { older, newer, scratch: join(folder, 'own') });
        assert.ok(cost.bytes < targetFile.length);
        assert.ok(cost.applySeconds > 0 && cost.applyPeakBytes > cost.applyWorkingBytes);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    }).timeout(120_000);
  }
});
