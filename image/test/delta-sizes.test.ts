/** How large deltas are: files that went elsewhere cost next to nothing, and nothing costs more than what changed. */
import assert from 'node:assert/strict';
import type { SquashfsEntry } from '@keelos/image/core/squashfs-tree.ts';
import { Random } from '../../tests/fuzz/random.ts';
import { apply, file, noise, program, sampleOf } from './delta-samples.ts';
import { image } from './squashfs-oracle.ts';

const BLOCK_BYTES = 4096;
const OPTIONS = { blockBytes: BLOCK_BYTES, fragments: 'none', level: 3 } as const;
const TOOL = program(120_000, 1);
/** Tables, plan, manifest and footer. */
const SMALL_BYTES = 4_096;
const IMAGES = 6;
const EDITS_MAX = 6;

const rest = file('/rest', noise(60_000, 2));
const half = 61_440 + 123;

describe('a delta', function () {
  this.timeout(60_000);

  const moves: readonly [string, readonly SquashfsEntry[], readonly SquashfsEntry[]][] = [
    ['renamed', [file('/tool', TOOL)], [file('/other', TOOL)]],
    [
      'moved into another folder',
      [file('/tool', TOOL)],
      [{ type: 'directory', path: '/bin', mode: 0o755 }, file('/bin/tool', TOOL)],
    ],
    [
      'split into two',
      [file('/tool', TOOL)],
      [file('/first', TOOL.subarray(0, half)), file('/second', TOOL.subarray(half))],
    ],
    [
      'made of two',
      [file('/first', TOOL.subarray(0, half)), file('/second', TOOL.subarray(half))],
      [file('/tool', TOOL)],
    ],
    [
      'there twice, with a line more in one of them',
      [file('/tool', TOOL)],
      [file('/tool', TOOL), file('/two', Buffer.concat([Buffer.from('line\n'), TOOL]))],
    ],
  ];
  for (const [what, before, after] of moves) {
    it(`of a file that is ${what} has nothing of its contents`, async () => {
      const sample = await sampleOf(
        image([...before, rest], OPTIONS),
        image([...after, rest], OPTIONS),
      );
      assert.ok(sample.delta.length < SMALL_BYTES, `${sample.delta.length} bytes`);
      const { root } = await apply(sample.delta, sample);
      assert.ok(root.equals(sample.targetFile));
    });
  }

  it('is never larger than the packed blocks that the old image has nowhere, and 1 %', async () => {
    for (let index = 0; index < IMAGES; index += 1) {
      const random = new Random(20_261_130, index);
      const old = [file('/a', noise(90_000, index)), file('/b', program(90_000, index)), rest];
      const edited = old.map((entry) => {
        if (entry.type !== 'file') return entry;
        const bytes = Buffer.from(entry.contents);
        for (let edits = random.below(EDITS_MAX); edits > 0; edits -= 1) {
          const at = random.below(bytes.length);
          // From a byte to more than a block, of noise and of what compresses.
          const length = 1 + random.below(random.below(2) === 0 ? 16 : 3 * BLOCK_BYTES);
          const fresh = random.below(2) === 0 ? noise(length, at) : Buffer.alloc(length, at);
          fresh.copy(bytes, at, 0, Math.min(length, bytes.length - at));
        }
        return file(entry.path, bytes);
      });
      const sample = await sampleOf(image(old, OPTIONS), image(edited, OPTIONS));
      const changed = newPackedBytes(sample.old.packed, sample.targetFile);
      const { length } = sample.delta;
      assert.ok(length <= changed * 1.01 + SMALL_BYTES, `image ${index}: ${length} of ${changed}`);
      const { root } = await apply(sample.delta, sample);
      assert.ok(root.equals(sample.targetFile));
    }
  });
});

/** Bytes of the new image in runs that the old one has nowhere, whole packed blocks at most: 64 bytes at a time. */
function newPackedBytes(old: Buffer, fresh: Buffer): number {
  const step = 64;
  const known = new Set<string>();
  for (let at = 0; at + step <= old.length; at += 1)
    known.add(old.toString('latin1', at, at + step));
  let bytes = 0;
  for (let at = 0; at < fresh.length; at += step) {
    if (!known.has(fresh.toString('latin1', at, at + step))) bytes += step;
  }
  return bytes;
}
