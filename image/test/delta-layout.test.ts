/** Pieces of images: they cover the image without a gap, and unpack to what a reader reads; damage never traps. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import {
  compileLayout,
  type Layout,
  layoutOf,
  unpackPiece,
  withKernelImage,
} from '@keelos/as-core/delta-layout.ts';
import { UnpackedSource } from '@keelos/as-core/delta-source.ts';
import { CoreError } from '@keelos/as-core/status.ts';
import { ZstdEncoder } from '@keelos/as-core/zstd.ts';
import { layoutSquashfs, planSquashfs } from '@keelos/image/core/squashfs-writer.ts';
import { bytesSource } from '@keelos/image/shell/delta-prove.ts';
import { NO_KERNEL } from '@keelos/proto/delta.ts';
import { file, noise, program } from './delta-samples.ts';
import { image, OPTIONS, run } from './squashfs-oracle.ts';

const FLIPS = 1000;
const TIMEOUT_MS = 120_000;
const modules = await compileLayout();

const FILES: Readonly<Record<string, Buffer>> = {
  a: program(50_000, 1),
  b: noise(9000, 2),
  c: program(100, 3),
  d: Buffer.concat([program(8192, 4), Buffer.alloc(8192), program(5000, 5)]),
  // Equal to another one: its blocks are there once.
  e: program(50_000, 1),
};
const LEVEL = 3;
/** Field of the superblock. */
const USED_BYTES_AT = 40;

function ours(fragments: 'none' | 'tails', isExportable: boolean): Buffer {
  const entries = Object.entries(FILES).map(([name, contents]) => file(`/${name}`, contents));
  return image(entries, { blockBytes: 8192, level: LEVEL, fragments, isExportable });
}

