/** A file for what need not outlive an update, on a real disk. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KeelError } from '@keelos/proto/errors.ts';
import { scratchFile } from '@keelos/ts-agent/sys/scratch-file.ts';

/** More than any disk has. */
const HUGE_BYTES = 2 ** 52;

describe('a scratch file', () => {
  let folder = '';
  const at = (name: string) => join(folder, name);

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keel-scratch-'));
  });
  after(() => rm(folder, { recursive: true }));

  async function* pieces(...texts: readonly (string | Error)[]): AsyncGenerator<Uint8Array> {
    for (const text of texts) {
      if (text instanceof Error) throw text;
      yield Buffer.from(text);
    }
  }

  it('is replaced, and removed, also when it is not there', async () => {
    const file = scratchFile(at('one'));
    await writeFile(file.path, 'something longer from before');
    await file.write(pieces('a', 'bc'), 3);
    assert.equal(await readFile(file.path, 'utf8'), 'abc');
    await file.remove();
    await file.remove();
    assert.equal(existsSync(file.path), false);
  });

  it('is refused without room for it, before anything is asked for', async () => {
    const file = scratchFile(at('huge'));
    let isAsked = false;
    async function* asked(): AsyncGenerator<Uint8Array> {
      isAsked = true;
      yield Buffer.alloc(1);
    }
    await assert.rejects(file.write(asked(), HUGE_BYTES), { code: 'E_STATE_FULL' });
    assert.deepEqual([isAsked, existsSync(file.path)], [false, false]);
  });

  it('leaves nothing of what broke off, and says why', async () => {
    const file = scratchFile(at('broken'));
    const gone = new KeelError('E_SOURCE_SHORT', 'gone');
    await assert.rejects(file.write(pieces('a', gone), 3), gone);
    assert.equal(existsSync(file.path), false);
    const nowhere = scratchFile(at('no/such/folder'));
    await assert.rejects(nowhere.write(pieces('a'), 1), { code: 'E_STATE_UNAVAILABLE' });
  });
});
