import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { folderEntries } from '../folder-entries.ts';

describe('entries of a folder', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'keel-folder-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('are its files, directories and links; links are not followed', async () => {
    mkdirSync(join(folder, 'd'));
    chmodSync(join(folder, 'd'), 0o1755);
    writeFileSync(join(folder, 'd/f'), 'text');
    chmodSync(join(folder, 'd/f'), 0o4755);
    symlinkSync('d', join(folder, 'link'));
    const entries = await folderEntries(folder);
    assert.deepEqual(
      entries.sort((a, b) => (a.path < b.path ? -1 : 1)),
      [
        { type: 'directory', path: '/d', mode: 0o1755 },
        { type: 'file', path: '/d/f', mode: 0o4755, contents: Buffer.from('text') },
        { type: 'symlink', path: '/link', mode: 0o777, target: 'd' },
      ],
    );
  });

  it('are refused when there is a FIFO among them', async () => {
    execFileSync('mkfifo', [join(folder, 'fifo')]);
    await assert.rejects(folderEntries(folder), /no file, directory or link/);
  });
});
