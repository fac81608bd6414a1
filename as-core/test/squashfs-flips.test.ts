/** Small valid SquashFS images with one byte changed, or cut: refused with a code, or read as others read them. */
import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { compileSquashfs, SquashfsImage } from '../src/squashfs.ts';
import { CoreError, Status } from '../src/status.ts';
import {
  ImageFolder,
  readerDetails,
  readerListing,
  sqfs2tarDetails,
  unsquashfsListing,
} from './squashfs-images.ts';
import { SUPERBLOCK } from './squashfs-sample.ts';
import { seeded, someBytes, tarEntry } from './squashfs-trees.ts';

const SEED = 11;
/** Changed images that are taken and shown to the other tools, for each sample. */
const ORACLE_TRIES = 12;
/** A change must not make a small image expensive. */
const WORK_BYTES_MAX = 64 * 1024 * 1024;
const modules = await compileSquashfs();

describe('a changed SquashFS', function () {
  this.timeout(60_000);
  const folder = new ImageFolder();
  after(() => folder.close());

  const random = seeded(SEED);
  const tree = [
    tarEntry({ path: 'd', type: 'directory' }),
    tarEntry({ path: 'd/f', type: 'file', content: someBytes(4096 + 77, random) }),
    tarEntry({ path: 'd/g', type: 'link', target: 'd/f' }),
    tarEntry({ path: 'h', type: 'file', content: Buffer.alloc(8200) }),
    tarEntry({ path: 'l', type: 'symlink', target: 'd/f' }),
    tarEntry({ path: 'n', type: 'character', device: [1, 3], gid: 5 }),
    tarEntry({ path: 'x', type: 'file', xattrs: { 'user.a': Buffer.from('b') } }),
  ];
  const SAMPLES = [
    {
      name: 'plain',
      path: folder.star(tree, ['-noI', '-noD', '-noF', '-noX', '-b', '4K', '-exports']),
    },
    { name: 'packed', path: folder.star(tree, ['-b', '4K', '-exports']) },
    { name: 'tar2sqfs', path: folder.ng(tree, ['-b', '4096', '-e']) },
  ];

  /** Code of the refusal, or undefined for an image that is taken. Anything else than a CoreError fails the test. */
  function judge(fd: number, sizeBytes: number): string | undefined {
    try {
      const image = SquashfsImage.openWith(modules, {
        fd,
        sizeBytes,
        workBytesMax: WORK_BYTES_MAX,
      });
      try {
        image.verify();
      } finally {
        // Reading what is not verified must end as well.
        for (const { path } of image.entries()) assert.ok(path.length > 0);
      }
      return undefined;
    } catch (error) {
      if (!(error instanceof CoreError)) throw error;
      assert.ok(error.code.startsWith('squashfs-'), error.message);
      assert.notEqual(error.status, Status.squashfsTrap, error.message);
      return error.code;
    }
  }

  for (const { name, path } of SAMPLES) {
    it(`${name}: every byte of the metadata, seed ${SEED}`, () => {
      const bytes = readFileSync(path);
      const used = Number(bytes.readBigUInt64LE(SUPERBLOCK.bytesUsed));
      const inodes = Number(bytes.readBigUInt64LE(SUPERBLOCK.inodeTable));
      const fd = openSync(path, 'r+');
      const taken: [offset: number, value: number][] = [];
      const codes = new Map<string, number>();
      for (let offset = 0; offset < used; offset++) {
        if (offset === 96) offset = inodes;
        const before = bytes[offset] ?? 0;
        for (const mask of [1 << random(8), 1 << random(8), 0xff]) {
          const value = before ^ mask;
          writeSync(fd, Uint8Array.of(value), 0, 1, offset);
          const refused = judge(fd, bytes.length);
          if (refused === undefined) taken.push([offset, value]);
          else codes.set(refused, (codes.get(refused) ?? 0) + 1);
        }
        writeSync(fd, Uint8Array.of(before), 0, 1, offset);
      }
      assert.equal(judge(fd, bytes.length), undefined);
      assert.ok(codes.size >= 10, JSON.stringify([...codes]));
      for (let count = 0; count < ORACLE_TRIES && taken.length > 0; count++) {
        const [[offset, value] = [0, 0]] = taken.splice(random(taken.length), 1);
        const changed = Buffer.from(bytes);
        changed[offset] = value;
        const file = folder.file(changed);
        const image = folder.open(file);
        assert.deepEqual(
          readerListing(image),
          unsquashfsListing(file),
          `byte ${offset} = ${value}`,
        );
        assert.deepEqual(readerDetails(image), sqfs2tarDetails(file), `byte ${offset} = ${value}`);
      }
      closeSync(fd);
    });

    it(`${name}: cut at every byte, with the size in the superblock as it was and fitting`, () => {
      const bytes = readFileSync(path);
      const used = Number(bytes.readBigUInt64LE(SUPERBLOCK.bytesUsed));
      const inodes = Number(bytes.readBigUInt64LE(SUPERBLOCK.inodeTable));
      // Of the data, whose blocks know no boundary that matters here, not every byte.
      const sizes = Array.from({ length: used }, (_, size) => size).filter(
        (size) => size < 200 || size > inodes - 50 || size % 41 === 0,
      );
      const fd = openSync(path, 'r+');
      for (const size of sizes) {
        assert.equal(judge(fd, size), 'squashfs-truncated', `${size} bytes`);
      }
      for (let size = used; size <= bytes.length; size += 13) {
        assert.equal(judge(fd, size), undefined, `${size} bytes`);
      }
      const field = Buffer.alloc(8);
      for (const size of sizes) {
        field.writeBigUInt64LE(BigInt(size));
        writeSync(fd, field, 0, 8, SUPERBLOCK.bytesUsed);
        assert.notEqual(judge(fd, size), undefined, `${size} bytes`);
      }
      closeSync(fd);
    });
  }
});
