import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { qemuCommand, shellQuoted } from '@keelos/image/core/qemu-command.ts';
import fc from 'fast-check';

const OPTIONS = {
  accelerator: 'tcg',
  memoryMiB: 512,
  cpus: 2,
  cpuModel: 'max',
  firmwareCode: '/usr/share/OVMF/OVMF_CODE_4M.fd',
  firmwareVars: 'vars.fd',
  disk: '/tmp/a, b/disk.img',
  diskFormat: 'raw',
  consoleLog: 'console.log',
  qmpSocket: '/tmp/x/qmp',
  apiPort: 1234,
  guestPort: 50051,
  noReboot: true,
  watchdog: true,
  extraArgs: ['-S'],
} as const;

describe('QEMU command line', () => {
  it('forwards the API only from this machine, and boots nothing from the network', () => {
    const line = qemuCommand(OPTIONS).join(' ');
    assert.match(line, /hostfwd=tcp:127\.0\.0\.1:1234-:50051/);
    assert.match(line, /virtio-net-pci,netdev=net,romfile=( |$)/);
  });

  it('leaves out the watchdog when the machine is to have none', () => {
    assert.match(qemuCommand(OPTIONS).join(' '), /-device i6300esb/);
    const without = qemuCommand({ ...OPTIONS, watchdog: false }).join(' ');
    assert.doesNotMatch(without, /i6300esb/);
    assert.match(without, /-machine pc,/);
  });

  it('keeps a comma in a path', () => {
    assert.match(qemuCommand(OPTIONS).join(' '), /file=\/tmp\/a,, b\/disk\.img/);
  });

  it('writes down every write of the disk when it is to', () => {
    const line = qemuCommand({ ...OPTIONS, writeLog: '/tmp/a, b/writes' }).join(' ');
    assert.match(line, /driver=blklogwrites,file\.driver=raw,file\.file\.driver=file/);
    assert.match(line, /file\.file\.filename=\/tmp\/a,, b\/disk\.img/);
    assert.match(line, /log\.filename=\/tmp\/a,, b\/writes /);
  });

  it('passes on what the caller adds', () => {
    const command = qemuCommand({ ...OPTIONS, rtc: '2099-01-01T00:00:00' });
    assert.equal(command.at(-1), '-S');
    assert.ok(command.includes('-no-reboot'));
    assert.ok(command.includes('base=2099-01-01T00:00:00'));
  });

  it('is quoted so that a shell gives back the same words', () => {
    const word = fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme-ascii' });
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 5 }), (words) => {
        const script = `printf '%s\\0' ${shellQuoted(words)}`;
        const back = execFileSync('sh', ['-c', script], { encoding: 'utf8' });
        assert.deepEqual(back.split('\0').slice(0, -1), words);
      }),
      { numRuns: 60 },
    );
  }).timeout(20_000);
});
