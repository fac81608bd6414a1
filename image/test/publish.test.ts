/** Publishing: what readers see, whenever it is interrupted. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PublishOptions } from '@keelos/image/shell/publish.ts';
import { publish } from '@keelos/image/shell/publish.ts';
import { makeKeyFiles } from '@keelos/image/sys/key-files.ts';
import { lockForPublish } from '@keelos/image/sys/publish-lock.ts';
import { channelPath, deltaPath } from '@keelos/proto/channel.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { Died, type FileWatch, watchFiles } from './dying-files.ts';
import {
  fakeDelta,
  NOW_MS,
  publication,
  readerView,
  type SampleReleases,
  sampleReleases,
} from './release-samples.ts';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const DYING = new URL('./dying-files.ts', import.meta.url).href;

async function codeOf(run: Promise<unknown>): Promise<string> {
  try {
    await run;
  } catch (error) {
    if (error instanceof KeelError) return error.code;
    throw error;
  }
  return 'done';
}

describe('keel-image publish', function () {
  this.timeout(120_000);

  let folder = '';
  let samples: SampleReleases;
  let count = 0;
  before(async function () {
    this.timeout(300_000);
    folder = await mkdtemp(join(tmpdir(), 'keel-publish-'));
    samples = await sampleReleases(folder, ['1.0.0', '1.1.0', '1.2.0']);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const fresh = () => join(folder, `dir-${count++}`);
  const bundle = (version: string) => samples.bundles[version] ?? '';
  const options = (dir: string, of: Partial<PublishOptions> = {}) =>
    publication(samples, { dir, ...of });
  const add = (dir: string, ...versions: string[]) =>
    publish(options(dir, { bundles: versions.map(bundle) }));
  const view = (dir: string) => readerView(dir, samples);
  async function filesIn(dir: string): Promise<string[]> {
    const names = await readdir(dir, { recursive: true, withFileTypes: true });
    return names
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1))
      .sort();
  }

  it('makes a directory that a reader finds complete, and deltas from the releases before', async () => {
    const dir = fresh();
    await add(dir, '1.0.0');
    await add(dir, '1.1.0');
    const { added, failed } = await add(dir, '1.2.0');
    const { channel } = await view(dir);
    assert.deepEqual(failed, []);
    assert.equal(channel.number, 3);
    assert.deepEqual(
      channel.releases.map(({ version, deltas }) => [version, deltas.map(({ from }) => from)]),
      [
        ['1.2.0', ['1.0.0', '1.1.0']],
        ['1.1.0', ['1.0.0']],
        ['1.0.0', []],
      ],
    );
    assert.deepEqual(added, [channel.releases[0]]);
    assert.deepEqual(await filesIn(dir), [
      'channels/stable.json',
      'releases/1.0.0/keelos-1.0.0-x86_64.squashfs',
      'releases/1.1.0/keelos-1.0.0-1.1.0-x86_64.kdelta',
      'releases/1.1.0/keelos-1.1.0-x86_64.squashfs',
      'releases/1.2.0/keelos-1.0.0-1.2.0-x86_64.kdelta',
      'releases/1.2.0/keelos-1.1.0-1.2.0-x86_64.kdelta',
      'releases/1.2.0/keelos-1.2.0-x86_64.squashfs',
    ]);
  });

  it('renews a channel, withdraws a release, and gives one to a second channel without copying it', async () => {
    const dir = fresh();
    await add(dir, '1.0.0');
    const nowMs = NOW_MS + 3_600_000;
    const { channel: renewed } = await publish(options(dir, { nowMs }));
    assert.deepEqual([renewed.number, renewed.expiresAt], [2, nowMs / 1000 + 86_400]);
    await publish(options(dir, { nowMs, bundles: [bundle('1.1.0')] }));
    const { channel } = await publish(options(dir, { nowMs, withdrawn: ['1.1.0'] }));
    assert.deepEqual(
      channel.releases.map(({ version }) => version),
      ['1.0.0'],
    );
    assert.equal(channel.number, 4);
    await publish(options(dir, { channel: 'edge', bundles: [bundle('1.1.0')] }));
    assert.equal((await readerView(dir, { ...samples, channel: 'edge' })).channel.number, 1);
    assert.equal(await codeOf(publish(options(dir, { nowMs, withdrawn: ['9'] }))), 'E_NOT_FOUND');
  });

  it('does nothing but raise the number when a release is published twice', async () => {
    const dir = fresh();
    await add(dir, '1.0.0');
    const { channel, added } = await add(dir, '1.0.0');
    assert.deepEqual([channel.number, channel.releases[0]?.number, added.length], [2, 1, 0]);
  });

  it('refuses, with nothing changed', async () => {
    const dir = fresh();
    await add(dir, '1.0.0');
    const before = await readFile(join(dir, channelPath('stable')));
    const other = await makeKeyFiles({ dir: join(folder, 'other'), name: 'other', notAfter: 0 });
    const damaged = join(folder, 'damaged.squashfs');
    const bytes = await readFile(bundle('1.1.0'));
    bytes.writeUInt8(bytes.readUInt8(5000) ^ 1, 5000);
    await writeFile(damaged, bytes);
    const resigned = join(folder, 'resigned.squashfs');
    const sign = spawnSync(process.execPath, [
      ...[MAIN, 'sign', bundle('1.0.0'), '--key', other.privatePath, '--out', resigned],
    ]);
    assert.equal(sign.status, 0);
    const rows: readonly (readonly [string, Partial<PublishOptions>, string])[] = [
      ['a damaged bundle', { bundles: [damaged] }, 'E_BUNDLE_DAMAGED'],
      ['other bytes of a release', { bundles: [resigned] }, 'E_RELEASE_EXISTS'],
      ['a stranger over our channel', { keys: [other.privatePath] }, 'E_SIGNATURE_WRONG'],
      ['a release twice', { bundles: [bundle('1.1.0'), bundle('1.1.0')] }, 'E_INVALID_ARGUMENT'],
      ['two newest releases', { bundles: ['1.1.0', '1.2.0'].map(bundle) }, 'E_INVALID_ARGUMENT'],
      ['a key twice', { keys: [samples.key, samples.key] }, 'E_INVALID_ARGUMENT'],
      ['more keys than may sign', { keys: Array(17).fill(samples.key) }, 'E_INVALID_ARGUMENT'],
      ['a clock that went back', { nowMs: NOW_MS - 1000 }, 'E_INVALID_ARGUMENT'],
      ['a channel that is not there to be renewed', { channel: 'edge' }, 'E_NOT_FOUND'],
      ['a channel that leads up', { channel: '../x' }, 'E_INVALID_ARGUMENT'],
      ['a life of a year', { lifeSeconds: 365 * 86_400 }, 'E_INVALID_ARGUMENT'],
      [
        'a bundle of a stranger',
        { bundles: [bundle('1.1.0')], bundleTrust: { ...samples.trust, keys: [other.key] } },
        'E_SIGNATURE_WRONG',
      ],
    ];
    for (const [name, of, expected] of rows) {
      assert.equal(await codeOf(publish(options(dir, of))), expected, name);
      assert.ok((await readFile(join(dir, channelPath('stable')))).equals(before), name);
    }
    assert.equal((await filesIn(dir)).length, 2);
  });

  it('signs nothing that others have written into the directory', async () => {
    const dir = fresh();
    await add(dir, '1.0.0');
    const path = join(dir, channelPath('stable'));
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace('"epoch":1', '"epoch":2'));
    assert.equal(await codeOf(add(dir, '1.1.0')), 'E_SIGNATURE_WRONG');
  });

  it('leaves a delta out that fails, or that is no smaller than the bundle', async () => {
    const dir = fresh();
    await add(dir, '1.0.0');
    await add(dir, '1.1.0');
    const makeDelta: PublishOptions['makeDelta'] = async (request) => {
      if (request.oldPath.includes('1.0.0')) throw new KeelError('E_IMAGE_INVALID', 'no luck');
      const report = await fakeDelta(request);
      await cp(bundle('1.2.0'), request.out);
      return report;
    };
    const { failed } = await publish(options(dir, { bundles: [bundle('1.2.0')], makeDelta }));
    assert.deepEqual(failed.map(({ from }) => from).sort(), ['1.0.0', '1.1.0']);
    const { channel } = await view(dir);
    assert.deepEqual([channel.number, channel.releases[0]?.deltas], [3, []]);
    const gone = deltaPath({ version: '1.2.0', arch: 'x86_64', from: '1.1.0' });
    assert.ok(!(await filesIn(dir)).includes(gone));
  });

  it('makes the deltas that were left out when the release is published again, and no other', async () => {
    const dir = fresh();
    await add(dir, '1.0.0');
    await add(dir, '1.1.0');
    const publishNewest = (of: Partial<PublishOptions>) =>
      publish(options(dir, { bundles: [bundle('1.2.0')], ...of }));
    await publishNewest({ deltaCount: 1 });
    const made: string[] = [];
    const makeDelta: PublishOptions['makeDelta'] = (request) => {
      made.push(request.oldPath);
      return fakeDelta(request);
    };
    const { channel, added } = await publishNewest({ makeDelta });
    assert.deepEqual([made.length, added.length], [1, 0]);
    assert.match(made[0] ?? '', /keelos-1\.0\.0/);
    assert.equal(channel.releases[0]?.deltas.length, 2);
  });

  it('lists no delta that it has not made or looked into: what lies there is made anew', async () => {
    const dir = fresh();
    await add(dir, '1.0.0');
    const path = join(dir, deltaPath({ version: '1.1.0', arch: 'x86_64', from: '1.0.0' }));
    await mkdir(dirname(path), { recursive: true });
    for (const bytes of ['', 'written by somebody']) {
      await writeFile(path, bytes);
      await add(dir, '1.1.0');
      const { channel } = await view(dir);
      assert.equal(channel.releases[0]?.deltas[0]?.size, (await readFile(path)).length);
      assert.ok((await readFile(path)).length > 100);
      await publish(options(dir, { withdrawn: ['1.1.0'] }));
    }
  });

  it('that is ended while it makes a delta publishes nothing', async () => {
    const dir = fresh();
    await add(dir, '1.0.0');
    const stop = new AbortController();
    const makeDelta: PublishOptions['makeDelta'] = async ({ signal }) => {
      stop.abort(new KeelError('E_CANCELLED', 'enough'));
      signal?.throwIfAborted();
      throw new Error('it was not told');
    };
    const of = { bundles: [bundle('1.1.0')], makeDelta, signal: stop.signal };
    assert.equal(await codeOf(publish(options(dir, of))), 'E_CANCELLED');
    assert.equal((await view(dir)).channel.number, 1);
  });

  it('lets one publisher in at a time', async () => {
    const dir = fresh();
    await add(dir, '1.0.0');
    const lock = await lockForPublish(dir);
    assert.equal(await codeOf(add(dir, '1.1.0')), 'E_PUBLISH_RUNNING');
    await lock.close();
    const both = await Promise.all([codeOf(add(dir, '1.1.0')), codeOf(add(dir, '1.2.0'))]);
    assert.ok(both.includes('done'), both.join());
    const versions = (await view(dir)).channel.releases.map(({ version }) => version);
    assert.equal(versions.length, 1 + both.filter((each) => each === 'done').length);
  });

  it('loses no publication of a machine that shares the directory', async () => {
    const dir = fresh();
    await add(dir, '1.0.0');
    const elsewhere = fresh();
    await cp(dir, elsewhere, { recursive: true });
    await add(elsewhere, '1.2.0');
    const makeDelta: PublishOptions['makeDelta'] = async (request) => {
      await cp(join(elsewhere, channelPath('stable')), join(dir, channelPath('stable')));
      return fakeDelta(request);
    };
    const ours = publish(options(dir, { bundles: [bundle('1.1.0')], makeDelta }));
    assert.equal(await codeOf(ours), 'E_PUBLISH_RUNNING');
  });

  describe('interrupted', () => {
    let watch: FileWatch;
    before(async () => {
      watch = await watchFiles();
    });
    after(() => watch.close());

    it('at any change of a file: a reader has the old state or the new one, and the next run goes on', async function () {
      this.timeout(300_000);
      const start = fresh();
      await add(start, '1.0.0');
      const old = await view(start);
      const outcomes = { old: 0, new: 0 };
      for (let at = 1; ; at += 1) {
        const dir = fresh();
        await cp(start, dir, { recursive: true });
        watch.restart(at);
        const died = await add(dir, '1.1.0').then(
          () => false,
          (error: unknown) => error instanceof Died,
        );
        const isOver = watch.count < at;
        watch.restart(Number.POSITIVE_INFINITY);
        const seen = await readerView(dir, { ...samples, seen: old.seen });
        const isNew = seen.channel.number === 2;
        assert.equal(seen.channel.releases.length, isNew ? 2 : 1, `change ${at}`);
        outcomes[isNew ? 'new' : 'old'] += 1;
        if (isOver) {
          assert.ok(!died && isNew);
          break;
        }
        assert.ok(died, `change ${at} was not noticed`);
        await add(dir, '1.1.0');
        const after = await readerView(dir, { ...samples, seen: seen.seen });
        assert.equal(after.channel.releases[0]?.deltas.length, 1);
        assert.equal((await filesIn(dir)).length, 4, `change ${at} left something behind`);
        await rm(dir, { recursive: true });
      }
      assert.ok(outcomes.old > 10 && outcomes.new > 1, JSON.stringify(outcomes));
    });

    it('by SIGKILL: the same, and no lock is left', async () => {
      const start = fresh();
      const nowMs = Date.now();
      await publish(options(start, { bundles: [bundle('1.0.0')], nowMs }));
      const args = ['--key', samples.key, '--deltas', '0', bundle('1.1.0')];
      const numbers = new Set<number>();
      for (const at of [4, 7, 10, 12]) {
        const dir = fresh();
        await cp(start, dir, { recursive: true });
        const command = [MAIN, 'publish', '--dir', dir, ...args];
        const env = { ...process.env, KEEL_DIE_AT: String(at) };
        const killed = spawnSync(process.execPath, ['--import', DYING, ...command], { env });
        assert.equal(killed.signal, 'SIGKILL', `change ${at}: ${killed.stderr}`);
        numbers.add((await readerView(dir, { ...samples, nowMs })).channel.number);
        const again = spawnSync(process.execPath, command, { encoding: 'utf8' });
        assert.equal(again.status, 0, again.stderr);
        const after = await readerView(dir, { ...samples, nowMs: Date.now() });
        assert.deepEqual(
          after.channel.releases.map(({ version }) => version),
          ['1.1.0', '1.0.0'],
        );
        assert.equal((await filesIn(dir)).length, 3);
      }
      assert.ok(numbers.has(1));
    });
  });
});
