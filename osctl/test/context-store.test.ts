import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { withContext } from '../src/core/contexts.ts';
import { contextStore } from '../src/sys/context-store.ts';

const STORE_MODULE = resolve(import.meta.dirname, '../src/sys/context-store.ts');
const CORE_MODULE = resolve(import.meta.dirname, '../src/core/contexts.ts');
const CONTEXT = { endpoint: 'e:1', serverCertificate: 's', certificate: 'c', key: 'k' };
const WRITERS = 4;
const EDITS = 15;

describe('the contexts file of several osctl', function () {
  this.timeout(30_000);
  let dir = '';
  let path = '';
  let lock = '';

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'keel-contexts-'));
    path = join(dir, 'osctl.yaml');
    lock = `${path}.lock`;
  });
  afterEach(() => rm(dir, { recursive: true }));

  const add = (name: string) =>
    contextStore(path).update((file) => withContext(file, { name, context: CONTEXT, use: false }));
  const names = async () => Object.keys((await contextStore(path).load()).contexts).sort();

  it('has every edit', async () => {
    const script = `
      import { contextStore } from ${JSON.stringify(STORE_MODULE)};
      import { withContext } from ${JSON.stringify(CORE_MODULE)};
      const [path, writer] = process.argv.slice(1);
      for (let edit = 0; edit < ${EDITS}; edit += 1) {
        const name = 'w' + writer + '-' + edit;
        await contextStore(path).update((file) =>
          withContext(file, { name, context: ${JSON.stringify(CONTEXT)}, use: false }));
      }`;
    const writers = Array.from({ length: WRITERS }, (_, writer) =>
      spawn(process.execPath, ['--input-type=module', '-e', script, path, String(writer)], {
        stdio: ['ignore', 'inherit', 'inherit'],
      }),
    );
    const codes = await Promise.all(
      writers.map(async (writer) => (await once(writer, 'close'))[0]),
    );
    assert.deepEqual(codes, Array(WRITERS).fill(0));
    assert.equal((await names()).length, WRITERS * EDITS);
    assert.deepEqual(await readdir(dir), ['osctl.yaml']);
  });

  it('is free again after an osctl that died in an edit', async () => {
    const dead = spawn('true');
    await once(dead, 'close');
    await writeFile(lock, `${dead.pid} ${hostname()}\n`);
    await add('one');
    await writeFile(lock, ''); // died before it wrote its number
    await utimes(lock, 1, 1);
    await add('two');
    assert.deepEqual(await names(), ['one', 'two']);
    assert.deepEqual(await readdir(dir), ['osctl.yaml']);
  });

  it('is left alone while another osctl has it, here or on another host: after 5 s an error', async () => {
    await add('one');
    const dead = spawn('true');
    await once(dead, 'close');
    for (const holder of [`${process.pid} ${hostname()}`, `${dead.pid} elsewhere`]) {
      await writeFile(lock, `${holder}\n`);
      await assert.rejects(add('two'), (error: Error & { code: string; hint: string }) => {
        assert.equal(error.code, 'E_CONTEXT_FILE');
        assert.match(error.message, /another osctl has had it for 5 s \(process \d+ on \S+\)/);
        assert.ok(error.hint.includes(lock), error.hint);
        return true;
      });
    }
    assert.deepEqual(await names(), ['one']);
  });

  it('is as it was, and free, after an edit that failed', async () => {
    await add('one');
    const failing = contextStore(path).update(() => {
      throw new RangeError('no');
    });
    await assert.rejects(failing, /no/);
    await add('two');
    assert.deepEqual(await names(), ['one', 'two']);
  });
});