/** An image of squashfs-tools; its zstd may be another one. */
function mksquashfs(...options: readonly string[]): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'keel-layout-'));
  try {
    mkdirSync(join(folder, 'in'));
    for (const [name, contents] of Object.entries(FILES)) {
      writeFileSync(join(folder, 'in', name), contents);
    }
    const out = join(folder, 'out');
    run('mksquashfs', join(folder, 'in'), out, '-comp', 'zstd', '-noappend', '-quiet', ...options);
    return readFileSync(out);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const withoutFragments = ours('none', false);
const withFragments = ours('tails', true);

const IMAGES: Readonly<Record<string, { readonly bytes: Buffer; readonly isOurs: boolean }>> = {
  'an image without fragments': { bytes: withoutFragments, isOurs: true },
  'an image with fragments and an export table': { bytes: withFragments, isOurs: true },
  'an image of mksquashfs': { bytes: mksquashfs('-b', '8192'), isOurs: false },
  'an image of mksquashfs without fragments': {
    bytes: mksquashfs('-b', '16384', '-no-fragments', '-no-exports'),
    isOurs: false,
  },
};

function layout(bytes: Uint8Array): Layout {
  return layoutOf(modules, { sizeBytes: bytes.length, read: bytesSource(bytes).read });
}

function sourceOf(bytes: Uint8Array): UnpackedSource {
  const { read } = bytesSource(bytes);
  return new UnpackedSource({ layout: layout(bytes), decoder: modules.decoder, read });
}

describe('pieces of an image', function () {
  this.timeout(TIMEOUT_MS);

  for (const [name, { bytes: image, isOurs }] of Object.entries(IMAGES)) {
    it(`cover ${name} without a gap`, () => {
      const { pieces, unpackedBytes } = layout(image);
      let [end, unpackedEnd] = [0, 0];
      for (const piece of pieces) {
        assert.equal(piece.place, end);
        assert.equal(piece.unpackedPlace, unpackedEnd);
        const packed = image.subarray(end, end + piece.packedBytes);
        unpackPiece(modules.decoder, { piece, packed }, new Uint8Array(piece.unpackedBytes));
        end += piece.packedBytes;
        unpackedEnd += piece.unpackedBytes;
      }
      assert.equal(end, image.length);
      assert.equal(unpackedEnd, unpackedBytes);
      const kinds = new Set(pieces.map(({ kind }) => kind));
      assert.deepEqual([...kinds].sort(), ['data', 'metadata', 'raw']);
    });

    it(`of ${name} hold the blocks of its files`, () => {
      const source = sourceOf(image);
      const all = Buffer.alloc(source.sizeBytes);
      source.read(0, all);
      const blockBytes = layout(image).blockBytes;
      for (const [path, contents] of Object.entries(FILES)) {
        for (let at = 0; at < contents.length; at += blockBytes) {
          const block = contents.subarray(at, at + blockBytes);
          // A hole is stored nowhere.
          if (block.every((byte) => byte === 0)) continue;
          assert.ok(all.includes(block), `${path}, byte ${at}`);
        }
      }
      assert.equal(all.indexOf(FILES.b ?? ''), all.lastIndexOf(FILES.b ?? ''));
    });

    if (!isOurs) continue;
    it(`of ${name} are packed again to the same bytes`, async () => {
      const encoder = await ZstdEncoder.create();
      const data = layout(image).pieces.filter(({ kind }) => kind === 'data');
      assert.ok(data.length > 5);
      for (const piece of data) {
        const packed = image.subarray(piece.place, piece.place + piece.packedBytes);
        const content = new Uint8Array(piece.unpackedBytes);
        unpackPiece(modules.decoder, { piece, packed }, content);
        assert.ok(Buffer.from(encoder.encode(content, LEVEL)).equals(packed));
      }
    });
  }

  it('are read from any place, in pieces of any length', () => {
    const source = sourceOf(withFragments);
    const all = new Uint8Array(source.sizeBytes);
    source.read(0, all);
    for (let index = 0; index < 500; index++) {
      const at = (index * 7919) % source.sizeBytes;
      const length = Math.min((index * 131) % 9000, source.sizeBytes - at);
      const bytes = new Uint8Array(length);
      source.read(at, bytes);
      assert.equal(crc32(bytes), crc32(all.subarray(at, at + length)), `${at} + ${length}`);
    }
    assert.throws(() => source.read(source.sizeBytes, new Uint8Array(1)), RangeError);
    assert.throws(() => source.read(-1, new Uint8Array(1)), RangeError);
  });

  it('have what stands behind the image as raw bytes', () => {
    const own = layout(withoutFragments);
    const of = { bytes: 100_000, pieceBytes: 65_536, kernel: NO_KERNEL };
    const { pieces, unpackedBytes } = withKernelImage(own, of);
    const [first, second] = pieces.slice(-2);
    assert.deepEqual([first?.packedBytes, second?.packedBytes], [65_536, 34_464]);
    assert.equal(first?.place, withoutFragments.length);
    assert.equal(unpackedBytes, own.unpackedBytes + 100_000);
  });

  it('have a kernel in what stands behind the image as one piece, unpacked', () => {
    const own = layout(withoutFragments);
    const kernel = { offset: 70_000, packedBytes: 20_000, unpackedBytes: 90_000 };
    const { pieces, unpackedBytes } = withKernelImage(own, {
      ...{ bytes: 100_000, pieceBytes: 65_536, kernel },
    });
    const behind = pieces.slice(own.pieces.length);
    assert.deepEqual(
      behind.map(({ kind, place, packedBytes }) => [
        kind,
        place - withoutFragments.length,
        packedBytes,
      ]),
      [
        ['raw', 0, 65_536],
        ['raw', 65_536, 4_464],
        ['kernel', 70_000, 20_000],
        ['raw', 90_000, 10_000],
      ],
    );
    assert.equal(unpackedBytes, own.unpackedBytes + 170_000);
    assert.equal(behind.at(-1)?.unpackedPlace, own.unpackedBytes + 160_000);
  });

  it(`of an image with one of ${FLIPS} bits turned are a layout or a refusal, and lie within it`, () => {
    const codes = new Set<string>();
    for (let index = 0; index < FLIPS; index++) {
      const changed = Buffer.from(withFragments);
      // Superblock and tables: the last of it, and the first hundred bytes.
      const at = index % 4 === 0 ? index % 100 : withFragments.length - 1 - ((index * 37) % 2500);
      changed[at] = (changed[at] ?? 0) ^ (1 << (index % 8));
      try {
        const { pieces } = layout(changed);
        const last = pieces.at(-1);
        assert.equal((last?.place ?? 0) + (last?.packedBytes ?? 0), changed.length);
      } catch (error) {
        assert.ok(error instanceof CoreError, `${error}`);
        assert.notEqual(error.code, 'delta-trap');
        codes.add(error.code);
      }
    }
    assert.ok(codes.size > 10, [...codes].join());
  });

  it('of blocks that overlap are refused', async () => {
    const encoder = await ZstdEncoder.create();
    const plan = planSquashfs([file('/a', program(8192, 1)), file('/b', program(8192, 2))], {
      ...OPTIONS,
      ...{ blockBytes: 8192, fragments: 'none' },
    });
    const packed = plan.data.pieces.map((piece) => encoder.encode(piece, LEVEL));
    // Tables that are not compressed: the start of a file's data is found in its inode by its value.
    const bytes = layoutSquashfs(plan, { packed, compress: (table) => table });
    const { pieces } = layout(bytes);
    const [first, second] = pieces.filter(({ kind }) => kind === 'data');
    assert.ok(first !== undefined && second !== undefined);
    const start = Buffer.alloc(4);
    start.writeUInt32LE(second.place);
    const changed = Buffer.from(bytes);
    const at = changed.indexOf(start, second.place + second.packedBytes);
    assert.ok(at > 0);
    changed.writeUInt32LE(first.place + 10, at);
    assert.throws(() => layout(changed), { code: 'delta-pieces' });
  });

  it('of what is no image are refused', () => {
    assert.throws(() => layout(new Uint8Array(0)), { code: 'squashfs-truncated' });
    assert.throws(() => layout(new Uint8Array(5000)), { code: 'squashfs-magic' });
    const usedBytes = Number(withoutFragments.readBigUInt64LE(USED_BYTES_AT));
    for (let length = 0; length < usedBytes; length += 311) {
      assert.throws(() => layout(withoutFragments.subarray(0, length)), CoreError);
    }
  });
});
