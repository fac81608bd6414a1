import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { renderReferencePage } from '../src/core/reference-page.ts';
import { kernelTools } from '../src/core/tools.data.mjs';
import { readKernelInputs } from '../src/inputs.ts';

describe('the fragments of this repository', () => {
  it('can be read, set nothing twice, and follow or except each recommendation', async () => {
    const { options, kspp } = await readKernelInputs(); // throws when one of these is not so
    assert.ok(options.length > 300);
    assert.ok(kspp.followed.length > 60);
  });

  it('hold what a node stands on', async () => {
    const { options } = await readKernelInputs();
    const values = new Map(options.map(({ name, value }) => [name, value]));
    const wanted = {
      ...{ MODULES: 'n', BLK_DEV_INITRD: 'n', BINFMT_SCRIPT: 'n', BINFMT_MISC: 'n', KEXEC: 'n' },
      ...{ DEVMEM: 'n', MAGIC_SYSRQ: 'n', HIBERNATION: 'n', DM_INIT: 'y', DM_VERITY: 'y' },
      ...{ SECURITY_LOCKDOWN_LSM_EARLY: 'y', EFI_STUB: 'y', KERNEL_ZSTD: 'y', PANIC_ON_OOPS: 'y' },
    };
    for (const [name, value] of Object.entries(wanted)) {
      assert.equal(values.get(`CONFIG_${name}`), value, name);
    }
  });

  it('are what docs/reference/kernel.md shows', async () => {
    const { fragments, kspp, lock } = await readKernelInputs();
    const page = resolve(import.meta.dirname, '../../docs/reference/kernel.md');
    const found = await readFile(page, 'utf8');
    assert.equal(found, renderReferencePage(fragments, kspp, lock), 'run `keel-kernel doc`');
  });

  it('are built by code that is there to be hashed', async () => {
    const { code } = await readKernelInputs();
    assert.ok(code.length > 0);
    for (const file of code) assert.ok(existsSync(file), file);
  });
});

describe('kernelTools', () => {
  it('names a command or a file, a package and a reason for each tool', () => {
    for (const tool of kernelTools) {
      assert.ok((tool.command ?? tool.file ?? '') !== '' && tool.package !== '' && tool.why !== '');
    }
  });
});
