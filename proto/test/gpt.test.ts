import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KeelError } from '@keelos/proto/errors.ts';
import type { Gpt, GptPartition } from '@keelos/proto/gpt.ts';
import {
  decodeBackupGpt,
  decodeGpt,
  encodeGpt,
  GPT_BACKUP_SECTORS,
  GPT_PRIMARY_SECTORS,
  gptProblem,
  growLastPartition,
  SECTOR_BYTES,
} from '@keelos/proto/gpt.ts';
import fc from 'fast-check';

const TYPE = '4f68bce3-e8cd-4db1-96e7-fbcaf984b709';

function guid(position: number): string {
  return `0000000${position % 10}-1111-4222-8333-${String(position).padStart(12, '0')}`;
}

function partition(number: number, firstLba: number, lastLba: number): GptPartition {
  const name = `keel-${number}`;
  return { number, typeGuid: TYPE, guid: guid(number), firstLba, lastLba, attributes: 0n, name };
}

const SAMPLE: Gpt = {
  diskGuid: 'aabbccdd-1122-4344-8566-778899aabbcc',
  diskSectors: 8192,
  partitions: [partition(1, 2048, 4095), partition(2, 4096, 6143), partition(3, 6144, 8151)],
};

/** Tables of one to ten partitions that lie somewhere on a disk of some size. */
const anyGpt: fc.Arbitrary<Gpt> = fc
  .record({
    cuts: fc.uniqueArray(fc.integer({ min: 34, max: 100_000 }), { minLength: 2, maxLength: 20 }),
    spare: fc.integer({ min: 0, max: 5000 }),
    attributes: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    name: fc.string({ maxLength: 36, unit: 'grapheme-ascii' }),
  })
  .map(({ cuts, spare, attributes, name }) => {
    const sorted = [...cuts].sort((a, b) => a - b);
    const partitions: GptPartition[] = [];
    for (let at = 0; at + 1 < sorted.length; at += 2) {
      const number = partitions.length + 1;
      const first = sorted[at] ?? 0;
      const last = (sorted[at + 1] ?? 0) - 1;
      partitions.push({ ...partition(number, first, last), attributes, name });
    }
    const end = (partitions.at(-1)?.lastLba ?? 0) + 1;
    return { ...SAMPLE, diskSectors: end + GPT_BACKUP_SECTORS + spare, partitions };
  });

function isLayoutError(error: unknown): boolean {
  return error instanceof KeelError && error.code === 'E_DISK_LAYOUT';
}

