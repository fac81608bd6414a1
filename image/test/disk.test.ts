import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bootEntry, committedEntryPath } from '@keelos/image/core/boot-files.ts';
import type { DiskParts } from '@keelos/image/core/disk.ts';
import { buildDisk, derivedGuid, freshTable } from '@keelos/image/core/disk.ts';
import { PARTITIONS, STATE_FILE_SYSTEM } from '@keelos/image/core/disk-layout.data.ts';
import { copySparse, readExtents, writeSparse } from '@keelos/image/sys/sparse-file.ts';
import { makeStateFileSystem } from '@keelos/image/sys/state-partition.ts';
import { kernelImagePath } from '@keelos/proto/boot-entry.ts';
import { decodeGpt, growLastPartition, partitionBytes, SECTOR_BYTES } from '@keelos/proto/gpt.ts';

const ROOT_HASH = '0123456789abcdef'.repeat(4);
const EPOCH_SECONDS = 1_793_491_200;
const MIB = 1024 ** 2;

function tool(command: string, ...args: string[]): string {
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
  return execFileSync(command, args, { encoding: 'utf8', env, stdio: 'pipe' });
}

function readRange(path: string, offset: number, sizeBytes: number): Buffer {
  const file = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(sizeBytes);
    readSync(file, bytes, 0, sizeBytes, offset);
    return bytes;
  } finally {
    closeSync(file);
  }
}

describe('disk image', function () {
  this.timeout(30_000);
  let dir = '';
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'keel-disk-'));
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  const state = (name: string) =>
    makeStateFileSystem({
      sizeBytes: 64 * MIB,
      epochSeconds: EPOCH_SECONDS,
      uuid: derivedGuid('state', ROOT_HASH),
      scratch: join(dir, name),
    });

  const parts = async (): Promise<DiskParts> => ({
    version: '1.2.3',
    rootHash: ROOT_HASH,
    buildEpochSeconds: EPOCH_SECONDS,
    loader: Buffer.alloc(100_000, 1),
    uki: Buffer.alloc(5 * MIB, 2),
    root: Buffer.alloc(3 * MIB, 3),
    state: await state('for-disk.img'),
  });

  it('has a state file system that e2fsck accepts and that can grow to a tebibyte and more', async () => {
    const extents = await state('state.img');
    const path = join(dir, 'state-again.img');
    await writeSparse(path, { sizeBytes: 64 * MIB, extents });
    tool('e2fsck', '-f', '-n', path);
    const facts = tool('dumpe2fs', '-h', path);
    const reserved = Number(/Reserved GDT blocks:\s+(\d+)/.exec(facts)?.[1]);
    // One block of group descriptors describes 64 groups of 128 MiB.
    const growMax = (reserved + 1) * 64 * 128 * MIB;
    assert.ok(growMax >= STATE_FILE_SYSTEM.growBlocksMax * 4096, `${growMax}`);
    assert.match(facts, /Filesystem volume name:\s+keel-state/);
    assert.match(facts, /Filesystem features:.*metadata_csum/);
    assert.ok(extents.reduce((sum, { data }) => sum + data.length, 0) < MIB);
  });

  it('has a state file system of the same bytes every time', async () => {
    assert.deepEqual(await state('one.img'), await state('two.img'));
  });

  it('is sparse, valid for sgdisk, and holds each part in its place', async () => {
    const path = join(dir, 'disk.img');
    const made = await parts();
    await writeSparse(path, buildDisk(made));
    assert.match(tool('sgdisk', '--verify', path), /No problems found/);
    assert.ok(statSync(path).blocks * 512 < 64 * MIB);
    const { partitions } = decodeGpt(readRange(path, 0, 34 * SECTOR_BYTES));
    assert.deepEqual(
      partitions.map(({ name, typeGuid }) => [name, typeGuid]),
      PARTITIONS.map(({ name, typeGuid }) => [name, typeGuid]),
    );
    const [esp, slotA] = partitions;
    assert.ok(esp && slotA);
    assert.equal(slotA.guid, '01234567-89ab-cdef-0123-456789abcdef');
    const root = readRange(path, slotA.firstLba * SECTOR_BYTES, made.root.length);
    assert.ok(root.equals(Buffer.from(made.root)));
    const espOffset = `${path}@@${esp.firstLba * SECTOR_BYTES}`;
    const entry = tool('mtype', '-i', espOffset, `::${committedEntryPath(1)}`);
    assert.equal(entry, bootEntry(made));
    assert.match(entry, new RegExp(`^efi /${kernelImagePath(ROOT_HASH)}$`, 'm'));
    assert.match(tool('mtype', '-i', espOffset, '::loader/loader.conf'), /timeout 0\neditor no/);
  });

  it('has its state partition last, so that it can grow', () => {
    const table = freshTable(ROOT_HASH);
    const grown = growLastPartition(table, table.diskSectors * 10);
    const last = grown.partitions.at(-1);
    assert.equal(last?.name, 'keel-state');
    assert.ok(last && partitionBytes(last) > 64 * MIB);
  });

  it('refuses a root that is larger than its slot', async () => {
    const slot = PARTITIONS.find(({ role }) => role === 'slot-a');
    const root = Buffer.alloc((slot?.sizeBytes ?? 0) + 1);
    const made = await parts();
    assert.throws(() => buildDisk({ ...made, root }), /for partition keel-a/);
  });

  it('is copied with its holes', async () => {
    const from = join(dir, 'from.img');
    const extents = [{ offset: 10 * MIB + 5, data: Buffer.from('here') }];
    await writeSparse(from, { sizeBytes: 100 * MIB + 3, extents });
    const to = join(dir, 'to.img');
    await copySparse(from, to);
    assert.ok(readFileSync(from).equals(readFileSync(to)));
    assert.ok(statSync(to).blocks * 512 < MIB);
    assert.equal((await readExtents(to)).length, 1);
  });
});
