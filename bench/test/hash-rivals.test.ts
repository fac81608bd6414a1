import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { leavesOf } from '../rivals/hash-tree.ts';
import { nodeCrypto } from '../rivals/sha256.ts';
import { sha256 } from '../sha256.ts';
import { verity } from '../verity.ts';

describe('the subjects sha256 and verity', () => {
  let folder: string;
  let input: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'keel-bench-test-'));
    input = join(folder, 'input');
    // Not whole blocks: verity leaves the rest alone.
    writeFileSync(input, randomBytes(300 * 4096 + 100));
  });
  after(() => rmSync(folder, { recursive: true }));

  it('find the same as every rival, and compare with each', async () => {
    const figures = await sha256({ runs: 1, input });
    const rivals = ['node:crypto', 'hash-wasm', '@noble/hashes'];
    assert.deepEqual(
      figures.map(({ rival }) => rival),
      rivals,
    );
    for (const each of await verity({ runs: 1, input })) {
      assert.equal(each.unit, 'MB/s');
      assert.ok(each.value > 0 && (each.rivalValue ?? 0) > 0 && (each.ratio ?? 0) > 0);
    }
  }).timeout(60_000);

  it('refuse a file that is not there, and one without a block', async () => {
    await assert.rejects(sha256({ runs: 1, input: join(folder, 'none') }), { code: 'ENOENT' });
    await assert.rejects(sha256({ runs: 1, input: folder }), /no file/);
    writeFileSync(join(folder, 'small'), randomBytes(4095));
    await assert.rejects(verity({ runs: 1, input: join(folder, 'small') }), /not one block/);
  });

  it('do not go on when a file ends under them', () => {
    const fd = openSync(input, 'r');
    try {
      const blocks = { fd, dataBlocks: 301, salt: randomBytes(3) };
      assert.throws(() => leavesOf(blocks, nodeCrypto()), /Cannot read/);
    } finally {
      closeSync(fd);
    }
  });
});
