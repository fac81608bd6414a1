/** keel-image bundle and sign on a tiny image; on a real one they are tested in tests/oracle/bundle.test.ts. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EMPTY_TRUST } from '@keelos/proto/bundle-writer.ts';
import { makeSmallImage } from './small-image.ts';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));

describe('keel-image bundle', function () {
  this.timeout(60_000);

  let dir = '';
  before(async function () {
    this.timeout(300_000);
    dir = await mkdtemp(join(tmpdir(), 'keel-bundle-'));
    await makeSmallImage(join(dir, 'image'), { version: '1.2.3', trust: EMPTY_TRUST });
  });
  after(() => rm(dir, { recursive: true, force: true }));

  const run = (...args: string[]) =>
    spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8', cwd: dir });

  it('says that nodes with an image that trusts nobody are never updated again', () => {
    const { status, stderr } = run('bundle', 'image', '--out', 'dist');
    assert.equal(status, 0, stderr);
    assert.match(stderr, /^keel-image: this image trusts no key: .*\nhint: .*--trust\.$/m);
  });

  it('makes a bundle that nobody has signed, for others to sign, and leaves nothing else behind', async () => {
    assert.equal(run('keys', 'make', '--dir', 'keys').status, 0);
    assert.deepEqual(await readdir(join(dir, 'dist')), ['keelos-1.2.3-x86_64.squashfs']);
    const bundle = 'dist/keelos-1.2.3-x86_64.squashfs';
    assert.match(run('verify', bundle).stdout, /not checked: give --trust \(0 signatures\)/);
    const signed = run('sign', bundle, '--key', 'keys/release.key', '--json');
    const [id] = JSON.parse(signed.stdout).keyIds;
    assert.ok(run('keys', 'show', 'keys/release.pub').stdout.startsWith(id));
    assert.deepEqual(await readdir(join(dir, 'dist')), ['keelos-1.2.3-x86_64.squashfs']);
    const out = ['--key', 'keys/release.pub', '--out', 'trust.json'];
    assert.equal(run('keys', 'trust', ...out).status, 0);
    assert.match(run('verify', bundle, '--trust', 'trust.json').stdout, /^signed by +release$/m);
  });

  it('changes nothing when it fails', async () => {
    const path = join(dir, 'dist/keelos-1.2.3-x86_64.squashfs');
    const before = await readFile(path);
    for (const key of ['keys/none.key', 'keys/release.pub', 'image/root.squashfs']) {
      const { status, stderr } = run('sign', path, '--key', key);
      assert.notEqual(status, 0, key);
      assert.match(stderr, /^keel-image: /);
    }
    assert.notEqual(run('bundle', 'image', '--key', 'keys/none.key', '--out', 'dist').status, 0);
    assert.ok((await readFile(path)).equals(before));
  });

  it('has help with examples for each command, and exit code 2 for a wrong command line', () => {
    for (const command of [
      ['bundle'],
      ['sign'],
      ['keys'],
      ...['make', 'show', 'trust', 'rotate'].map((name) => ['keys', name]),
    ]) {
      const { status, stdout } = run(...command, '--help');
      assert.equal(status, 0, command.join(' '));
      if (command.join() !== 'keys') assert.match(stdout, /Examples:\n {2}\$ keel-image/);
    }
    for (const wrong of [['bundle'], ['sign', 'x'], ['keys', 'make'], ['keys', 'nothing']]) {
      assert.equal(run(...wrong).status, 2, wrong.join(' '));
    }
  });
});
