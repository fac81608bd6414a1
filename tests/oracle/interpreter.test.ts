/**
 * The executable of the image is Node inside, and runs nothing but what was built in: here it is asked in every way
 * that Node knows to run something else.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NODE_PATH } from '@keelos/image/sys/executable.ts';
import { tool } from '@keelos/tests/disk.ts';
import { findBuiltNode } from '../../scripts/lib/node-image.mjs';

const SETUP_TIMEOUT_MS = 600_000;
/** The agent waits for PID 1, which never comes: it is ended after this. */
const RUN_MS_MAX = 8_000;
const NOBODY = 65_534;

/** One way to hand code to Node. */
interface Attempt {
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
}

const attempts = (code: string, script: string): Readonly<Record<string, Attempt>> => ({
  '-e': { args: ['-e', code] },
  '-p': { args: ['-p', code] },
  '--eval': { args: ['--eval', code] },
  '--print': { args: ['--print', code] },
  'a script': { args: [script] },
  '--require': { args: ['--require', script, '-e', '0'] },
  '--import': { args: ['--import', script, '-e', '0'] },
  'NODE_OPTIONS=--require': { args: ['-e', '0'], env: { NODE_OPTIONS: `--require=${script}` } },
  'NODE_OPTIONS=--import': { args: ['-e', '0'], env: { NODE_OPTIONS: `--import=${script}` } },
  'standard input': { args: ['-'], input: code },
});

describe('the executable keel is no interpreter', function () {
  this.timeout(60_000);
  let folder = '';
  let keel = '';

  before(async function () {
    this.timeout(SETUP_TIMEOUT_MS);
    const { root } = await findBuiltNode();
    folder = await mkdtemp(join(tmpdir(), 'keel-interpreter-'));
    await chmod(folder, 0o777); // what runs here is nobody
    await tool('unsquashfs', '-n', '-q', '-d', join(folder, 'root'), root, 'usr/bin/keel');
    await chmod(join(folder, 'root'), 0o755);
    keel = join(folder, 'root/usr/bin/keel');
  });
  after(() => rm(folder, { recursive: true, force: true }));

  /** Runs a program as nobody (as ourselves when we are not root), until it ends or is ended. */
  function runAs(name: string, program: string, { args, env, input }: Attempt): Promise<void> {
    return new Promise((done, fail) => {
      const child = spawn(program, args, {
        argv0: name,
        cwd: folder,
        env: { PATH: '/usr/bin:/bin', ...env },
        stdio: ['pipe', 'ignore', 'ignore'],
        timeout: RUN_MS_MAX,
        killSignal: 'SIGKILL',
        ...(process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}),
      });
      child.stdin.on('error', () => {}); // it may end without reading
      child.stdin.end(input ?? '');
      child.once('error', fail);
      child.once('close', () => done());
    });
  }

  /** The attempts that got their code run by `program`, started under `name`. */
  async function succeeded(name: string, program: string): Promise<string[]> {
    const marks = await mkdtemp(join(folder, 'marks-'));
    await chmod(marks, 0o777);
    const titles = Object.keys(attempts('', ''));
    const runs = titles.map(async (title, index) => {
      const code = `require("node:fs").writeFileSync(${JSON.stringify(join(marks, String(index)))}, "")`;
      const script = join(folder, `script-${index}.cjs`);
      await writeFile(script, code);
      const attempt = attempts(code, script)[title];
      assert.ok(attempt !== undefined);
      await runAs(name, program, attempt);
    });
    await Promise.all(runs);
    return (await readdir(marks)).map((index) => titles[Number(index)] ?? index).sort();
  }

  it('while Node itself runs what it is given in each of these ways', async () => {
    const node = join(folder, 'node');
    await copyFile(NODE_PATH, node);
    await chmod(node, 0o755);
    assert.ok(existsSync(keel));
    assert.deepEqual(await succeeded('node', node), Object.keys(attempts('', '')).sort());
  });

  for (const name of ['keel-agent', 'keel-verifier', 'node', 'keel']) {
    it(`started as ${name}`, async () => {
      assert.deepEqual(await succeeded(name, keel), []);
    });
  }
});
