import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { exec } from '../lib/exec.mjs';

const CHECKOUT = resolve(import.meta.dirname, '../..');
const RUN_TIMEOUT_MS = 120_000;

describe('npm test', function () {
  this.timeout(RUN_TIMEOUT_MS);

  const npmTest = (...args: string[]) =>
    exec('npm', ['test', '--silent', '--', ...args], {
      cwd: CHECKOUT,
      anyExit: true,
      timeoutMs: RUN_TIMEOUT_MS,
    });

  it('runs what --package and --grep leave, counts it, and exits with 0', async () => {
    const args = ['--no-qemu', '--package', 'kernel', '--grep', 'unknown|survive'];
    const { exitCode, stdout, stderr } = await npmTest(...args);
    assert.equal(exitCode, 0, stdout + stderr);
    const [, tests = ''] = /unit tests of kernel: (\d+) passed, 0 failed/.exec(stdout) ?? [];
    assert.ok(Number(tests) > 0, stdout);
    // One more for what prepares.
    assert.match(stdout, new RegExp(`\n${Number(tests) + 1} passed, 0 failed\n$`));
    assert.doesNotMatch(stdout, /unit tests of proto/);
  });

  it('does not take it for a success when nothing matches', async () => {
    const { exitCode, stdout } = await npmTest('--package', 'kernel', '--grep', 'no such title');
    assert.equal(exitCode, 1);
    assert.match(stdout, /Nothing ran/);
  });

  it('refuses a command line that is wrong with 2', async () => {
    assert.equal((await npmTest('--no-such-option')).exitCode, 2);
    assert.equal((await npmTest('--no-qemu', '--only-qemu')).exitCode, 2);
  });
});
