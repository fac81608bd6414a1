/**
 * The commands of the page about updates, rollbacks and keys, as they stand there and in their order, on a node that
 * takes releases of the key that the page signs with.
 */
import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { deltaFileName } from '@keelos/proto/delta.ts';
import { makeDelta } from '@keelos/tests/bundle-factory.ts';
import { runProgram } from '@keelos/tests/program.ts';
import { CHECKOUT, keepEvidence } from '@keelos/tests/test-node.ts';
import { UPDATE_TIMEOUT_MS, UpdateLab } from '@keelos/tests/update-lab.ts';
import { nextVersion } from '../../scripts/lib/node-image.mjs';
import { testKeys } from '../../scripts/lib/test-keys.mjs';
import { readPages } from '../docs/pages.ts';

const PAGE = 'docs/operational-guides/lifecycle-management.md';
const SELF = 'tests/qemu/update-page.test.ts';
/** What the page calls the new release, and where it says that its bundle is. */
const SHOWN_VERSION = '0.2.0';
const SHOWN_ORIGIN = 'https://updates.example.com/';
const SHOWN_DELTA = { from: '0.1.0', arch: 'x86_64' };
/** What the working folder must not show: commands write there, or it is only in the way. */
const NOT_LINKED = new Set(['.git', '.vm', 'dist', 'keys', 'trust.json']);

const page = (await readPages())
  .flatMap(({ claims }) => claims)
  .filter(({ test }) => test === SELF);

describe(`the commands of ${PAGE}`, () => {
  let lab: UpdateLab;
  let work: string;
  let urlFolder: string;
  let version: string;

  before(async function () {
    this.timeout(2 * UPDATE_TIMEOUT_MS);
    lab = await UpdateLab.open('update-page');
    version = await nextVersion();
    work = await mkdtemp(join(tmpdir(), 'keel-update-page-'));
    for (const name of await readdir(CHECKOUT)) {
      if (!NOT_LINKED.has(name)) await symlink(join(CHECKOUT, name), join(work, name));
    }
    const { trustFile, keyFile, secondKeyFile } = await testKeys();
    await mkdir(join(work, 'keys'), { mode: 0o700 });
    await mkdir(join(work, 'dist'));
    await cp(keyFile, join(work, 'keys/release.key'));
    await cp(secondKeyFile, join(work, 'keys/next.key'));
    await cp(trustFile, join(work, 'trust.json'));
    const bundle = await lab.factory.bundle('good');
    const shown = bundle.fileName.replace(/^good-/, '');
    await cp(bundle.path, join(work, 'dist', shown));
    const url = lab.server.add(join(work, 'dist', shown));
    const delta = join(work, 'dist', deltaFileName({ ...SHOWN_DELTA, to: version }));
    await makeDelta([await lab.factory.beginning(), bundle], delta);
    lab.server.add(delta);
    urlFolder = url.slice(0, -basename(url).length);
  });
  afterEach(async function () {
    await keepEvidence(lab?.node, this.currentTest);
  });
  after(async () => {
    await lab?.close();
    if (work !== undefined) await rm(work, { recursive: true, force: true });
  });

  /** osctl and keel-image of this checkout, with the contexts of the test's operator. */
  const environment = () => ({
    OSCTL_CONFIG: join(lab.node.dir, 'osctl.yaml'),
    PATH: `${join(CHECKOUT, 'node_modules/.bin')}:${process.env.PATH ?? ''}`,
  });

  /** The words of the page with what differs here filled in. */
  const prepared = (text: string) =>
    text.replaceAll(SHOWN_ORIGIN, urlFolder).replaceAll(SHOWN_VERSION, version);

  it('are there', () => {
    assert.ok(page.length >= 5, `${page.length} blocks`);
  });

  for (const { where, text } of page) {
    it(`${where} ${text.split('\n')[0]}`, async function () {
      this.timeout(2 * UPDATE_TIMEOUT_MS);
      const commands = text.replaceAll(/\\\n\s*/g, ' ').split('\n');
      for (const command of commands.filter((line) => line.trim() !== '')) {
        const { exitCode, stdout, stderr } = await runProgram(
          'bash',
          ['-euo', 'pipefail', '-c', prepared(command)],
          { cwd: work, env: environment(), timeoutMs: UPDATE_TIMEOUT_MS },
        );
        assert.equal(exitCode, 0, `$ ${command}\n${stdout}${stderr}`);
      }
    });
  }
});