function onDisk(gpt: Gpt, check: (path: string) => void, diskSectors = gpt.diskSectors): void {
  const dir = mkdtempSync(join(tmpdir(), 'keel-gpt-'));
  try {
    const path = join(dir, 'disk.img');
    const { primary, backup, backupLba } = encodeGpt(gpt);
    const file = openSync(path, 'w');
    ftruncateSync(file, diskSectors * SECTOR_BYTES);
    writeSync(file, primary, 0, primary.length, 0);
    writeSync(file, backup, 0, backup.length, backupLba * SECTOR_BYTES);
    closeSync(file);
    check(path);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function sgdisk(...args: string[]): string {
  const path = `${process.env.PATH}:/usr/sbin:/sbin`;
  return execFileSync('sgdisk', args, { encoding: 'utf8', env: { ...process.env, PATH: path } });
}

describe('partition table', function () {
  this.timeout(30_000);

  it('reads back what it wrote, from either copy', () => {
    fc.assert(
      fc.property(anyGpt, (gpt) => {
        const { primary, backup } = encodeGpt(gpt);
        assert.equal(primary.length, GPT_PRIMARY_SECTORS * SECTOR_BYTES);
        assert.equal(backup.length, GPT_BACKUP_SECTORS * SECTOR_BYTES);
        assert.deepEqual(decodeGpt(primary), gpt);
        assert.deepEqual(decodeBackupGpt(backup), gpt);
      }),
    );
  });

  it('is what sgdisk calls a valid table', () => {
    onDisk(SAMPLE, (path) => {
      assert.match(sgdisk('--verify', path), /No problems found/);
      const listing = sgdisk('--info=3', path);
      assert.match(listing, /Partition unique GUID: 00000003-1111-4222-8333-000000000003/i);
      assert.match(listing, /First sector: 6144/);
      assert.match(listing, /Partition name: 'keel-3'/);
    });
  });

  it('is still valid for sgdisk after it has grown, and only the last partition has changed', () => {
    const grown = growLastPartition(SAMPLE, 1_000_003);
    onDisk(grown, (path) => assert.match(sgdisk('--verify', path), /No problems found/));
    assert.deepEqual(grown.partitions.slice(0, 2), SAMPLE.partitions.slice(0, 2));
    const last = grown.partitions[2];
    assert.equal(last?.firstLba, 6144);
    assert.equal(((last?.lastLba ?? 0) + 1 - 6144) % 8, 0);
    assert.ok(1_000_003 - GPT_BACKUP_SECTORS - ((last?.lastLba ?? 0) + 1) < 8);
  });

  it('grows any table into a valid one, and growing twice changes nothing', () => {
    fc.assert(
      fc.property(anyGpt, fc.integer({ min: 0, max: 10_000_000 }), (gpt, more) => {
        const grown = growLastPartition(gpt, gpt.diskSectors + more);
        assert.equal(gptProblem(grown), undefined);
        assert.equal(growLastPartition(grown, grown.diskSectors), grown);
        for (const [position, before] of gpt.partitions.entries()) {
          const after = grown.partitions[position];
          assert.equal(after?.firstLba, before.firstLba);
          assert.ok((after?.lastLba ?? 0) >= before.lastLba);
        }
      }),
    );
  });

  it('does not shrink', () => {
    assert.throws(() => growLastPartition(SAMPLE, SAMPLE.diskSectors - 1), isLayoutError);
  });

  it('refuses a table that is cut short at any sector, or empty', () => {
    const { primary, backup } = encodeGpt(SAMPLE);
    for (let sectors = 0; sectors < GPT_PRIMARY_SECTORS; sectors += 1) {
      assert.throws(() => decodeGpt(primary.subarray(0, sectors * SECTOR_BYTES)), isLayoutError);
    }
    assert.throws(() => decodeGpt(Buffer.alloc(primary.length)), isLayoutError);
    assert.throws(() => decodeBackupGpt(backup.subarray(0, backup.length - 1)), isLayoutError);
    assert.throws(() => decodeBackupGpt(Buffer.alloc(backup.length)), isLayoutError);
  });

  it('refuses a table with any bit of its header or entries flipped', () => {
    const { primary } = encodeGpt(SAMPLE);
    const covered = 92 + 128 * 128;
    for (let at = 0; at < covered; at += 1) {
      const offset = at < 92 ? SECTOR_BYTES + at : 2 * SECTOR_BYTES + (at - 92);
      // One bit for each byte of the many empty entries, every bit of the rest.
      const bits = at < 92 + 3 * 128 ? 8 : 1;
      for (let bit = 0; bit < bits; bit += 1) {
        const flipped = Buffer.from(primary);
        flipped[offset] = (flipped[offset] ?? 0) ^ (1 << bit);
        assert.throws(() => decodeGpt(flipped), isLayoutError, `byte ${offset}, bit ${bit}`);
      }
    }
  });

  it('refuses every other rule that is broken', () => {
    const [first, second, third] = SAMPLE.partitions;
    assert.ok(first && second && third);
    const cases: [string, Partial<Gpt>, RegExp][] = [
      ['overlap', { partitions: [first, { ...second, firstLba: 4095 }] }, /overlap/],
      ['behind the end', { partitions: [{ ...third, lastLba: 8159 }] }, /usable is 34\.\.8158/],
      ['in the table itself', { partitions: [{ ...first, firstLba: 33 }] }, /usable/],
      ['ends before it starts', { partitions: [{ ...first, lastLba: 2047 }] }, /spans/],
      ['same GUID', { partitions: [first, { ...second, guid: first.guid }] }, /GUID of another/],
      ['order', { partitions: [second, first] }, /after partition 2/],
      ['number', { partitions: [{ ...first, number: 129 }] }, /at most 128/],
      ['name', { partitions: [{ ...first, name: 'x'.repeat(37) }] }, /name over 36/],
      ['tiny disk', { diskSectors: 66, partitions: [] }, /disk of 66 sectors/],
      ['no number', { diskSectors: Number.NaN }, /disk of NaN sectors/],
    ];
    for (const [name, change, reason] of cases) {
      const broken = { ...SAMPLE, ...change };
      assert.match(gptProblem(broken) ?? 'nothing', reason, name);
      assert.throws(() => encodeGpt(broken), RangeError, name);
    }
  });
});
