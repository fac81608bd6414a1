import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HashBlocksInput } from '@keelos/as-core/hash-blocks-job.ts';
import { CoreError } from '@keelos/as-core/status.ts';
import { CoreWorkers, WAITING_JOBS_MAX } from '@keelos/as-core/workers.ts';

const BLOCK_BYTES = 4096;
const RANGE_BYTES = 64 * BLOCK_BYTES;

describe('workers', () => {
  let folder: string;
  let fd: number;
  const workers = new CoreWorkers(2);

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'keel-workers-'));
    fd = openSync(join(folder, 'image'), 'w+');
    writeSync(fd, Buffer.alloc(BLOCK_BYTES, 'a'));
    writeSync(fd, Buffer.alloc(BLOCK_BYTES, 'b'));
  });

  after(async () => {
    await workers.close();
    closeSync(fd);
    rmSync(folder, { recursive: true });
  });

  function inputOf(blocks: number, changes: Partial<HashBlocksInput> = {}): HashBlocksInput {
    return {
      ...{ fd, offsetBytes: 0, blocks, salt: new Uint8Array(), direction: 'stream' },
      ranges: new SharedArrayBuffer(4 * Math.ceil(blocks / 64)),
      digests: new SharedArrayBuffer(32 * blocks),
      ...changes,
    };
  }

  const digestsOf = (text: string) =>
    [...text]
      .map((letter) => createHash('sha256').update(letter.repeat(BLOCK_BYTES)).digest('hex'))
      .join('');
  const hexOf = ({ digests }: HashBlocksInput) => Buffer.from(digests).toString('hex');

  it('do more jobs than there are workers, and answer each its own', async () => {
    const inputs = Array.from({ length: 20 }, (_, index) =>
      inputOf(1, { offsetBytes: (index % 2) * BLOCK_BYTES }),
    );
    const results = await Promise.all(inputs.map((input) => workers.run('hash-blocks', input)));
    for (const [index, input] of inputs.entries()) {
      const digest = digestsOf(index % 2 === 0 ? 'a' : 'b');
      assert.equal(hexOf(input), digest);
      assert.equal(results[index]?.sha256, digest);
    }
  });

  it('give back a refusal with its class, status and code, and work on', async () => {
    const failure = await workers.run('hash-blocks', inputOf(3)).catch((error) => error);
    assert.ok(failure instanceof CoreError);
    assert.equal(failure.code, 'verity-image-too-short');
    assert.match(failure.message, /^Cannot read at byte 8192: /);
    const salt = new Uint8Array(257);
    await assert.rejects(workers.run('hash-blocks', inputOf(1, { salt })), RangeError);
    await assert.rejects(workers.run('hash-blocks', inputOf(1, { fd: -1 })), RangeError);
    const input = inputOf(2);
    await workers.run('hash-blocks', input);
    assert.equal(hexOf(input), digestsOf('ab'));
  });

  it('give back an error of the system with its code, and work on', async () => {
    const none = workers.run('hash-blocks', inputOf(1, { fd: 2 ** 30 }));
    await assert.rejects(none, { code: 'EBADF' });
    await workers.run('hash-blocks', inputOf(1));
  });

  it('report progress', async () => {
    let bytes = 0;
    const onProgress = (value: number) => {
      bytes += value;
    };
    await workers.run('hash-blocks', inputOf(2), { onProgress });
    assert.equal(bytes, 2 * BLOCK_BYTES);
  });

  it('drop a waiting job that was given up, at once', async () => {
    const busy = [1, 2].map(() => workers.run('hash-blocks', inputOf(2)));
    const giveUp = new AbortController();
    const input = inputOf(2);
    const waiting = workers.run('hash-blocks', input, { signal: giveUp.signal });
    giveUp.abort(new Error('enough'));
    await assert.rejects(waiting, /enough/);
    await Promise.all(busy);
    await workers.run('hash-blocks', inputOf(1));
    assert.equal(hexOf(input), '00'.repeat(64));
    await assert.rejects(
      workers.run('hash-blocks', input, { signal: AbortSignal.abort(new Error('before')) }),
      /before/,
    );
  });

  it('tell a running job to end, and reject when it has', async () => {
    const sparse = openSync(join(folder, 'sparse'), 'w+');
    const blocks = 2 ** 20;
    ftruncateSync(sparse, blocks * BLOCK_BYTES);
    const giveUp = new AbortController();
    const input = inputOf(blocks, { fd: sparse });
    const onProgress = () => giveUp.abort(new Error('enough'));
    const running = workers.run('hash-blocks', input, { signal: giveUp.signal, onProgress });
    await assert.rejects(running, /enough/);
    closeSync(sparse);
    const taken = new Int32Array(input.ranges).filter((range) => range !== 0).length;
    assert.ok(taken > 0 && taken < (blocks * BLOCK_BYTES) / RANGE_BYTES, `${taken} ranges`);
    await workers.run('hash-blocks', inputOf(1));
  });

  it('share one file', async () => {
    const sparse = openSync(join(folder, 'shared'), 'w+');
    ftruncateSync(sparse, 1000 * BLOCK_BYTES);
    const forward = inputOf(1000, { fd: sparse });
    const backward: HashBlocksInput = { ...forward, direction: 'backward' };
    const [stream, none] = await Promise.all([
      workers.run('hash-blocks', forward),
      workers.run('hash-blocks', backward),
    ]);
    closeSync(sparse);
    assert.equal(hexOf(forward), digestsOf('\0').repeat(1000));
    const whole = createHash('sha256')
      .update(Buffer.alloc(1000 * BLOCK_BYTES))
      .digest('hex');
    assert.deepEqual([stream.sha256, none.sha256], [whole, '']);
  });

  it('refuse an input that cannot be sent, and work on', async () => {
    const salt = { length: () => 0 } as unknown as Uint8Array;
    await assert.rejects(workers.run('hash-blocks', inputOf(1, { salt })), /could not be cloned/);
    await workers.run('hash-blocks', inputOf(1));
  });

  it('refuse more than a bounded number of waiting jobs, and any after the end', async () => {
    const own = new CoreWorkers(1);
    const jobs = Array.from({ length: WAITING_JOBS_MAX + 2 }, () =>
      own.run('hash-blocks', inputOf(1)).catch((error: unknown) => error),
    );
    const last = await jobs.at(-1);
    assert.ok(last instanceof RangeError, String(last));
    await own.close();
    const ends = await Promise.all(jobs);
    assert.ok(ends.some((end) => end instanceof Error && /were closed/.test(end.message)));
    await assert.rejects(own.run('hash-blocks', inputOf(1)), RangeError);
  });

  it('are between 1 and 64', () => {
    for (const count of [0, -1, 1.5, 65, Number.NaN]) {
      assert.throws(() => new CoreWorkers(count), RangeError);
    }
  });
});
