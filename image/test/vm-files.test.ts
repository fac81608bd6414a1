import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attach, startVm } from '@keelos/image/shell/vm.ts';
import { chooseAccelerator } from '@keelos/image/sys/kvm-probe.ts';
import { readState } from '@keelos/image/sys/vm-files.ts';

const DAMAGED = ['', '{', 'null', '[]', '{"process": {}}', '{"process": null, "apiPort": "1"}'];

describe('what is written down about machines', () => {
  let dir = '';
  let before: NodeJS.ProcessEnv;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'keel-files-of-vm-'));
    before = { ...process.env };
  });
  afterEach(async () => {
    process.env = before;
    await rm(dir, { recursive: true });
  });

  it('is there before the machine is', async () => {
    process.env.PATH = join(dir, 'no-programs');
    const disk = join(dir, 'disk.img');
    await writeFile(disk, '');
    await truncate(disk, 1024 ** 2);
    const options = { dir, disk, overlay: false, accelerator: 'tcg', apiPort: 1 } as const;
    await assert.rejects(startVm({ ...options, detached: true }), { code: 'ENOENT' });
    const seen = JSON.parse(await readFile(join(dir, 'vm.json'), 'utf8'));
    assert.equal(seen.process, null);
    assert.equal(seen.command[0], 'qemu-system-x86_64');
  });

  it('leads to a machine whose starter had no time to write down its number', async () => {
    const command = ['sleep', `60.${process.pid}`];
    // A damaged record must not make us remove what is not ours.
    const qmpSocket = join(dir, 'qmp');
    const state = { process: null, apiPort: 1, qmpSocket, consoleOffset: 0, command };
    await writeFile(join(dir, 'vm.json'), JSON.stringify(state));
    assert.equal(await attach(dir), undefined);
    const machine = spawn('sleep', command.slice(1), { stdio: 'ignore' });
    const ended = once(machine, 'close');
    await once(machine, 'spawn');
    const vm = await attach(dir);
    assert.equal(vm?.pid, machine.pid);
    await vm?.kill();
    await ended;
    assert.ok((await readdir(dir)).includes('vm.json'), 'the folder is left alone');
    assert.equal(await attach(dir), undefined);
  });

  it('counts as absent when it is damaged: machine', async () => {
    for (const text of DAMAGED) {
      await writeFile(join(dir, 'vm.json'), text);
      assert.equal(await readState(dir), undefined, text);
    }
  });

  it('counts as absent when it is damaged: accelerator', async () => {
    process.env.KEEL_CACHE = dir;
    delete process.env.KEEL_ACCEL;
    const file = join(dir, 'accelerator.json');
    const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
    for (const text of ['', 'null', JSON.stringify({ bootId, accelerator: 'steam' })]) {
      await writeFile(file, text);
      const chosen = await chooseAccelerator();
      assert.ok(['kvm', 'tcg'].includes(chosen), chosen);
      assert.equal(JSON.parse(await readFile(file, 'utf8')).accelerator, chosen);
    }
  }).timeout(30_000);
});
