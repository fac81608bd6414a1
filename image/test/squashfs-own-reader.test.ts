import assert from 'node:assert/strict';
import { closeSync, openSync, statSync } from 'node:fs';
import { SquashfsImage } from '@keelos/as-core/squashfs.ts';
import type { InodeEntry, SquashfsEntry } from '@keelos/image/core/squashfs-tree.ts';
import { expected, image, withFile } from './squashfs-oracle.ts';
import { EVERYTHING, file, folder, text } from './squashfs-samples.ts';

/** Opens an image with the reader of as-core. */
async function withReader(bytes: Uint8Array, use: (reader: SquashfsImage) => void): Promise<void> {
  let opened: Promise<void> | undefined;
  withFile(bytes, (path) => {
    // The file is unlinked while it is read.
    const fd = openSync(path, 'r');
    opened = SquashfsImage.open({ fd, sizeBytes: statSync(path).size }).then((reader) => {
      try {
        use(reader);
      } finally {
        reader.close();
        closeSync(fd);
      }
    });
  });
  await opened;
}

function linkCount(entry: InodeEntry, entries: readonly SquashfsEntry[]): number {
  const { path, type } = entry;
  if (type !== 'directory') {
    return (
      1 + entries.filter((other) => other.type === 'hard-link' && other.target === path).length
    );
  }
  const inside = path === '/' ? '/' : `${path}/`;
  return (
    2 +
    entries.filter((other) => {
      const rest = other.path.slice(inside.length);
      const isInside = other.path.startsWith(inside) && rest !== '' && !rest.includes('/');
      return other.type === 'directory' && isInside;
    }).length
  );
}

describe('SquashFS writer and our own reader', () => {
  for (const fragments of ['none', 'small-files', 'tails'] as const) {
    for (const isExportable of [false, true]) {
      it(`the verifier finds no fault (${fragments}, ${isExportable ? '' : 'not '}exportable)`, () =>
        withReader(image(EVERYTHING, { fragments, isExportable }), (reader) => {
          // It throws at the first fault.
          const { directories, others } = reader.verify();
          assert.deepEqual([directories, others], [4, 6]);
        }));
    }
  }

  it('every fact and every byte come back, found by path', () =>
    withReader(image(EVERYTHING, { fragments: 'tails' }), (reader) => {
      const byPath = new Map(EVERYTHING.map((entry) => [entry.path, entry]));
      for (const { path } of EVERYTHING) {
        const name = byPath.get(path);
        const entry = name?.type === 'hard-link' ? byPath.get(name.target) : name;
        assert.ok(entry !== undefined && entry.type !== 'hard-link');
        const found = path === '/' ? reader.root : reader.lookup(path);
        assert.ok(found !== undefined, path);
        const pieces: Uint8Array[] = [];
        if (found.type === 'file') reader.readFile(path, (piece) => pieces.push(piece.slice()));
        const { device, target, xattrs } = found;
        const seen = {
          type: found.type,
          mode: found.mode,
          mtimeSeconds: found.mtimeSeconds,
          owner: `${found.uid}:${found.gid}`,
          target: target ?? '',
          device: device === undefined ? '' : `${device.major}:${device.minor}`,
          contents: Buffer.concat(pieces),
          xattrs: Object.fromEntries(
            xattrs.map((each) => [each.name, Buffer.from(each.value).toString('hex')]),
          ),
        };
        assert.deepEqual(seen, expected(entry), path);
        assert.equal(found.nlink, linkCount(entry, EVERYTHING), path);
      }
    }));

  it('a directory of 10,000 names has no fault, and each is found', () => {
    const names = Array.from({ length: 10_000 }, (_, index) => `/d/name-${index * 7919}`);
    const entries = [folder('/d'), ...names.map((path) => file(path, text(3)))];
    return withReader(image(entries), (reader) => {
      assert.ok(reader.verify().ok);
      for (let index = 0; index < names.length; index += 97) {
        assert.equal(reader.lookup(names[index] ?? '')?.path, names[index]);
      }
      assert.equal(reader.lookup('/d/name-1'), undefined);
    });
  });

  it('an empty tree has no fault', () =>
    withReader(image([]), (reader) => assert.ok(reader.verify().ok)));
});
