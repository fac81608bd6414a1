/** The kernel mounts a bundle as it is, `mount -t squashfs`: as the root file system of a machine whose disk it is. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { peSection } from '@keelos/image/core/pe.ts';
import { CPU_MODELS } from '@keelos/image/core/qemu-command.ts';
import { makeBundle } from '@keelos/image/shell/make-bundle.ts';
import { CHECKOUT } from '@keelos/tests/test-node.ts';
import { findCommand } from '../../scripts/lib/apt.mjs';
import { exec } from '../../scripts/lib/exec.mjs';
import { findBuiltNode } from '../../scripts/lib/node-image.mjs';
import { testKeys } from '../../scripts/lib/test-keys.mjs';

const MACHINE_TIMEOUT_MS = 120_000;

describe('a bundle as a disk', function () {
  this.timeout(2 * MACHINE_TIMEOUT_MS);

  let dir: string;
  before(async () => {
    await mkdir(join(CHECKOUT, '.vm'), { recursive: true });
    dir = await mkdtemp(join(CHECKOUT, '.vm', 'mount-'));
  });
  after(() => rm(dir, { recursive: true, force: true }));

  it('is mounted by the kernel, which then starts what is named in it', async () => {
    const image = await findBuiltNode();
    const { keyFile } = await testKeys();
    const { path } = await makeBundle({
      imageDir: dirname(image.root),
      keys: [keyFile],
      out: dir,
    });
    const kernel = join(dir, 'bzImage');
    const linux = peSection(await readFile(image.uki), '.linux');
    assert.ok(linux !== undefined);
    await writeFile(kernel, linux);
    const qemu = findCommand('qemu-system-x86_64');
    assert.ok(qemu !== undefined);
    // The dynamic loader is a program that ends at once without an argument: the kernel panics, and the machine stops.
    const commandLine = [
      ...['root=/dev/vda', 'rootfstype=squashfs', 'ro', 'rootwait', 'console=ttyS0', 'panic=-1'],
      'init=/usr/lib64/ld-linux-x86-64.so.2',
    ];
    const { stdout } = await exec(
      qemu,
      [
        ...['-machine', 'q35,accel=tcg', '-cpu', CPU_MODELS.tcg, '-m', '512'],
        ...[
          '-display',
          'none',
          '-serial',
          'stdio',
          '-monitor',
          'none',
          '-no-reboot',
          '-nodefaults',
        ],
        ...['-kernel', kernel, '-append', commandLine.join(' ')],
        ...['-drive', `if=virtio,format=raw,readonly=on,file=${path}`],
      ],
      { timeoutMs: MACHINE_TIMEOUT_MS, anyExit: true },
    );
    assert.match(stdout, /VFS: Mounted root \(squashfs filesystem\) readonly/);
    assert.match(stdout, /Run \/usr\/lib64\/ld-linux-x86-64\.so\.2 as init process/);
    assert.match(stdout, /Attempted to kill init/);
  });
});
