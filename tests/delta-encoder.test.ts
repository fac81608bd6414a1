/** A node whose zstd is another one: found before anything is written, and helped by the encoder in WebAssembly. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Packer } from '@keelos/as-core/delta-pack.ts';
import { packHere } from '@keelos/as-core/delta-pack.ts';
import { fittingPacker, openDeltaHere } from '@keelos/ts-agent/sys/apply-delta-here.ts';
import { packNatively } from '@keelos/ts-agent/sys/native-packer.ts';
import { apply, bundleSample, deltaOf, type Sample } from '../image/test/delta-samples.ts';

describe('the encoder of a node', function () {
  this.timeout(60_000);
  let sample: Sample;
  let folder = '';

  before(async () => {
    sample = await bundleSample();
    folder = await mkdtemp(join(tmpdir(), 'keel-encoder-'));
  });
  after(() => rm(folder, { recursive: true }));

  const manifestOf = (edit: { readonly canary?: string } = {}) => {
    let found = {} as Parameters<typeof fittingPacker>[0];
    deltaOf(sample.contents, (manifest) => {
      found = { ...manifest, ...edit };
      return manifest;
    });
    return found;
  };

  it("is Node's own zstd, as long as that makes the bytes of the canary", async () => {
    const own = packNatively();
    assert.equal(await fittingPacker(manifestOf(), own), own);
  });

  it('is the one in WebAssembly where that makes others, and the release comes out', async () => {
    const right = await packHere();
    const other: Packer = {
      lanes: 2,
      pack: (blocks, level) => right.pack(blocks, level === 22 ? 21 : level + 1),
    };
    const packer = await fittingPacker(manifestOf(), other);
    assert.notEqual(packer, other);
    const { root } = await apply(sample.delta, sample, { packer });
    const { dataBytes } = sample.target.side;
    assert.ok(root.subarray(0, dataBytes).equals(sample.targetFile.subarray(0, dataBytes)));
  });

  it('is none where the delta counts on a third one: it is refused as it is opened', async () => {
    const canary = 'ef'.repeat(32);
    await assert.rejects(fittingPacker(manifestOf({ canary })), { code: 'E_DELTA_ENCODER' });
    const path = join(folder, 'other.kdelta');
    await writeFile(
      path,
      deltaOf(sample.contents, (manifest) => ({ ...manifest, canary })),
    );
    await assert.rejects(openDeltaHere(path), { code: 'E_DELTA_ENCODER' });
    await writeFile(path, sample.delta);
    assert.equal((await openDeltaHere(path)).to, '1.0.1');
  });
});
