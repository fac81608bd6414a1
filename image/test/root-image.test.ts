/** `keel-image list-files`, `inspect`, `verify` and `extract` on a SquashFS of mksquashfs. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createCipheriv } from 'node:crypto';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { modeText } from '@keelos/image/core/mode-text.ts';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const TIMEOUT_MS = 60_000;

function run(command: string, ...args: readonly string[]) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
    env: { ...process.env, TZ: 'UTC', LC_ALL: 'C.UTF-8', SOURCE_DATE_EPOCH: undefined },
  });
  if (error !== undefined) throw error;
  return { status, stdout, stderr };
}

const keelImage = (...args: readonly string[]) => run(process.execPath, MAIN, ...args);

describe('keel-image on a root file system', function () {
  this.timeout(TIMEOUT_MS);
  const folder = mkdtempSync(join(tmpdir(), 'keel-root-'));
  const tree = join(folder, 'tree');
  const image = join(folder, 'root.squashfs');
  after(() => rmSync(folder, { recursive: true }));

  before(() => {
    mkdirSync(join(tree, 'etc/deep/er'), { recursive: true });
    writeFileSync(join(tree, 'etc/hosts'), 'here\n');
    const noise = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16));
    writeFileSync(join(tree, 'etc/deep/program'), noise.update(Buffer.alloc(300_000)));
    chmodSync(join(tree, 'etc/deep/program'), 0o750);
    linkSync(join(tree, 'etc/hosts'), join(tree, 'etc/deep/er/hosts'));
    symlinkSync('../hosts', join(tree, 'etc/deep/link'));
    for (const path of ['etc/deep/er', 'etc/deep', 'etc', 'etc/hosts']) {
      utimesSync(join(tree, path), 1_600_000_000, 1_600_000_000);
    }
    chmodSync(join(tree, 'etc/deep/er'), 0o555);
    const options = ['-comp', 'zstd', '-quiet', '-no-progress', '-p', 'null c 666 0 0 1 3'];
    assert.equal(run('mksquashfs', tree, image, ...options).status, 0);
  });

  it('lists files as unsquashfs does', () => {
    const { status, stdout } = keelImage('list-files', image, '-o', 'json');
    assert.equal(status, 0);
    const { files } = JSON.parse(stdout);
    const paths = files.map(({ mode, path }: Record<string, string>) => `${mode} ${path}`);
    const lines = run('unsquashfs', '-lln', '-dest', '', image).stdout.split('\n');
    const expected = lines
      .filter((line) => /^[-dlc]/.test(line) && line.includes('/', 20))
      .map((line) => `${line.slice(0, 10)} ${/ (\/.*?)(?: -> .*)?$/.exec(line)?.[1]}`);
    assert.deepEqual(paths, expected);
    const program = files.find(({ path }: { path: string }) => path === '/etc/deep/program');
    assert.deepEqual(program, {
      mode: '-rwxr-x---',
      path: '/etc/deep/program',
      sizeBytes: 300_000,
      target: null,
      source: null,
    });
    const table = keelImage('list-files', image).stdout.split('\n');
    assert.ok(table.some((line) => / \/etc\/deep\/link -> \.\.\/hosts$/.test(line)));
    assert.equal(table.length - 1, files.length);
  });

  it('inspects the superblock', () => {
    const facts = JSON.parse(keelImage('inspect', image, '-o', 'json').stdout);
    assert.equal(facts.kind, 'squashfs');
    assert.equal(facts.blockBytes, 131_072);
    assert.equal(facts.inodeCount, 8);
  });

  it('verifies, and refuses damage with its code and exit code 5', () => {
    const { status, stdout } = keelImage('verify', image, '-o', 'json');
    assert.equal(status, 0);
    const { ok, files, directories, symlinks, others, bytes } = JSON.parse(stdout);
    assert.deepEqual(
      { ok, files, directories, symlinks, others, bytes },
      { ok: true, files: 2, directories: 4, symlinks: 1, others: 1, bytes: 300_005 },
    );
    const damaged = readFileSync(image);
    damaged[22] = 99;
    const path = join(folder, 'damaged.squashfs');
    writeFileSync(path, damaged);
    for (const command of ['verify', 'list-files', 'inspect']) {
      const refused = keelImage(command, path);
      assert.equal(refused.status, 5, command);
      assert.match(refused.stderr, /\[squashfs-block-log\]/);
    }
    assert.equal(keelImage('verify', MAIN).status, 5);
    assert.equal(keelImage('verify').status, 2);
  });

  it('checks the bytes against a root hash of veritysetup, and names the file that is damaged', () => {
    const hashed = join(folder, 'hashed.squashfs');
    const data = readFileSync(image);
    writeFileSync(hashed, data);
    const salt = 'ab'.repeat(32);
    const place = ['--no-superblock', `--hash-offset=${data.length}`, `--salt=${salt}`];
    const made = run('veritysetup', 'format', hashed, hashed, ...place);
    const rootHash = /Root hash:\s+([0-9a-f]{64})/.exec(made.stdout)?.[1] ?? '';
    const check = (...more: readonly string[]) => keelImage('verify', hashed, ...more);
    const taken = check('--root-hash', rootHash, '--salt', salt);
    assert.equal(taken.status, 0, taken.stderr);
    assert.match(taken.stdout, /as the root hash says/);
    assert.equal(check('--root-hash', rootHash).status, 11);
    assert.equal(check('--root-hash', 'abc').status, 2);
    const damaged = readFileSync(hashed);
    damaged[10_000] = (damaged[10_000] ?? 0) ^ 1;
    writeFileSync(hashed, damaged);
    const refused = check('--root-hash', rootHash, '--salt', salt);
    assert.equal(refused.status, 11);
    assert.match(refused.stderr, /block 2 \(\/etc\/deep\/program\): not what/);
  });

  it('extracts what unsquashfs extracts, and says what it leaves out', () => {
    const ours = join(folder, 'ours');
    const theirs = join(folder, 'theirs');
    const { status, stdout, stderr } = keelImage('extract', image, '--to', ours, '-o', 'json');
    assert.equal(status, 0);
    const { files, directories, symlinks, skipped } = JSON.parse(stdout);
    assert.deepEqual(
      { files, directories, symlinks, skipped },
      { files: 2, directories: 4, symlinks: 1, skipped: ['/null'] },
    );
    assert.match(stderr, /left out \/null/);
    assert.equal(run('unsquashfs', '-quiet', '-no-progress', '-d', theirs, image).status, 0);
    rmSync(join(theirs, 'null'), { force: true });
    assert.deepEqual(run('diff', '-r', '--no-dereference', ours, theirs).stdout, '');
    // Modes, links and times (but for the root's, from which the device was removed).
    const show = (root: string) =>
      run('find', root, '-mindepth', '1', '-printf', '%P %m %n %T@ %l\\n')
        .stdout.split('\n')
        .sort();
    assert.deepEqual(show(ours), show(theirs));
  });

  it('extracts a part, writes over nothing, and knows what is not there', () => {
    const part = join(folder, 'part');
    assert.equal(keelImage('extract', image, '/etc/deep/', '--to', part).status, 0);
    assert.equal(readFileSync(join(part, 'er/hosts'), 'utf8'), 'here\n');
    const file = join(folder, 'file');
    assert.equal(keelImage('extract', image, 'etc/hosts', '--to', file).status, 0);
    assert.equal(readFileSync(file, 'utf8'), 'here\n');
    assert.equal(keelImage('extract', image, '--to', part).status, 1);
    assert.equal(keelImage('extract', image, '/etc/hosts', '--to', file).status, 1);
    assert.equal(keelImage('extract', image, '/etc/nothing', '--to', part).status, 6);
    assert.equal(keelImage('extract', image).status, 2);
    for (const command of ['verify', 'extract', 'list-files', 'inspect']) {
      assert.match(keelImage(command, '--help').stdout, /Examples:/);
    }
  });

  it('shows modes as ls does', () => {
    const path = join(folder, 'modes');
    writeFileSync(path, '');
    for (const mode of [0, 0o7777, 0o4644, 0o2755, 0o1777, 0o1000, 0o421, 0o6111]) {
      chmodSync(path, mode);
      assert.equal(modeText('file', mode), run('ls', '-l', path).stdout.slice(0, 10));
    }
  });
});
