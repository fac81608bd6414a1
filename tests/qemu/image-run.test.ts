/**
 * `keel-image run`: a node with its console on the terminal, on an image that stays as it is.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAnnouncement } from '@keelos/proto/console.ts';
import { runProgram } from '@keelos/tests/program.ts';
import { CHECKOUT, keepLogs, TestNode } from '@keelos/tests/test-node.ts';
import { guardFolder } from '../../scripts/lib/left-behind.mjs';
import { findBuiltNode } from '../../scripts/lib/node-image.mjs';

const PROGRAM = join(CHECKOUT, 'image/bin/keel-image.mjs');
const RUN_TIMEOUT_MS = 2 * TestNode.bootTimeoutMs;

describe('keel-image run', function () {
  this.timeout(RUN_TIMEOUT_MS);
  let folder: string;
  let guard: ReturnType<typeof guardFolder>;
  let disk: string;

  before(async () => {
    ({ disk } = await findBuiltNode());
  });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keel-image-run-'));
    guard = guardFolder(folder);
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') {
      for (const name of await readdir(folder)) {
        await keepLogs(join(folder, name), this.currentTest.fullTitle());
      }
    }
    await rm(folder, { recursive: true, force: true });
    guard.close();
  });

  const facts = async () => {
    const { size, mtimeMs, ino } = await stat(disk);
    return { size, mtimeMs, ino };
  };

  it('--once-healthy shows the console, powers the node off, and leaves nothing', async () => {
    const before = await facts();
    const ended = await runProgram(process.execPath, [PROGRAM, 'run', disk, '--once-healthy'], {
      env: { TMPDIR: folder },
      timeoutMs: RUN_TIMEOUT_MS,
    });
    assert.equal(ended.exitCode, 0, ended.stderr);
    assert.match(ended.stderr, /keel-image: API at 127\.0\.0\.1:\d+ \((kvm|tcg)\)/);
    assert.ok(parseAnnouncement(ended.stdout) !== undefined, ended.stdout.slice(-2000));
    assert.match(ended.stdout, /reboot: Power down/);
    assert.deepEqual(await facts(), before);
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.startsWith('keel-run-')),
      [],
    );
  });

  it('--dir keeps what the node wrote; SIGTERM presses the power button', async () => {
    const before = await facts();
    const dir = join(folder, 'machine');
    await mkdir(join(folder, 'tmp'));
    const program = spawn(process.execPath, [PROGRAM, 'run', disk, '--dir', dir], {
      env: { ...process.env, TMPDIR: join(folder, 'tmp') },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(program, 'exit');
    // Then the assertion below tells what the console showed, which a time-out of the test would not.
    const tooLate = setTimeout(() => program.kill('SIGTERM'), TestNode.bootTimeoutMs);
    let text = '';
    for await (const chunk of program.stdout.setEncoding('utf8')) {
      text += chunk;
      if (parseAnnouncement(text) === undefined || program.killed) continue;
      program.kill('SIGTERM');
    }
    clearTimeout(tooLate);
    assert.ok(parseAnnouncement(text) !== undefined, text.slice(-2000));
    assert.deepEqual(await ended, [0, null]);
    assert.match(text, /reboot: Power down/);
    for (const name of ['disk.qcow2', 'console.log', 'firmware-vars.fd']) {
      assert.ok(existsSync(join(dir, name)), name);
    }
    assert.deepEqual(await facts(), before);
  });
});
