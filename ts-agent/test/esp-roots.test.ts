import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ESP_KERNEL_DIR } from '@keelos/proto/node-paths.ts';
import { parseVerityTable } from '@keelos/proto/verity-table.ts';
import { fatRecords } from '@keelos/ts-agent/core/fat-directory.ts';
import { FatVolume } from '@keelos/ts-agent/core/fat-volume.ts';
import { kernelCommandLine } from '@keelos/ts-agent/core/kernel-image.ts';
import { findCommand } from '../../scripts/lib/apt.mjs';
import { testEsp, testKernelImage, testRoot } from './slot-disk.ts';

const LONG_NAME = 'keel-0123456789abcdef-and-a-name-over-two-entries.efi';
const CONTENT = Buffer.from(Array.from({ length: 3_000 }, (_, index) => index % 251));
const FILES = [
  { path: `EFI/keel/${LONG_NAME}`, data: CONTENT },
  { path: 'EFI/keel/A.EFI', data: Buffer.from('short') },
  { path: 'EFI/keel/empty.efi', data: Buffer.alloc(0) },
];

describe('kernel images on an EFI system partition', () => {
  const esp = testEsp(FILES);
  const readerOf = (bytes: Buffer) => async (offset: number, length: number) =>
    bytes.subarray(Math.min(offset, bytes.length), Math.min(offset + length, bytes.length));

  it('are listed with their names and read in any piece', async () => {
    const volume = await FatVolume.open(readerOf(esp));
    const entries = (await volume.list('efi/KEEL')) ?? [];
    assert.deepEqual(
      entries.map(({ name, sizeBytes, isDirectory }) => [name, sizeBytes, isDirectory]),
      [
        ['A.EFI', 5, false],
        ['empty.efi', 0, false],
        [LONG_NAME, CONTENT.length, false],
      ].toSorted(([a], [b]) => (String(a).toUpperCase() < String(b).toUpperCase() ? -1 : 1)),
    );
    const file = entries.find(({ name }) => name === LONG_NAME);
    assert.ok(file);
    for (const [offsetBytes, lengthBytes] of [
      ...[[0, 3_000] as const, [0, 1] as const, [511, 2] as const, [512, 512] as const],
      ...[[2_999, 9] as const, [3_000, 1] as const, [9_999, 1] as const, [100, 0] as const],
    ]) {
      const piece = await volume.readFile(file, { offsetBytes, lengthBytes });
      assert.ok(piece.equals(CONTENT.subarray(offsetBytes, offsetBytes + lengthBytes)));
    }
    assert.equal(await volume.list('EFI/none'), undefined);
    assert.equal(await volume.list(`EFI/keel/${LONG_NAME}`), undefined);
    await assert.rejects(
      volume.readFile(file, { offsetBytes: 0, lengthBytes: 2 ** 21 }),
      RangeError,
    );
  });

  it('are read from what mkfs.vfat and mtools made', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'keel-fat-'));
    try {
      const image = join(directory, 'esp.img');
      writeFileSync(image, '');
      truncateSync(image, 40 * 1_048_576);
      const file = join(directory, 'content');
      writeFileSync(file, CONTENT);
      execFileSync(findCommand('mkfs.vfat') ?? '', ['-F', '32', '-s', '1', image]);
      const names = ['plain.efi', 'Keel-With A Long Name+1.efi', 'UPPER.EFI'];
      execFileSync('mmd', ['-i', image, '::EFI', '::EFI/keel']);
      for (const name of [...names, 'gone.efi']) {
        execFileSync('mcopy', ['-i', image, file, `::EFI/keel/${name}`]);
      }
      execFileSync('mdel', ['-i', image, '::EFI/keel/gone.efi']);
      const volume = await FatVolume.open(readerOf(readFileSync(image)));
      const entries = (await volume.list(ESP_KERNEL_DIR)) ?? [];
      assert.deepEqual(
        entries.map(({ name }) => name.toUpperCase()),
        names.map((name) => name.toUpperCase()),
      );
      for (const entry of entries) {
        const whole = { offsetBytes: 0, lengthBytes: 10_000 };
        assert.ok((await volume.readFile(entry, whole)).equals(CONTENT), entry.name);
      }
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('a damaged file system is refused or read, in bounded work, whatever byte is wrong', async () => {
    const dataAt = esp.indexOf(Buffer.from('EFI        '));
    const places = [
      ...Array.from({ length: 90 }, (_, index) => index),
      ...Array.from({ length: 64 }, (_, index) => 32 * 512 + index),
      ...Array.from({ length: 96 }, (_, index) => dataAt + index),
    ];
    for (const place of places) {
      for (const value of [0x00, 0xff, (esp[place] ?? 0) ^ 0x01]) {
        const kept = esp[place] ?? 0;
        esp[place] = value;
        let readBytes = 0;
        const read = readerOf(esp);
        try {
          const volume = await FatVolume.open((offset, length) => {
            readBytes += length;
            return read(offset, length);
          });
          for (const file of (await volume.list('EFI/keel')) ?? []) {
            await volume.readFile(file, { offsetBytes: 0, lengthBytes: 4096 });
          }
        } catch (error) {
          assert.ok(error instanceof RangeError, `byte ${place} as ${value}: ${error}`);
        } finally {
          esp[place] = kept;
        }
        assert.ok(readBytes < 8 * 2 ** 20, `byte ${place} as ${value}: ${readBytes} bytes read`);
      }
    }
    for (const length of [0, 1, 511, 512, 20_000]) {
      await assert.rejects(FatVolume.open(readerOf(esp.subarray(0, length))), RangeError);
    }
  });

  it('a chain that is a ring ends', async () => {
    const ring = Buffer.from(esp);
    const table = 32 * 512;
    // Every cluster leads to itself.
    for (let cluster = 2; cluster < 60; cluster += 1)
      ring.writeUInt32LE(cluster, table + cluster * 4);
    const volume = await FatVolume.open(readerOf(ring));
    await volume.list('EFI/keel');
  });

  it('have their command line found, and nothing else taken for one', async () => {
    const { commandLine, ...root } = testRoot(3, 130);
    const image = testKernelImage(commandLine);
    const lineOf = (bytes: Buffer) =>
      kernelCommandLine(async ({ offsetBytes, lengthBytes }) =>
        bytes.subarray(offsetBytes, offsetBytes + lengthBytes),
      );
    assert.equal(await lineOf(image), commandLine);
    const table = parseVerityTable((await lineOf(image)) ?? '');
    assert.deepEqual(
      [table?.dataBlocks, table?.hashStartBlock, table?.rootHash, table?.salt],
      [130, 130, root.rootHash, root.salt],
    );
    const end = image.lastIndexOf(commandLine) + commandLine.length;
    assert.equal(await lineOf(image.subarray(0, end)), commandLine);
    for (const length of [...new Array(168).keys(), end - 1]) {
      assert.equal(await lineOf(image.subarray(0, length)), undefined);
    }
    assert.equal(await kernelCommandLine(async () => undefined), undefined);
    for (let at = 0; at < 168; at += 1) {
      const broken = Buffer.from(image);
      broken.writeUInt8((broken[at] ?? 0) ^ 0xff, at);
      await lineOf(broken);
    }
  });

  it('directory entries that were deleted leave nothing behind', () => {
    const entry = Buffer.alloc(32);
    entry.write('NEW     TXT', 0, 'latin1');
    const long = Buffer.alloc(32, 0x41);
    long[11] = 0x0f;
    const deleted = Buffer.from(entry);
    deleted[0] = 0xe5;
    const names = fatRecords(Buffer.concat([long, deleted, entry])).map(({ name }) => name);
    assert.deepEqual(names, ['NEW.TXT']);
  });
});
