import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { probeDisk } from '@keelos/image/core/kvm-probe-guest.ts';
import { probeAccelerator } from '@keelos/image/sys/kvm-probe.ts';

const SOURCE = fileURLToPath(new URL('../src/core/kvm-probe-guest.S', import.meta.url));

describe('probe of the accelerator', () => {
  it('has a guest that is what its source says', () => {
    const dir = mkdtempSync(join(tmpdir(), 'keel-guest-'));
    try {
      const object = join(dir, 'guest.o');
      const image = join(dir, 'guest.bin');
      execFileSync('as', ['--64', '-o', object, SOURCE]);
      const format = ['-m', 'elf_x86_64', '-Ttext=0x7c00', '--oformat', 'binary'];
      execFileSync('ld', [...format, '-o', image, object]);
      assert.ok(readFileSync(image).equals(probeDisk().subarray(0, 512)));
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it('finds that emulation works', async () => {
    assert.equal(await probeAccelerator('tcg'), undefined);
  }).timeout(20_000);

  it('says why something that is no accelerator does not', async () => {
    assert.match((await probeAccelerator('nothing' as never)) ?? '', /invalid accelerator/);
  }).timeout(20_000);
});
