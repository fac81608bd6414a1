/** The log of writes as QEMU itself makes it: no node is booted, QEMU's own block layer writes. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startVm } from '@keelos/image/shell/vm.ts';
import { readWriteLog, replay } from '@keelos/tests/write-log.ts';

const DISK_BYTES = 4 * 1024 ** 2;

describe("QEMU's log of writes", () => {
  let dir: string;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'keel-qemu-log-'));
  });
  after(() => rm(dir, { recursive: true, force: true }));

  it('tells writes and flushes, also of a machine that was killed, and makes the same disk again', async () => {
    const [disk, again, log] = ['disk', 'again', 'log'].map((name) => join(dir, name));
    assert.ok(disk !== undefined && again !== undefined && log !== undefined);
    for (const file of [disk, again]) {
      await writeFile(file, '');
      await truncate(file, DISK_BYTES);
    }
    const vm = await startVm({ dir, disk, overlay: false, writeLog: log, extraArgs: ['-S'] });
    for (const command of ['write -P 0xab 4096 8192', 'flush', 'write -P 0xcd 8192 512']) {
      await vm.qmp('human-monitor-command', { 'command-line': `qemu-io disk "${command}"` });
    }
    await vm.kill();
    const entries = await readWriteLog(log);
    assert.deepEqual(
      entries.map(({ kind, offsetBytes, sizeBytes }) => [kind, offsetBytes, sizeBytes]),
      [
        ['write', 4096, 8192],
        ['flush', 0, 0],
        ['write', 8192, 512],
      ],
    );
    await replay(log, again, entries);
    assert.deepEqual(await readFile(again), await readFile(disk));
  });
});
