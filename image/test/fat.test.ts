import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FatFile, FatOptions } from '@keelos/image/core/fat.ts';
import { buildFat32 } from '@keelos/image/core/fat.ts';
import { writeSparse } from '@keelos/image/sys/sparse-file.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import fc from 'fast-check';

const MIB = 1024 ** 2;
const ENVIRONMENT = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin`, TZ: 'UTC' };

const OPTIONS: Omit<FatOptions, 'files'> = {
  sizeBytes: 256 * MIB,
  label: 'KEEL-ESP',
  volumeId: 0x12345678,
  clusterBytes: 2048,
  hiddenSectors: 2048,
  timeSeconds: 1_793_491_200,
};

function file(path: string, content: string | Buffer): FatFile {
  return { path, data: Buffer.from(content as string) };
}

async function withImage(options: FatOptions, check: (path: string) => void): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'keel-fat-'));
  try {
    const path = join(dir, 'esp.img');
    await writeSparse(path, { sizeBytes: options.sizeBytes, extents: buildFat32(options) });
    check(path);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function run(command: string, args: string[]): Buffer {
  return execFileSync(command, args, { env: ENVIRONMENT, maxBuffer: 64 * MIB });
}

function readBack(image: string, path: string): Buffer {
  return run('mtype', ['-i', image, `::${path}`]);
}

describe('FAT32 writer', function () {
  this.timeout(30_000);

  const files = [
    file('EFI/BOOT/BOOTX64.EFI', Buffer.alloc(124_416, 7)),
    file('EFI/keel/0123abcd.efi', Buffer.alloc(5 * MIB + 1, 9)),
    file('loader/loader.conf', 'timeout 0\n'),
    file('loader/entries/keel-1+9.conf', 'title KeelOS\n'),
    file('loader/entries/keel-10.conf', ''),
  ];

  it('makes what fsck.vfat accepts, and mtools read every file back', async () => {
    await withImage({ ...OPTIONS, files }, (image) => {
      run('fsck.vfat', ['-n', image]);
      for (const { path, data } of files) {
        assert.ok(readBack(image, path).equals(Buffer.from(data)), path);
      }
      assert.match(run('mdir', ['-i', image, '-/', '::']).toString(), /keel-1\+9\.conf/);
      assert.match(run('mlabel', ['-i', image, '-s', '::']).toString(), /KEEL-ESP/);
    });
  });

  it('gives the same bytes for the same files in another order', () => {
    const bytes = (list: FatFile[]) => JSON.stringify(buildFat32({ ...OPTIONS, files: list }));
    assert.equal(bytes(files), bytes([...files].reverse()));
  });

  it('names directories and times so that tools show them', async () => {
    await withImage({ ...OPTIONS, files }, (image) => {
      const listing = run('mdir', ['-i', image, '::loader/entries']).toString();
      assert.match(listing, /2026-11-01\s+0:00\s+keel-1\+9\.conf/);
      assert.match(listing, /<DIR>/);
    });
  });

  it('refuses a name that is a file and a folder, in either order', () => {
    const both = [file('a', ''), file('A/b', '')];
    assert.throws(() => buildFat32({ ...OPTIONS, files: both }), TypeError);
    assert.throws(() => buildFat32({ ...OPTIONS, files: both.toReversed() }), TypeError);
  });

  it('holds for any sizes and names', async () => {
    const name = fc
      .stringMatching(/^[a-zA-Z0-9_+-]{1,30}(\.[a-zA-Z0-9]{1,5})?$/)
      .filter((one) => !/^[ab]$/i.test(one)); // those are folders
    const anyFiles = fc.uniqueArray(
      fc.record({
        dir: fc.constantFrom('', 'a/', 'a/long name here/', 'B/'),
        name,
        size: fc.nat(9000),
      }),
      { minLength: 1, maxLength: 40, selector: (one) => (one.dir + one.name).toUpperCase() },
    );
    const shape = fc.record({
      sizeBytes: fc.integer({ min: 40, max: 300 }).map((mib) => mib * MIB),
      clusterBytes: fc.constantFrom(512, 1024, 2048),
    });
    await fc.assert(
      fc.asyncProperty(anyFiles, shape, async (list, { sizeBytes, clusterBytes }) => {
        fc.pre(sizeBytes / clusterBytes > 70_000);
        const made = list.map((one, at) =>
          file(one.dir + one.name, Buffer.alloc(one.size, at + 1)),
        );
        await withImage({ ...OPTIONS, sizeBytes, clusterBytes, files: made }, (image) => {
          run('fsck.vfat', ['-n', image]);
          for (const { path, data } of made) {
            assert.ok(readBack(image, path).equals(Buffer.from(data)), path);
          }
        });
      }),
      { numRuns: 12 },
    );
  }).timeout(120_000);

  it('fills the disk to the last cluster, and refuses one more byte', async () => {
    const sizeBytes = 34 * MIB;
    const small = { ...OPTIONS, sizeBytes, clusterBytes: 512 };
    const tooMuch = () => buildFat32({ ...small, files: [file('x', Buffer.alloc(34 * MIB))] });
    assert.throws(
      tooMuch,
      (error) => error instanceof KeelError && /clusters needed/.test(error.message),
    );
    const reason = (() => {
      try {
        tooMuch();
      } catch (error) {
        return (error as Error).message;
      }
      return '';
    })();
    const there = Number(/(\d+) there/.exec(reason)?.[1]);
    // One cluster is the root directory.
    const full = Buffer.alloc((there - 1) * 512, 5);
    await withImage({ ...small, files: [file('x', full)] }, (image) => {
      run('fsck.vfat', ['-n', image]);
      assert.ok(readBack(image, 'x').equals(full));
    });
    const over = Buffer.alloc(full.length + 1);
    assert.throws(() => buildFat32({ ...small, files: [file('x', over)] }), KeelError);
  });

  it('refuses what FAT32 cannot hold', () => {
    const cases: [string, Partial<FatOptions>, RegExp][] = [
      ['too small', { sizeBytes: 16 * MIB }, /clusters, FAT32 has/],
      ['odd cluster', { clusterBytes: 3000 }, /clusters of 3000/],
      ['half a sector', { sizeBytes: 256 * MIB + 1 }, /file system of/],
      ['before 1980', { timeSeconds: 0, files: [file('a', '')] }, /year 1970/],
      ['name with colon', { files: [file('a:b', '')] }, /no name/],
      ['name ending in a dot', { files: [file('a.', '')] }, /no name/],
      ['empty name', { files: [file('', '')] }, /no name/],
      ['twice', { files: [file('a', ''), file('A', '')] }, /twice/],
      ['below a file', { files: [file('a', ''), file('a/b', '')] }, /is a file/],
    ];
    for (const [name, change, reason] of cases) {
      assert.throws(() => buildFat32({ ...OPTIONS, files: [], ...change }), reason, name);
    }
  });
});
