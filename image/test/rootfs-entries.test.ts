import assert from 'node:assert/strict';
import { rootfsEntries } from '@keelos/image/core/rootfs-entries.ts';
import { ROOTFS_MANIFEST } from '@keelos/image/core/rootfs-manifest.data.ts';
import { manifestFiles } from '@keelos/image/core/rootfs-manifest.ts';
import { planSquashfs } from '@keelos/image/core/squashfs-writer.ts';
import { OPTIONS } from './squashfs-oracle.ts';

const FILES = manifestFiles(ROOTFS_MANIFEST);
const CONTENTS = new Map(FILES.map(({ path }) => [path, Buffer.from(path)]));

describe('entries of the root', () => {
  it('are those of the manifest, each with its mode, owned by root', () => {
    const entries = rootfsEntries(ROOTFS_MANIFEST, CONTENTS);
    assert.deepEqual(
      entries.map(({ path, type }) => [path, type]),
      ROOTFS_MANIFEST.map(({ path, type }) => [path, type]),
    );
    const { tree, ids } = planSquashfs(entries, OPTIONS);
    assert.deepEqual(ids, [0]);
    const modes = new Map(tree.inodes.map(({ entry }) => [entry.path, entry.mode]));
    for (const { path, mode } of FILES) assert.equal(modes.get(path), mode, path);
  });

  it('lie in the image with what we build ourselves behind what comes from elsewhere', () => {
    const { data } = planSquashfs(rootfsEntries(ROOTFS_MANIFEST, CONTENTS), OPTIONS);
    const order = [...data.files.keys()].map(({ entry }) => entry.path);
    const kinds = order.map((path) => FILES.find((file) => file.path === path)?.source.kind);
    assert.deepEqual([...new Set(kinds)], ['debian', 'npm', 'own', 'built']);
    assert.equal(kinds.lastIndexOf('own') + 1, kinds.indexOf('built'));
    assert.equal(order.at(-1), '/usr/bin/keel');
  });

  it('are not made without the bytes of a file', () => {
    assert.throws(() => rootfsEntries(ROOTFS_MANIFEST, new Map()), /its bytes are missing/);
  });
});
