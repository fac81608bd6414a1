/**
 * osctl as one file: built as a person builds it, and started where there is neither a checkout nor Node.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { runProgram } from '@keelos/tests/program.ts';

const CHECKOUT = resolve(import.meta.dirname, '..');
const BUILD_TIMEOUT_MS = 180_000;
const NOWHERE = '/nonexistent';

describe('the one-file osctl', function () {
  this.timeout(30_000);
  let folder = '';

  before(async function () {
    this.timeout(BUILD_TIMEOUT_MS);
    folder = await mkdtemp(join(tmpdir(), 'keel-one-file-'));
    const args = ['run', '--silent', 'build:osctl', '--', '--out', folder];
    const ended = await runProgram('npm', args, { cwd: CHECKOUT, timeoutMs: BUILD_TIMEOUT_MS });
    assert.equal(ended.exitCode, 0, ended.stderr);
    assert.match(ended.stdout, /osctl \d+\.\d+\.\d+, \d+\.\d MiB/);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  /** Starts it with an environment that leads to no other program. */
  const alone = (args: readonly string[], env: readonly string[] = []) => {
    const bare = ['-i', `PATH=${NOWHERE}`, `HOME=${NOWHERE}`, ...env];
    return runProgram('env', [...bare, join(folder, 'osctl'), ...args], { cwd: '/' });
  };

  it('is all that the build leaves', async () => {
    assert.deepEqual(await readdir(folder), ['osctl']);
  });

  it('says which release it is', async () => {
    const ended = await alone(['version', '--client', '-o', 'json']);
    assert.equal(ended.exitCode, 0, ended.stderr);
    const { version } = JSON.parse(await readFile(join(CHECKOUT, 'package.json'), 'utf8'));
    assert.equal(JSON.parse(ended.stdout).client.version, version);
  });

  it('shows its help', async () => {
    const { exitCode, stdout, stderr } = await alone(['--help']);
    assert.deepEqual({ exitCode, stderr }, { exitCode: 0, stderr: '' });
    assert.match(stdout, /^Usage: osctl/);
    assert.match(stdout, /init.*config.*health/s);
  });

  it('refuses a command that it does not have, and finds no context', async () => {
    const unknown = await alone(['helth']);
    assert.equal(unknown.exitCode, 2);
    assert.match(unknown.stderr, /Did you mean health/);
    const health = await alone(['health']);
    assert.equal(health.exitCode, 2, health.stderr);
    assert.match(health.stderr, /context/);
  });

  it('takes no orders that are meant for Node', async () => {
    const { exitCode, stderr } = await alone(
      ['version', '--client'],
      [`NODE_OPTIONS=--require=${NOWHERE}/x.cjs`],
    );
    assert.equal(exitCode, 0, stderr);
  });
});
