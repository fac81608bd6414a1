/** Commands that write where there is no room: a file is whole, or it is as it was. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { publish } from '@keelos/image/shell/publish.ts';
import { bundlePath, channelPath } from '@keelos/proto/channel.ts';
import { bundleOf, newEntries, oldEntries, program } from './delta-samples.ts';
import { publication, type SampleReleases, sampleReleases } from './release-samples.ts';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const KIB = 1024;
const NO_SPACE = 10;

/**
 * Runs keel-image in a process whose files grow to `bytesMax` at most. As on a disk that fills up, the write that reaches
 * the end takes a part of its bytes and says so, and only the next one fails.
 */
function runWith(bytesMax: number, ...args: readonly string[]) {
  const shell = 'ulimit -f "$0" && exec "$@"';
  const blocks = String(Math.floor(bytesMax / KIB));
  return spawnSync('bash', ['-c', shell, blocks, process.execPath, MAIN, ...args], {
    encoding: 'utf8',
  });
}

describe('keel-image without room for what it writes', function () {
  this.timeout(300_000);

  let folder = '';
  let samples: SampleReleases;
  const at = (name: string) => join(folder, name);

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keel-no-room-'));
    samples = await sampleReleases(folder, ['1.0.0', '1.1.0']);
    await writeFile(
      at('old'),
      await bundleOf({ version: '1.0.0', entries: oldEntries(), uki: program(150_000, 5) }),
    );
    await writeFile(
      at('new'),
      await bundleOf({ version: '1.0.1', entries: newEntries(), uki: program(160_000, 6) }),
    );
  });
  after(() => rm(folder, { recursive: true, force: true }));

  function demandRefused({ status, stderr }: ReturnType<typeof runWith>, path: string): void {
    assert.equal(status, NO_SPACE, stderr);
    assert.ok(stderr.includes(`Cannot write ${path}: there is no room left`), stderr);
  }

  for (const [name, share] of [
    ['a half', 0.5],
    ['the last bytes', 0.999],
  ] as const) {
    it(`leaves a delta out when ${name} of it does not fit`, async () => {
      const whole = at('whole.kdelta');
      assert.equal(runWith(2 ** 30, 'delta', at('old'), at('new'), whole).status, 0);
      const { size } = await stat(whole);
      const out = at('cut.kdelta');
      await writeFile(out, 'what was there');
      const before = await readdir(folder);
      demandRefused(runWith(size * share, 'delta', at('old'), at('new'), out), out);
      assert.equal(await readFile(out, 'utf8'), 'what was there');
      assert.deepEqual(await readdir(folder), before);
    });

    it(`publishes nothing when ${name} of a bundle does not fit, and the rest later`, async () => {
      const dir = at(`releases-${share}`);
      const [first = '', second = ''] = Object.values(samples.bundles);
      await publish(publication(samples, { dir, bundles: [first], nowMs: Date.now() }));
      const channel = await readFile(join(dir, channelPath('stable')));
      const before = await readdir(dir, { recursive: true });
      const { size } = await stat(second);
      const args = ['publish', '--dir', dir, '--key', samples.key, second];
      const path = join(dir, bundlePath({ version: '1.1.0', arch: 'x86_64' }));
      demandRefused(runWith(size * share, ...args), path);
      assert.ok((await readFile(join(dir, channelPath('stable')))).equals(channel));
      const left = await readdir(dir, { recursive: true });
      assert.deepEqual(
        left.filter((one) => !before.includes(one)),
        ['releases/1.1.0'],
      );
      assert.equal(runWith(2 ** 30, ...args).status, 0);
      assert.ok((await readFile(path)).equals(await readFile(second)));
    });

    it(`signs nothing when ${name} of the bundle does not fit`, async () => {
      const [first = ''] = Object.values(samples.bundles);
      const path = at(basename(first));
      await cp(first, path);
      const { size } = await stat(path);
      demandRefused(runWith(size * share, 'sign', path, '--key', samples.key), path);
      assert.ok((await readFile(path)).equals(await readFile(first)));
    });
  }
});
