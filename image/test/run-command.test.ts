import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));

/** What it does with a node is for tests/qemu. */
describe('keel-image run, without a node', function () {
  this.timeout(20_000);
  let folder = '';

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'keel-run-command-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const run = (...args: string[]) =>
    spawnSync(process.execPath, [MAIN, 'run', ...args], {
      encoding: 'utf8',
      env: { ...process.env, TMPDIR: folder, KEEL_ACCEL: 'tcg' },
    });

  it('refuses what is no right command line, with exit code 2', () => {
    const table: [string[], RegExp][] = [
      [[], /missing required argument 'disk'/],
      [['disk.img', '--memory', '1'], /Expected a number from 256 to/],
      [['disk.img', '--port', '70000'], /Expected a number from 1 to 65535/],
      [['disk.img', '--cpus', 'two'], /Expected a number from 1 to 64/],
      [['disk.img', '--once'], /unknown option '--once'/],
      [['disk.img', 'other.img'], /too many arguments/],
    ];
    for (const [args, says] of table) {
      const { status, stderr } = run(...args);
      assert.equal(status, 2, `${args.join(' ')}: ${stderr}`);
      assert.match(stderr, says);
    }
  });

  it('says that there is no such disk, with exit code 1, and leaves nothing', () => {
    const { status, stdout, stderr } = run(join(folder, 'no-disk.img'));
    assert.equal(status, 1);
    assert.equal(stdout, '');
    assert.match(stderr, /^keel-image: .*no-disk\.img/);
    assert.deepEqual(readdirSync(folder), []);
  });
});
