import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';

const CHECKOUT = resolve(import.meta.dirname, '../..');
const MODULE = resolve(import.meta.dirname, '../lib/pinned-node.mjs');

describe('handing over to the pinned Node', function () {
  this.timeout(20_000);
  let folder = '';

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keel-pinned-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  /** A program that hands over to a script with this text. */
  const starter = async (text: string) => {
    const script = join(folder, 'script.mjs');
    await writeFile(script, text);
    const path = JSON.stringify(relative(CHECKOUT, script));
    const code = `import { runOnPinnedNode } from ${JSON.stringify(MODULE)};
      process.exitCode = await runOnPinnedNode(${path}, ['a b'], { env: { FROM: 'starter' } });`;
    return ['--input-type=module', '--eval', code];
  };

  it('passes arguments, environment, output and exit code', async () => {
    const text = 'console.log(process.argv[2], process.env.FROM); process.exitCode = 7;';
    const ended = spawnSync(process.execPath, await starter(text), { encoding: 'utf8' });
    assert.deepEqual([ended.status, ended.stdout], [7, 'a b starter\n'], ended.stderr);
  });

  for (const [signal, code] of [
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    it(`passes ${signal} on, and ends like its script`, async () => {
      const args = await starter('console.log("up"); setInterval(() => {}, 1e6);');
      const program = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      const ended = once(program, 'exit');
      await once(program.stdout, 'data');
      program.kill(signal);
      assert.deepEqual(await ended, [code, null]);
    });
  }

  for (const path of ['image/bin/keel-image.mjs', 'kernel/bin/keel-kernel.mjs']) {
    it(`is what ${path} does`, () => {
      const run = (...args: string[]) =>
        spawnSync(process.execPath, [join(CHECKOUT, path), ...args], { encoding: 'utf8' });
      const help = run('--help');
      assert.equal(help.status, 0, help.stderr);
      assert.match(help.stdout, /keel-(image|kernel)/);
      assert.equal(run('no-such-command').status, 2);
    });
  }
});
