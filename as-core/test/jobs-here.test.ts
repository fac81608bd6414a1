import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { JobsHere } from '@keelos/as-core/jobs-here.ts';
import { buildHashTree } from '@keelos/as-core/verity.ts';

describe('jobs in the calling thread', () => {
  let directory = '';
  let fd = 0;
  const dataBlocks = 3000;

  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'keel-here-'));
    const path = join(directory, 'data');
    writeFileSync(path, Buffer.alloc(dataBlocks * 4096, 'keel'));
    fd = openSync(path, 'r');
  });
  after(() => {
    closeSync(fd);
    rmSync(directory, { recursive: true, force: true });
  });

  it('find what threads find, and report the same', async () => {
    const salt = Buffer.alloc(32, 7);
    const answers = [];
    for (const workers of [undefined, new JobsHere()]) {
      const told: number[] = [];
      const onProgress = (done: number) => told.push(done);
      answers.push({
        ...(await buildHashTree({ fd, dataBlocks, salt, workers, onProgress })),
        told,
      });
    }
    assert.deepEqual(answers[1], answers[0]);
    assert.ok((answers[1]?.told.length ?? 0) > 1);
  });

  it('end between two reports, and refuse to begin, when the caller has given up', async () => {
    const stop = new AbortController();
    const { signal } = stop;
    const told: number[] = [];
    const workers = new JobsHere();
    const run = () =>
      buildHashTree({
        ...{ fd, dataBlocks, salt: Buffer.alloc(0), workers, signal },
        onProgress(done) {
          told.push(done);
          stop.abort(new Error('enough'));
        },
      });
    await assert.rejects(run(), /enough/);
    const seen = told.length;
    assert.ok((told.at(-1) ?? 0) < dataBlocks * 4096, told.join());
    await assert.rejects(run(), /enough/);
    assert.equal(told.length, seen);
  });
});
