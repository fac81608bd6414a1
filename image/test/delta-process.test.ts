/** The generator of deltas in a process of its own: how its failures are told. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeDeltaInProcess } from '@keelos/image/sys/delta-process.ts';
import { KeelError } from '@keelos/proto/errors.ts';

describe('the generator of deltas in a process of its own', function () {
  this.timeout(60_000);

  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keel-delta-process-'));
  });
  after(() => rm(folder, { recursive: true }));

  const request = (signal?: AbortSignal) => ({
    oldPath: join(folder, 'old'),
    newPath: join(folder, 'new'),
    out: join(folder, 'out.kdelta'),
    ...(signal === undefined ? {} : { signal }),
  });

  it('says what it was told when an input is none', async () => {
    await writeFile(join(folder, 'old'), 'no bundle');
    await writeFile(join(folder, 'new'), 'none either');
    await assert.rejects(makeDeltaInProcess(request()), (error) => {
      assert.ok(error instanceof KeelError);
      assert.match(error.message, /^Cannot make delta .*out\.kdelta: Cannot /);
      return true;
    });
    assert.ok(!existsSync(join(folder, 'out.kdelta')));
  });

  it('ends when nobody wants it any more', async () => {
    const stop = new AbortController();
    const made = makeDeltaInProcess(request(stop.signal));
    stop.abort();
    await assert.rejects(made, { code: 'E_CANCELLED' });
    await assert.rejects(makeDeltaInProcess(request(stop.signal)), { code: 'E_CANCELLED' });
  });
});
