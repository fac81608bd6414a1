import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { filesBelow } from '../lib/files-below.mjs';

/** What the bare scripts hand over to. */
const ON_PINNED_NODE = [
  'local-node.mjs',
  'node-image.mjs',
  'quickstart-node.mjs',
  'vm-command.mjs',
];
const SCRIPTS = resolve(import.meta.dirname, '..');

describe('files below a folder', () => {
  it('are all that are wanted, but for packages, build results and what links lead to', async () => {
    const root = await mkdtemp(join(tmpdir(), 'keel-below-'));
    try {
      for (const folder of ['a/deep', 'node_modules/x', 'a/build']) {
        await mkdir(join(root, folder), { recursive: true });
        await writeFile(join(root, folder, 'b.ts'), '');
      }
      await writeFile(join(root, 'a.ts'), '');
      await writeFile(join(root, 'a.txt'), '');
      await symlink(join(root, 'a'), join(root, 'link'));
      const found = await filesBelow(root, (name) => name.endsWith('.ts'));
      assert.deepEqual(found, [join(root, 'a.ts'), join(root, 'a/deep/b.ts')]);
    } finally {
      await rm(root, { recursive: true });
    }
  });
});

describe('the scripts', () => {
  it('use nothing that Node 20.0 does not have', async () => {
    // "recursive" of readdir (20.1), paths of Dirent (20.1 and 20.12), import.meta.dirname (20.11).
    const late = /readdir\([^)]*recursive|\bparentPath\b|import\.meta\.(dirname|filename)/;
    const files = await filesBelow(SCRIPTS, (name) => name.endsWith('.mjs'));
    const bare = files.filter((file) => !ON_PINNED_NODE.includes(basename(file)));
    assert.equal(bare.length, files.length - ON_PINNED_NODE.length);
    for (const file of bare) assert.doesNotMatch(await readFile(file, 'utf8'), late, file);
  });
});
