/** The reader of QEMU's log of writes, on logs whose every byte is known. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chosen } from '@keelos/tests/flush-points.ts';
import { readWriteLog, replay } from '@keelos/tests/write-log.ts';

const SECTOR = 512;
const [FLUSH, FUA, DISCARD] = [1n, 2n, 4n];

interface Row {
  readonly sector?: number;
  readonly data?: Buffer;
  readonly sectors?: number;
  readonly flags?: bigint;
}

function logOf(rows: readonly Row[]): Buffer {
  const head = Buffer.alloc(SECTOR);
  head.writeBigUInt64LE(0x6a736677736872n, 0);
  head.writeBigUInt64LE(1n, 8);
  head.writeUInt32LE(SECTOR, 24);
  const parts = rows.flatMap(({ sector = 0, data = Buffer.alloc(0), sectors, flags = 0n }) => {
    const entry = Buffer.alloc(SECTOR);
    entry.writeBigUInt64LE(BigInt(sector), 0);
    entry.writeBigUInt64LE(BigInt(sectors ?? data.length / SECTOR), 8);
    entry.writeBigUInt64LE(flags, 16);
    return [entry, data];
  });
  return Buffer.concat([head, ...parts]);
}

describe('log of writes', () => {
  let folder: string;
  let log: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keel-write-log-'));
    log = join(folder, 'writes.log');
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const kindsOf = async (bytes: Buffer) => {
    await writeFile(log, bytes);
    return (await readWriteLog(log)).map(({ kind, offsetBytes }) => `${kind} ${offsetBytes}`);
  };
  const [ones, twos] = [Buffer.alloc(2 * SECTOR, 1), Buffer.alloc(SECTOR, 2)];
  const ROWS: readonly Row[] = [
    { sector: 4, data: ones },
    { flags: FLUSH },
    { sector: 5, data: twos, flags: FUA },
    { sector: 0, sectors: 8, flags: DISCARD },
  ];

  it('tells writes, flushes and discards in their order', async () => {
    assert.deepEqual(await kindsOf(logOf(ROWS)), [
      'write 2048',
      'flush 0',
      'write 2560',
      'flush 0',
      'discard 0',
    ]);
  });

  it('ends where a killed machine stopped writing, wherever that was', async () => {
    const whole = logOf(ROWS);
    const all = await kindsOf(whole);
    for (let size = SECTOR; size < whole.length; size += 64) {
      const found = await kindsOf(whole.subarray(0, size));
      assert.deepEqual(found, all.slice(0, found.length), `${size} bytes`);
    }
  });

  it('refuses what is no log', async () => {
    await assert.rejects(kindsOf(Buffer.alloc(4 * SECTOR)), /no log of writes/);
  });

  it('repeats writes on another disk, the later one over the earlier', async () => {
    const disk = join(folder, 'disk');
    await writeFile(disk, Buffer.alloc(16 * SECTOR));
    await writeFile(log, logOf(ROWS));
    await replay(log, disk, await readWriteLog(log));
    const bytes = await readFile(disk);
    const sectors = Array.from({ length: 16 }, (_, at) => bytes[at * SECTOR]);
    assert.deepEqual(sectors, [0, 0, 0, 0, 1, 2, ...Array(10).fill(0)]);
  });
});

describe('flushes to boot from', () => {
  const points = Array.from({ length: 100 }, (_, at) => ({
    entries: at + 1,
    bootBytes: at >= 90 ? 512 : 0,
  }));

  it('are those that change boot files, and others evenly, in their order', () => {
    const taken = chosen(points, 30);
    assert.equal(taken.length, 30);
    assert.equal(taken.filter(({ bootBytes }) => bootBytes > 0).length, 10);
    assert.deepEqual(
      taken.map(({ entries }) => entries),
      taken.map(({ entries }) => entries).toSorted((a, b) => a - b),
    );
    assert.equal(new Set(taken.map(({ entries }) => entries)).size, 30);
  });

  it('are all when there are not more', () => {
    assert.equal(chosen(points.slice(0, 5), 30).length, 5);
  });
});
