import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { hashInputs, product } from '../lib/cache.mjs';
import { ownCacheOfEachTest } from './own-cache.ts';

const CACHE_MODULE = resolve(import.meta.dirname, '../lib/cache.mjs');

describe('cache', () => {
  const cache = ownCacheOfEachTest();

  const make = (n: number, build = async (dir: string) => writeFile(join(dir, 'out'), `${n}`)) =>
    product({ name: 'a/b', inputs: { values: { n } }, build });

  /** What is in the product's folder, without lock and leases. */
  const entries = async () =>
    (await readdir(join(cache.root, 'a/b'))).filter((name) => !['.lock', '.leases'].includes(name));

  it('builds once, then takes it from the cache', async () => {
    const first = await make(1);
    assert.equal(first.built, true);
    assert.equal(await readFile(join(first.dir, 'out'), 'utf8'), '1');
    const second = await make(1, async () => assert.fail('built again'));
    assert.deepEqual(second, { dir: first.dir, built: false });
  });

  it('keeps nothing of a build that failed, and builds the next time', async () => {
    const failing = make(1, async (dir) => {
      await writeFile(join(dir, 'half'), 'x');
      throw new Error('no');
    });
    await assert.rejects(failing, /^Error: no$/);
    assert.deepEqual(await entries(), []);
    assert.equal((await make(1)).built, true);
  });

  it('never builds in a folder that an earlier builder may still write to', async () => {
    const dirs: string[] = [];
    for (const attempt of [1, 2]) {
      const failing = make(1, async (dir) => {
        dirs.push(dir);
        assert.deepEqual(await entries(), [basename(dir)], `attempt ${attempt}`);
        await mkdir(join(cache.root, 'a/b/.building-left-by-the-dead'));
        throw new Error('no');
      });
      await assert.rejects(failing, /^Error: no$/);
    }
    assert.equal(new Set(dirs).size, 2);
  });

  it('builds once when two want it at the same time', async () => {
    let builds = 0;
    const build = async () => {
      builds += 1;
    };
    const both = await Promise.all([make(1, build), make(1, build)]);
    assert.equal(builds, 1);
    assert.deepEqual(both.map(({ built }) => built).sort(), [false, true]);
  });

  it('goes on after a build that was killed: no lock is left, its leftovers go', async () => {
    const script = `
      import { writeFileSync } from 'node:fs';
      import { product } from ${JSON.stringify(CACHE_MODULE)};
      await product({ name: 'a/b', inputs: { values: { n: 1 } }, build: async (dir) => {
        writeFileSync(dir + '/half', 'x');
        process.stdout.write('building');
        setInterval(() => {}, 1000);
        await new Promise(() => {});
      } });`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((done) => child.stdout.once('data', done));
    assert.deepEqual((await entries()).length, 1);
    const closed = new Promise((done) => child.once('close', done));
    child.kill('SIGKILL');
    await closed;
    const { dir } = await make(1);
    assert.deepEqual(await readdir(dir), ['out']);
    assert.equal((await entries()).length, 1);
  });
});

describe('hashInputs', () => {
  it('does not depend on the order of files or of keys, nor on the folder outside the checkout', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'keel-hash-'));
    try {
      for (const part of ['x', 'y']) {
        await mkdir(join(folder, part));
        await writeFile(join(folder, part, 'one'), '1');
        await writeFile(join(folder, part, 'two'), '2');
      }
      const hash = (files: string[], values: Record<string, unknown>) =>
        hashInputs({ files: files.map((file) => join(folder, file)), values });
      const wanted = await hash(['x/one', 'x/two'], { a: 1, b: { c: [1, 2], d: null } });
      assert.equal(await hash(['y/two', 'y/one'], { b: { d: null, c: [1, 2] }, a: 1 }), wanted);

      const others = [
        await hash(['x/one'], { a: 1, b: { c: [1, 2], d: null } }),
        await hash(['x/one', 'x/two'], { a: 1, b: { c: [2, 1], d: null } }),
        await hash(['x/one', 'x/two'], { a: '1', b: { c: [1, 2], d: null } }),
      ];
      await writeFile(join(folder, 'x/two'), '3');
      others.push(await hash(['x/one', 'x/two'], { a: 1, b: { c: [1, 2], d: null } }));
      assert.equal(new Set([wanted, ...others]).size, 5);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
