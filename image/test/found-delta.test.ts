/** Deltas that lie in a release directory already: which of them may be listed. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeltaBetween } from '@keelos/image/shell/found-delta.ts';
import type { DeltaInput } from '@keelos/image/sys/delta-input.ts';
import type { Release } from '@keelos/proto/channel.ts';
import { sampleRelease } from '../../proto/test/channel-samples.ts';
import { bundleSample } from './delta-samples.ts';

function releaseOf({ tail }: DeltaInput): Release {
  assert.ok(tail);
  const { version, root } = tail.manifest;
  const { manifestSha256 } = tail;
  return sampleRelease({ version, rootHash: root.rootHash, manifestSha256 });
}

describe('a delta that lies there', () => {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keel-found-delta-'));
  });
  after(() => rm(folder, { recursive: true }));

  it('counts when it is whole and leads from the one release to the other', async () => {
    const { delta, old, target } = await bundleSample();
    const path = join(folder, 'x.kdelta');
    await writeFile(path, delta);
    const [source, release] = [releaseOf(old), releaseOf(target)];
    assert.equal(await isDeltaBetween(path, { source, release }), true);
    assert.equal(await isDeltaBetween(path, { source: release, release }), false, 'from another');
    assert.equal(await isDeltaBetween(path, { source, release: source }), false, 'to another');
    const spoilt = Buffer.from(delta);
    spoilt.writeUInt8(spoilt.readUInt8(9) ^ 1, 9);
    for (const [what, bytes] of [
      ['a flipped byte', spoilt],
      ['a half', delta.subarray(0, delta.length >> 1)],
      ['nothing', Buffer.alloc(0)],
    ] as const) {
      await writeFile(path, bytes);
      assert.equal(await isDeltaBetween(path, { source, release }), false, what);
    }
    await mkdir(join(folder, 'folder'));
    assert.equal(await isDeltaBetween(join(folder, 'folder'), { source, release }), false);
    assert.equal(await isDeltaBetween(join(folder, 'none'), { source, release }), false);
  }).timeout(60_000);
});
