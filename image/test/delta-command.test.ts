/** `keel-image delta` on files: a signed delta between bundles, and what it refuses. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeltaFile } from '@keelos/as-core/delta-file.ts';
import { makeDelta } from '@keelos/image/shell/delta.ts';
import { matchBytes } from '@keelos/image/shell/delta-coding.ts';
import { bytesSource } from '@keelos/image/shell/delta-prove.ts';
import { makeKeyFiles } from '@keelos/image/sys/key-files.ts';
import { judgeSigned } from '@keelos/proto/bundle-signature.ts';
import { DELTA_SIGNATURE_CONTEXT } from '@keelos/proto/delta.ts';
import { exec } from '../../scripts/lib/exec.mjs';
import {
  apply,
  bundleOf,
  inputOf,
  newEntries,
  noise,
  oldEntries,
  program,
} from './delta-samples.ts';
import { image } from './squashfs-oracle.ts';

const TIMEOUT_MS = 120_000;
const MAIN = new URL('../src/main.ts', import.meta.url).pathname;

describe('keel-image delta', function () {
  this.timeout(TIMEOUT_MS);
  let folder: string;
  let targetFile: Buffer;
  const at = (name: string) => join(folder, name);

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keel-delta-'));
    const uki = program(150_000, 5);
    const newUki = Buffer.concat([uki.subarray(0, 9000), Buffer.from('more'), uki.subarray(9000)]);
    targetFile = await bundleOf({ version: '1.0.1', entries: newEntries(), uki: newUki });
    await writeFile(at('old'), await bundleOf({ version: '1.0.0', entries: oldEntries(), uki }));
    await writeFile(at('new'), targetFile);
    await writeFile(at('plain'), image(oldEntries()));
    await writeFile(at('text'), 'no image at all');
    const damaged = await readFile(at('old'));
    damaged.writeUInt8(damaged.readUInt8(5000) ^ 1, 5000);
    await writeFile(at('damaged'), damaged);
  });

  after(() => rm(folder, { recursive: true }));

  const run = (...args: readonly string[]) =>
    exec(process.execPath, [MAIN, 'delta', ...args], { anyExit: true });

  it('makes a signed delta, and says what it is', async () => {
    const { key, privatePath } = await makeKeyFiles({ dir: at('keys'), name: 'a', notAfter: 0 });
    const { stdout, exitCode, stderr } = await run(
      ...[at('old'), at('new'), at('out.kdelta'), '--key', privatePath, '--json'],
    );
    assert.equal(exitCode, 0, stderr);
    const report = JSON.parse(stdout);
    const bytes = await readFile(at('out.kdelta'));
    assert.equal(report.deltaBytes, bytes.length);
    assert.deepEqual([report.from, report.to], ['1.0.0', '1.0.1']);
    assert.equal(report.fullBytes, targetFile.length);
    const delta = await DeltaFile.open(bytesSource(bytes));
    const { signers } = judgeSigned({
      subject: 'delta',
      tail: delta,
      trust: { format: 'keelos-trust/1', threshold: 1, epoch: 1, keys: [key] },
      nowMs: 0,
      context: DELTA_SIGNATURE_CONTEXT,
    });
    assert.deepEqual(signers, ['a']);
    const sides = { old: await inputOf(await readFile(at('old'))), targetFile };
    const made = await apply(bytes, { ...sides, target: await inputOf(targetFile) });
    const all = Buffer.concat([made.root, made.uki]);
    assert.ok(targetFile.subarray(0, all.length).equals(all));
  });

  it('makes what keel-image inspect explains', async () => {
    const out = at('inspected.kdelta');
    const { deltaBytes } = await makeDelta({ oldPath: at('old'), newPath: at('new'), out });
    const args = [MAIN, 'inspect', out, '-o', 'json'];
    const { stdout } = await exec(process.execPath, args);
    const facts = JSON.parse(stdout);
    assert.equal(facts.kind, 'delta');
    assert.deepEqual([facts.from, facts.to, facts.deltaBytes], ['1.0.0', '1.0.1', deltaBytes]);
  });

  it('makes the same bytes each time', async () => {
    const report = async (name: string) =>
      (await makeDelta({ oldPath: at('old'), newPath: at('new'), out: at(name) })).sha256;
    assert.equal(await report('first'), await report('second'));
    assert.ok((await readFile(at('first'))).equals(await readFile(at('second'))));
  });

  it('says for people how much smaller it is', async () => {
    const { stdout, stderr, exitCode } = await run(at('old'), at('new'), at('out.kdelta'));
    assert.equal(exitCode, 0);
    assert.match(stdout, /times smaller than the/);
    assert.match(stderr, /^looking for what changed\nmatching\ncoding\nproving\n/);
  });

  const refused: readonly (readonly [
    name: string,
    files: readonly [old: string, target: string],
    says: RegExp,
    maxMemoryBytes?: number,
  ])[] = [
    ['a bundle and none', ['old', 'plain'], /one is a bundle, the other is none/],
    ['no image', ['old', 'text'], /begins with no SquashFS/],
    ['no file', ['old', 'none'], /ENOENT/],
    ['an old bundle that is damaged', ['damaged', 'new'], /its root is damaged/],
    ['too little memory for the files', ['old', 'new'], /at most \d+ fit/, 2 ** 20],
  ];
  for (const [name, [oldPath, newPath], says, maxMemoryBytes = 2 ** 30] of refused) {
    it(`is refused with ${name}, and leaves nothing`, async () => {
      const before = await readdir(folder);
      const request = { oldPath: at(oldPath), newPath: at(newPath), out: at('x'), maxMemoryBytes };
      await assert.rejects(makeDelta(request), says);
      assert.deepEqual(await readdir(folder), before);
    });
  }

  it('takes two images of mksquashfs, whose blocks it carries where it cannot make them again', async () => {
    const tree = at('tree');
    await mkdir(join(tree, 'bin'), { recursive: true });
    const tool = program(400_000, 3);
    const pack = async (name: string, ...options: readonly string[]) => {
      const args = [tree, at(name), '-noappend', '-quiet', '-all-root', ...options];
      await exec('mksquashfs', args);
      return readFile(at(name));
    };
    await writeFile(join(tree, 'bin/tool'), tool);
    await writeFile(join(tree, 'same'), noise(300_000, 4));
    const old = await pack('foreign-old', '-comp', 'zstd', '-b', '65536');
    await writeFile(join(tree, 'bin/tool'), Buffer.concat([Buffer.from('new'), tool]));
    const fresh = await pack('foreign-new', '-comp', 'zstd', '-b', '65536');
    const out = at('foreign.kdelta');
    const { deltaBytes } = await makeDelta({
      ...{ oldPath: at('foreign-old'), newPath: at('foreign-new'), out },
    });
    assert.ok(deltaBytes < fresh.length - 250_000, `${deltaBytes} of ${fresh.length}`);
    const sides = { old: await inputOf(old), target: await inputOf(fresh), targetFile: fresh };
    const { root } = await apply(await readFile(out), sides);
    const used = Number(fresh.readBigUInt64LE(40));
    assert.ok(root.subarray(0, used).equals(fresh.subarray(0, used)));
    await pack('gzip', '-comp', 'gzip');
    const { exitCode, stderr } = await run(at('foreign-old'), at('gzip'), at('none.kdelta'));
    assert.notEqual(exitCode, 0);
    assert.match(stderr, /zstd/);
  });

  it('is refused with too little memory for the matcher', async () => {
    const matching = matchBytes({ old: noise(9, 1), fresh: noise(9, 2), maxMemoryBytes: 100 });
    await assert.rejects(matching, { code: 'E_IMAGE_INVALID' });
  });

  it('ends with the exit code of the refusal', async () => {
    const { stderr, exitCode } = await run(at('old'), at('plain'), at('x'));
    assert.match(stderr, /one is a bundle.*\nhint: /);
    assert.equal(exitCode, 5);
  });

  it('leaves nothing when it is stopped, and what was there as it was', async () => {
    await writeFile(at('kept'), 'an older delta');
    const stop = new AbortController();
    const making = makeDelta({
      ...{ oldPath: at('old'), newPath: at('new'), out: at('kept'), signal: stop.signal },
      onProgress: ({ step }) => step === 'prove' && stop.abort(new Error('enough')),
    });
    await assert.rejects(making, /enough/);
    assert.equal(await readFile(at('kept'), 'utf8'), 'an older delta');
  });
});
