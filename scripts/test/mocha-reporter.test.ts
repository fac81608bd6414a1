import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const CHECKOUT = resolve(import.meta.dirname, '../..');

/** Runs mocha with the reporter on one file of tests; what it counted, undefined when it wrote nothing. */
async function counted(source: string) {
  const folder = await mkdtemp(join(tmpdir(), 'keel-reporter-'));
  try {
    const [file, summary] = [join(folder, 'x.test.cjs'), join(folder, 'summary.json')];
    await writeFile(file, source);
    const mocha = join(CHECKOUT, 'node_modules/mocha/bin/mocha.js');
    const reporter = join(CHECKOUT, 'scripts/lib/mocha-reporter.cjs');
    const { status, stdout } = spawnSync(process.execPath, [mocha, '--reporter', reporter, file], {
      env: { ...process.env, KEEL_TEST_SUMMARY: summary },
      encoding: 'utf8',
    });
    const text = existsSync(summary) ? await readFile(summary, 'utf8') : undefined;
    return { status, stdout, counts: text === undefined ? undefined : JSON.parse(text) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

describe('mocha reporter', function () {
  this.timeout(20_000);

  it('counts what passed, failed and was skipped, and names what failed', async () => {
    const { counts, status } = await counted(`
      describe('outer', () => {
        it('good', () => {});
        it('bad', () => { throw new Error('broken on purpose'); });
        it.skip('later', () => {});
      });`);
    assert.deepEqual([counts.passed, counts.failed, counts.pending], [1, 1, 1]);
    assert.equal(counts.failures[0].title, 'outer › bad');
    assert.match(counts.failures[0].message, /broken on purpose/);
    assert.equal(status, 1);
  });

  it('counts a hook that fails: the tests behind it do not vanish', async () => {
    const { counts } = await counted(`
      describe('x', () => { before(() => { throw new Error('no node'); }); it('y', () => {}); });`);
    assert.deepEqual([counts.passed, counts.failed], [0, 1]);
    assert.match(counts.failures[0].title, /before all/);
  });

  it('writes nothing when the process dies: no summary is a failure to the caller', async () => {
    const { counts } = await counted(`it('dies', () => process.exit(0));`);
    assert.equal(counts, undefined);
  });
});
