/** Another checkout of the same sources, in which something may be changed, and what is built in it. */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheRoot } from '../../scripts/lib/cache.mjs';
import { testKeys } from '../../scripts/lib/test-keys.mjs';
import { tool } from './disk.ts';
import { type Ended, runProgram } from './program.ts';
import { CHECKOUT } from './test-node.ts';

/** A build with its compression, beside two emulated machines. */
export const BUILD_TIMEOUT_MS = 600_000;
/** History and what runs here are not part of a checkout's sources. */
const NOT_COPIED = new Set(['.git', '.vm']);

/** A copy whose files are hard links: what is changed has to be written anew. */
export class CheckoutCopy {
  readonly dir: string;
  readonly #cache: string;

  private constructor(dir: string, cache: string) {
    this.dir = dir;
    this.#cache = cache;
  }

  /** Makes one below `folder`, which is on the same file system as the checkout. It shares all of the cache but images. */
  static async make(folder: string): Promise<CheckoutCopy> {
    // Links between packages inside stay relative and lead to the copy.
    const copy = new CheckoutCopy(join(folder, 'elsewhere', 'deeper'), join(folder, 'cache'));
    await mkdir(copy.dir, { recursive: true });
    for (const name of await readdir(CHECKOUT)) {
      if (!NOT_COPIED.has(name)) {
        await tool('cp', '--archive', '--link', join(CHECKOUT, name), copy.dir);
      }
    }
    await mkdir(copy.#cache);
    for (const name of await readdir(cacheRoot())) {
      // The kernel comes from the first build: another one takes half an hour. That two give the same bytes is compared
      // by hand (`npx keel-kernel build` with two empty caches), by no test.
      if (name !== 'image') await symlink(join(cacheRoot(), name), join(copy.#cache, name));
    }
    return copy;
  }

  /** Replaces a text that stands once in a file. */
  async edit(file: string, from: string, to: string): Promise<void> {
    const path = join(this.dir, file);
    const parts = (await readFile(path, 'utf8')).split(from);
    assert.equal(parts.length, 2, `"${from}" stands ${parts.length - 1} times in ${file}`);
    const scratch = `${path}.new`;
    await writeFile(scratch, parts.join(to));
    await rename(scratch, path);
  }

  /** Builds an image that trusts the test keys into `out`. */
  async build(
    out: string,
    of: { readonly version: string; readonly env?: Readonly<Record<string, string>> },
  ): Promise<Ended> {
    const { trustFile, channelTrustFile } = await testKeys();
    return runProgram(
      join(this.dir, 'node_modules/.bin/node'),
      [
        ...[join(this.dir, 'image/src/main.ts'), 'build', '--version', of.version, '--out', out],
        ...['--trust', trustFile, '--channel-trust', channelTrustFile],
      ],
      {
        cwd: this.dir,
        timeoutMs: BUILD_TIMEOUT_MS,
        env: { KEEL_CACHE: this.#cache, ...of.env },
      },
    );
  }
}
