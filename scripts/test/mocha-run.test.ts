import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endMachines, runCommand } from '../lib/mocha-run.mjs';

describe('a command of the test run', function () {
  this.timeout(20_000);

  it('may clean up when its time is over', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'keel-late-'));
    try {
      const script = `trap 'touch cleaned; kill $!; exit 0' TERM; sleep 60 & wait`;
      const late = runCommand(['sh', '-c', script], folder, { timeoutMs: 300 });
      await assert.rejects(late, /ended after its limit of 300 ms/);
      assert.ok(existsSync(join(folder, 'cleaned')));
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('is killed when it does not end then', async () => {
    const command = [
      process.execPath,
      '-e',
      'process.on("SIGTERM", () => {}); setInterval(() => {}, 1e6)',
    ];
    const late = runCommand(command, '/', { timeoutMs: 500, graceMs: 100 });
    await assert.rejects(late, /ended after its limit of 500 ms/);
  });
});

describe('machines left by a test run', function () {
  this.timeout(20_000);

  it('are ended by the folder of the run, and no others', async () => {
    const folders = [
      await mkdtemp(join(tmpdir(), 'keel-run-')),
      await mkdtemp(join(tmpdir(), 'keel-run-')),
    ];
    const start = (name: string, folder: string) =>
      spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6)', `unix:${folder}/vm/qmp`], {
        argv0: name,
        stdio: 'ignore',
      });
    const [ours = '', theirs = ''] = folders;
    const machine = start('qemu-system-x86_64', ours);
    const bystanders = [start('qemu-system-x86_64', theirs), start('editor', ours)];
    try {
      await Promise.all([machine, ...bystanders].map((child) => once(child, 'spawn')));
      const ended = once(machine, 'close');
      assert.equal(await endMachines(ours), 1);
      assert.deepEqual(await ended, [null, 'SIGKILL']);
      assert.deepEqual(
        bystanders.map(({ exitCode, signalCode }) => exitCode ?? signalCode),
        [null, null],
      );
    } finally {
      for (const child of [machine, ...bystanders]) child.kill('SIGKILL');
      for (const folder of folders) await rm(folder, { recursive: true });
    }
  });
});
