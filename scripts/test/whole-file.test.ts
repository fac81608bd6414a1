import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finishedName, makeFile, replaceFile } from '../lib/whole-file.mjs';

describe('a file that is complete or not there', () => {
  let folder = '';
  let path = '';

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keel-whole-'));
    path = join(folder, 'file.json');
    await replaceFile(path, 'old');
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('is the old one until the new one is made', async () => {
    await makeFile(path, async (temporary) => {
      await writeFile(temporary, 'half');
      assert.equal(await readFile(path, 'utf8'), 'old');
      await writeFile(temporary, 'new');
    });
    assert.equal(await readFile(path, 'utf8'), 'new');
    assert.deepEqual(await readdir(folder), ['file.json']);
  });

  it('stays as it was when its maker fails, and nothing else stays', async () => {
    const failing = makeFile(path, async (temporary) => {
      await writeFile(temporary, 'half');
      throw new Error('no');
    });
    await assert.rejects(failing, /^Error: no$/);
    assert.equal(await readFile(path, 'utf8'), 'old');
    assert.deepEqual(await readdir(folder), ['file.json']);
  });

  it('has the mode that was asked for', async () => {
    await replaceFile(path, 'secret', { mode: 0o600 });
    assert.equal((await stat(path)).mode & 0o777, 0o600);
  });

  it('is told from what an interrupted maker left', async () => {
    let name = '';
    await makeFile(path, async (temporary) => {
      await writeFile(temporary, '');
      name = (await readdir(folder)).find((each) => each !== 'file.json') ?? '';
    });
    assert.notEqual(name, '');
    assert.equal(finishedName(name), 'file.json');
    assert.equal(finishedName('news.new.txt'), 'news.new.txt');
  });
});
