import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { utimes, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { useProductOf } from '../lib/cache.mjs';
import { ownCacheOfEachTest } from './own-cache.ts';

const CACHE_MODULE = resolve(import.meta.dirname, '../lib/cache.mjs');

/** A process that takes product `n` and then does `after`. It has said where the product is. */
async function takenBy(n: number, after: string) {
  const script = `
    import { product } from ${JSON.stringify(CACHE_MODULE)};
    const build = async () => {};
    const { dir } = await product({ name: 'a/b', inputs: { values: { n: ${n} } }, build });
    process.stdout.write(dir);
    ${after}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  const [dir] = await once(child.stdout, 'data');
  return { child, closed, dir: String(dir) };
}

/** The directory of product `n`, taken by a process that has ended since. */
async function takenBefore(n: number): Promise<string> {
  const { closed, dir } = await takenBy(n, '');
  await closed;
  return dir;
}

describe('the products that the cache keeps', function () {
  this.timeout(60_000);
  const cache = ownCacheOfEachTest();

  it('are the three that were used last', async () => {
    const dirs = [];
    for (const n of [1, 2, 3, 4]) {
      const dir = await takenBefore(n);
      await utimes(dir, n, n);
      dirs.push(dir);
    }
    assert.deepEqual(dirs.map(existsSync), [false, true, true, true]);
    await takenBefore(2); // used again, so 3 is now the oldest
    await takenBefore(5);
    assert.deepEqual(dirs.map(existsSync), [false, true, false, true]);
  });

  it('are what a running process uses besides, and not for longer', async () => {
    const user = await takenBy(1, 'setInterval(() => {}, 1e6);');
    try {
      await utimes(user.dir, 1, 1);
      for (const n of [2, 3, 4, 5]) await takenBefore(n);
      assert.ok(existsSync(user.dir));
    } finally {
      user.child.kill('SIGKILL');
      await user.closed;
    }
    await takenBefore(6);
    assert.ok(!existsSync(user.dir));
  });

  it('are those of a file that a process uses', async () => {
    const dir = await takenBefore(1);
    await utimes(dir, 1, 1);
    await useProductOf(join(dir, 'deep/disk.img'));
    await useProductOf('/etc/hostname');
    for (const n of [2, 3, 4]) await takenBefore(n);
    assert.ok(existsSync(dir));
  });

  it('are not those of a process whose number another one has', async () => {
    const dir = await takenBefore(1);
    await utimes(dir, 1, 1);
    const lease = join(cache.root, 'a/b/.leases', `${basename(dir)}.${process.pid}.1`);
    await writeFile(lease, '');
    for (const n of [2, 3, 4]) await takenBefore(n);
    assert.ok(!existsSync(dir));
    assert.ok(!existsSync(lease));
  });
});
