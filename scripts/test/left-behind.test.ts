import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { endPrograms } from '../lib/left-behind.mjs';

const MODULE = resolve(import.meta.dirname, '../lib/left-behind.mjs');
const WAIT_MS = 10_000;

describe('what a run leaves behind', function () {
  this.timeout(20_000);
  let folder = '';
  let other = '';
  let children: ChildProcess[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keel-run-'));
    other = await mkdtemp(join(tmpdir(), 'keel-run-'));
    children = [];
  });
  afterEach(async () => {
    for (const child of children) child.kill('SIGKILL');
    for (const each of [folder, other]) await rm(each, { recursive: true, force: true });
  });

  /** A long-running program with this in its environment; its end. */
  async function start(env: Record<string, string>) {
    const child = spawn('sleep', ['60'], { env, stdio: 'ignore' });
    children.push(child);
    const ended = once(child, 'exit');
    await once(child, 'spawn');
    return { child, ended };
  }

  const isRunning = ({ child }: { child: ChildProcess }) =>
    child.exitCode === null && child.signalCode === null;

  it('is ended by the folder of the run, and nothing else is', async () => {
    const ours = [await start({ KEEL_VM_DIR: `${folder}/vm` }), await start({ TMPDIR: folder })];
    const bystanders = [
      await start({ TMPDIR: other }),
      await start({ TMPDIR: `${folder}-2` }),
      await start({ NOTE: `see ${folder}` }),
    ];
    assert.equal(await endPrograms(folder), 2);
    for (const { ended } of ours) assert.deepEqual(await ended, [null, 'SIGKILL']);
    assert.deepEqual(bystanders.map(isRunning), [true, true, true]);
    assert.equal(await endPrograms(folder), 0);
  });

  /** Runs a process that guards the folder and then does `last`. */
  async function guarded(last: string): Promise<void> {
    const script = `import { guardFolder } from ${JSON.stringify(MODULE)};
      const guard = guardFolder(${JSON.stringify(folder)});
      ${last}`;
    const owner = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    await once(owner, 'exit');
  }

  for (const [title, last] of [
    ['is killed', `process.kill(process.pid, 'SIGKILL');`],
    ['ends early', 'process.exit(1);'],
  ] as const) {
    it(`goes when the owner ${title}`, async () => {
      const machine = await start({ KEEL_VM_DIR: `${folder}/vm` });
      const bystander = await start({ KEEL_VM_DIR: `${other}/vm` });
      await guarded(last);
      assert.deepEqual(await machine.ended, [null, 'SIGKILL']);
      const deadline = performance.now() + WAIT_MS;
      while (existsSync(folder)) {
        assert.ok(performance.now() < deadline, 'the folder is still there');
        await delay(20);
      }
      assert.ok(isRunning(bystander));
      assert.ok(existsSync(other));
    });
  }

  it('stays when the owner has closed the guard', async () => {
    const machine = await start({ KEEL_VM_DIR: `${folder}/vm` });
    await guarded(`guard.close();
      guard.process.once('exit', () => process.exit());
      setInterval(() => {}, 1e6);`);
    assert.ok(isRunning(machine));
    assert.ok(existsSync(folder));
  });
});
