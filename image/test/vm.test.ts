import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { attach, startVm } from '@keelos/image/shell/vm.ts';
import type { ProcessIdentity } from '@keelos/image/sys/qemu-process.ts';
import { waitForEnd } from '@keelos/image/sys/qemu-process.ts';
import { KeelError } from '@keelos/proto/errors.ts';

const VM_MODULE = fileURLToPath(new URL('../src/shell/vm.ts', import.meta.url));

/** Machines with an empty disk: the firmware runs, and nothing else. */
describe('virtual machine', function () {
  this.timeout(60_000);
  let dir = '';
  let disk = '';

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'keel-vm-test-'));
    disk = join(dir, 'empty.img');
    writeFileSync(disk, '');
    truncateSync(disk, 1024 ** 2);
  });
  afterEach(async () => {
    await (await attach(dir))?.kill();
    rmSync(dir, { recursive: true, force: true });
  });

  const start = () => startVm({ dir, disk, overlay: true, accelerator: 'tcg', memoryMiB: 256 });

  /** Starts a machine from another process, which then kills itself. */
  const startAndDie = (detached: boolean) =>
    new Promise<void>((resolve) => {
      const options = { dir, disk, overlay: true, accelerator: 'tcg', memoryMiB: 256, detached };
      const script = `import { startVm } from ${JSON.stringify(VM_MODULE)};
        await startVm(${JSON.stringify(options)});
        process.kill(process.pid, 'SIGKILL');`;
      const args = ['--input-type=module', '--eval', script];
      execFile(process.execPath, args, { timeout: 30_000 }, () => resolve());
    });
  const startedProcess = (): ProcessIdentity =>
    JSON.parse(readFileSync(join(dir, 'vm.json'), 'utf8')).process;

  it('runs, is found again by its folder, and is gone after the plug is pulled', async () => {
    const vm = await start();
    const again = await attach(dir);
    assert.ok(again);
    assert.equal(again.pid, vm.pid);
    assert.equal(again.apiPort, vm.apiPort);
    assert.equal(((await again.qmp('query-status')) as { status: string }).status, 'running');
    await assert.rejects(start(), /one is running there/);
    const socket = vm.commandLine.match(/unix:([^,]+),/)?.[1] ?? '';
    assert.ok(existsSync(socket));
    await vm.kill();
    assert.equal(existsSync(dirname(socket)), false, 'its socket is removed');
    assert.equal(await vm.isRunning(), false);
    assert.equal(await attach(dir), undefined);
  });

  it('says what QEMU says when it does not start', async () => {
    const extraArgs = ['-device', 'no-such-device'];
    await assert.rejects(
      startVm({ dir, disk, overlay: true, accelerator: 'tcg', extraArgs }),
      /no-such-device/,
    );
  });

  it('gives up on the console in time, with the command to repeat', async () => {
    const vm = await start();
    await assert.rejects(vm.waitForConsole(/never printed/, { timeoutMs: 300 }), (error) => {
      assert.ok(error instanceof KeelError && error.code === 'E_TIMEOUT');
      assert.match(error.message, /never printed.*not within 300 ms.*qemu-system-x86_64/s);
      return true;
    });
    const signal = AbortSignal.timeout(200);
    await assert.rejects(vm.waitForConsole(/never printed/, { timeoutMs: 20_000, signal }), {
      name: 'AbortError',
    });
    await vm.kill();
    const gone = vm.waitForConsole(/never printed/, { timeoutMs: 20_000 });
    await assert.rejects(gone, /the machine has ended/);
  });

  it('ends with the process that started it, even when that one is killed', async () => {
    await startAndDie(false);
    assert.equal(await waitForEnd(startedProcess(), { timeoutMs: 10_000 }), true);
  });

  it('outlives the process that started it when it is detached', async () => {
    await startAndDie(true);
    assert.equal(await waitForEnd(startedProcess(), { timeoutMs: 1000 }), false);
    assert.notEqual(await attach(dir), undefined);
  });
});
