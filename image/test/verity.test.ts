import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findCommand } from '../../scripts/lib/apt.mjs';
import { exec } from '../../scripts/lib/exec.mjs';
import { appendHashTree } from '../src/sys/verity.ts';

describe('the hash tree of a root', () => {
  it('is accepted by veritysetup with what the kernel is told of it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'keel-image-verity-'));
    try {
      const file = join(folder, 'root');
      for (const blocks of [1, 2, 200]) {
        const { image, verity } = await appendHashTree(randomBytes(blocks * 4096));
        await writeFile(file, image);
        await exec(findCommand('veritysetup') ?? 'veritysetup', [
          ...['verify', '--no-superblock', '--format=1', '--hash=sha256'],
          ...[`--data-blocks=${verity.dataBytes / 4096}`, `--hash-offset=${verity.dataBytes}`],
          ...[`--salt=${verity.salt}`, file, file, verity.rootHash],
        ]);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('has a salt that follows from the data', async () => {
    const data = randomBytes(8192);
    const [one, two] = [await appendHashTree(data), await appendHashTree(data)];
    assert.deepEqual(one, two);
    const other = await appendHashTree(Buffer.concat([data, data]));
    assert.notEqual(one.verity.salt, other.verity.salt);
  });

  it('stands on whole blocks only', async () => {
    await assert.rejects(appendHashTree(Buffer.alloc(5000)), RangeError);
    await assert.rejects(appendHashTree(Buffer.alloc(0)), RangeError);
  });
});
