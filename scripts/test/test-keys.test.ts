/** Keys of test nodes: made once in a cache, for their owner alone, and right. */
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { readTrustFile } from '@keelos/as-core/bundle.ts';
import { rawPublicKey } from '@keelos/proto/bundle-signature.ts';
import { keyIdOf } from '@keelos/proto/bundle-writer.ts';
import { testKeys } from '../lib/test-keys.mjs';
import { ownCacheOfEachTest } from './own-cache.ts';

const mode = async (path: string) => (await stat(path)).mode & 0o777;

describe('keys of test nodes', () => {
  const cache = ownCacheOfEachTest();

  it('are made in the cache, private, and trusted by the trust file', async () => {
    const { trustFile, keyFile, secondKeyFile } = await testKeys();
    const { keys, threshold, epoch } = await readTrustFile(await readFile(trustFile));
    assert.deepEqual([threshold, epoch], [1, 1]);
    const ids = [];
    for (const file of [keyFile, secondKeyFile]) {
      assert.ok(file.startsWith(cache.root), file);
      assert.equal(await mode(file), 0o600);
      ids.push(keyIdOf(rawPublicKey(createPrivateKey(await readFile(file)))));
    }
    assert.deepEqual(keys.map(({ id }) => id).toSorted(), ids.toSorted());
    assert.equal(await mode(dirname(keyFile)), 0o700);
  });

  it('are the same for everybody who asks at the same time, and after', async () => {
    const asked = await Promise.all(Array.from({ length: 4 }, testKeys));
    const [{ keyFile }] = asked as [Awaited<ReturnType<typeof testKeys>>];
    const key = await readFile(keyFile, 'utf8');
    for (const found of [...asked, await testKeys()]) {
      assert.equal(await readFile(found.keyFile, 'utf8'), key);
    }
  });

  it('are made anew when making them was interrupted', async () => {
    const { trustFile, keyFile } = await testKeys();
    await rm(trustFile);
    await writeFile(keyFile, 'half');
    await testKeys();
    createPrivateKey(await readFile(keyFile));
    assert.equal((await readdir(join(cache.root, 'test-keys'))).length, 8);
  });
});
