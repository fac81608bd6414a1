/** An empty cache of its own for each test of a suite. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Call in a suite: its tests see the empty folder `root` as the cache, and it is gone after each. */
export function ownCacheOfEachTest(): { readonly root: string } {
  const cache = { root: '' };
  let before: string | undefined;

  beforeEach(async () => {
    cache.root = await mkdtemp(join(tmpdir(), 'keel-cache-'));
    before = process.env.KEEL_CACHE;
    process.env.KEEL_CACHE = cache.root;
  });

  afterEach(async () => {
    if (before === undefined) delete process.env.KEEL_CACHE;
    else process.env.KEEL_CACHE = before;
    await rm(cache.root, { recursive: true });
  });
  return cache;
}
