import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freshTable } from '@keelos/image/core/disk.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import {
  decodeBackupGpt,
  decodeGpt,
  encodeGpt,
  GPT_BACKUP_SECTORS,
  type Gpt,
  SECTOR_BYTES,
} from '@keelos/proto/gpt.ts';
import { setSlotGuid } from '@keelos/ts-agent/shell/slot-guid.ts';
import { findCommand } from '../../scripts/lib/apt.mjs';
import { cutStates, OverlayDisk, seeded } from './cut-disk.ts';

const GUID = '12345678-9abc-4def-8123-456789abcdef';
const SLOT = 3;
const SEED = 7;

/** A small disk with the partitions of a fresh one, each of 64 sectors. */
function smallTable(): Gpt {
  const fresh = freshTable('ab'.repeat(32));
  return {
    ...fresh,
    diskSectors: 4096,
    partitions: fresh.partitions.map((one, index) => ({
      ...one,
      firstLba: 64 * (index + 1),
      lastLba: 64 * (index + 2) - 1,
    })),
  };
}

function smallDisk(): Buffer {
  const table = encodeGpt(smallTable());
  const bytes = Buffer.alloc(4096 * SECTOR_BYTES);
  bytes.set(table.primary, 0);
  bytes.set(table.backup, table.backupLba * SECTOR_BYTES);
  return bytes;
}

const guidIn = (gpt: Gpt) => gpt.partitions.find(({ number }) => number === SLOT)?.guid;
const backupOf = (bytes: Buffer) => bytes.subarray(-GPT_BACKUP_SECTORS * SECTOR_BYTES);
const attempt = (decode: () => Gpt) => {
  try {
    return decode();
  } catch {
    return undefined;
  }
};

describe('GUID of a slot', () => {
  it('is changed in both tables, as sgdisk reads them, and nothing else is', async () => {
    const disk = new OverlayDisk(smallDisk());
    await setSlotGuid(disk, { partitionNumber: SLOT, guid: GUID });
    const bytes = disk.whole();
    const expected = smallTable().partitions.map((one) =>
      one.number === SLOT ? { ...one, guid: GUID } : one,
    );
    assert.deepEqual(decodeGpt(bytes).partitions, expected);
    assert.deepEqual(decodeBackupGpt(backupOf(bytes)).partitions, expected);
    const directory = mkdtempSync(join(tmpdir(), 'keel-gpt-'));
    try {
      const path = join(directory, 'disk.img');
      writeFileSync(path, bytes);
      const sgdisk = findCommand('sgdisk') ?? assert.fail('no sgdisk');
      assert.match(
        execFileSync(sgdisk, ['--verify', path], { encoding: 'utf8' }),
        /No problems found/,
      );
      const info = execFileSync(sgdisk, ['--info', String(SLOT), path], { encoding: 'utf8' });
      assert.match(info, new RegExp(`unique GUID: ${GUID}`, 'i'));
    } finally {
      rmSync(directory, { recursive: true });
    }
    disk.calls.length = 0;
    await setSlotGuid(disk, { partitionNumber: SLOT, guid: GUID });
    assert.deepEqual(disk.calls, []);
  });

  const beginnings: readonly [string, (bytes: Buffer) => void][] = [
    ['both tables whole', () => undefined],
    ['primary header damaged', (bytes) => bytes.fill(7, 520, 540)],
    ['primary entries damaged', (bytes) => bytes.fill(7, 1024, 1400)],
    ['backup damaged', (bytes) => bytes.fill(7, bytes.length - 512)],
    [
      'backup of an earlier change',
      (bytes) => {
        const table = smallTable();
        const older = {
          ...table,
          partitions: table.partitions.map((one) =>
            one.number === SLOT ? { ...one, guid: 'aaaaaaaa-9abc-4def-8123-456789abcdef' } : one,
          ),
        };
        bytes.set(encodeGpt(older).backup, bytes.length - GPT_BACKUP_SECTORS * SECTOR_BYTES);
      },
    ],
  ];
  for (const [name, damage] of beginnings) {
    it(`is the old or the new one after a cut anywhere: ${name}`, async () => {
      const base = smallDisk();
      damage(base);
      const old = guidIn(attempt(() => decodeGpt(base)) ?? decodeBackupGpt(backupOf(base)));
      const disk = new OverlayDisk(base);
      await setSlotGuid(disk, { partitionNumber: SLOT, guid: GUID });
      let states = 0;
      for (const { sectors, name: cut } of cutStates(new Map(), disk.calls, seeded(SEED))) {
        states += 1;
        const left = new OverlayDisk(base, sectors);
        const bytes = left.whole();
        const primary = attempt(() => decodeGpt(bytes));
        const found = primary ?? attempt(() => decodeBackupGpt(backupOf(bytes)));
        assert.ok(found, cut);
        assert.ok([old, GUID].includes(guidIn(found)), cut);
        await setSlotGuid(left, { partitionNumber: SLOT, guid: GUID });
        const after = left.whole();
        assert.equal(guidIn(decodeGpt(after)), GUID, cut);
        assert.equal(guidIn(decodeBackupGpt(backupOf(after))), GUID, cut);
      }
      assert.ok(states > 4);
    });
  }

  it('is refused where the table is lost, the partition is not there, or another one has it', async () => {
    const isLayout = (error: unknown) =>
      error instanceof KeelError && error.code === 'E_DISK_LAYOUT';
    const lost = new OverlayDisk(Buffer.alloc(4096 * SECTOR_BYTES));
    await assert.rejects(setSlotGuid(lost, { partitionNumber: SLOT, guid: GUID }), isLayout);
    const disk = new OverlayDisk(smallDisk());
    await assert.rejects(setSlotGuid(disk, { partitionNumber: 9, guid: GUID }), isLayout);
    const taken = smallTable().partitions[1]?.guid ?? '';
    await assert.rejects(setSlotGuid(disk, { partitionNumber: SLOT, guid: taken }), isLayout);
    assert.deepEqual(disk.calls, []);
  });
});
