/** The commands of the page about the update server, as they stand there and in their order, on two small bundles. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { bundlePath, channelPath, deltaPath } from '@keelos/proto/channel.ts';
import { parseChannelFile } from '@keelos/proto/channel-text.ts';
import { runProgram } from '@keelos/tests/program.ts';
import { CHECKOUT } from '@keelos/tests/test-node.ts';
import { listening } from '../image/test/listening.ts';
import { sampleReleases } from '../image/test/release-samples.ts';
import { ensureTools } from '../scripts/lib/apt.mjs';
import { readPages } from './docs/pages.ts';

const PAGE = 'docs/platform-installation/update-server.md';
const SELF = 'tests/update-server-page.test.ts';
/** What the working folder must not show: commands write there, or it is only in the way. */
const NOT_LINKED = new Set(['.git', '.vm', 'dist', 'keys', 'releases']);
const arch = 'x86_64';

const commands = (await readPages())
  .flatMap(({ claims }) => claims)
  .filter(({ test }) => test === SELF)
  .flatMap(({ text }) => text.split('\n'));

describe(`the commands of ${PAGE}`, function () {
  this.timeout(300_000);

  let work = '';
  let server: ChildProcess | undefined;
  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'keel-server-page-'));
    for (const name of await readdir(CHECKOUT)) {
      if (!NOT_LINKED.has(name)) await symlink(join(CHECKOUT, name), join(work, name));
    }
    const made = await mkdtemp(join(tmpdir(), 'keel-server-bundles-'));
    const { bundles } = await sampleReleases(made, ['0.1.0', '0.2.0']);
    await mkdir(join(work, 'dist'));
    for (const path of Object.values(bundles)) await cp(path, join(work, 'dist', basename(path)));
    await rm(made, { recursive: true });
  });
  after(async () => {
    server?.kill('SIGTERM');
    await rm(work, { recursive: true });
  });

  const channelOf = async (name: string) =>
    parseChannelFile(await readFile(join(work, 'releases', channelPath(name)))).channel;

  async function serve(command: string): Promise<string> {
    const anyPort = command.replace(/127\.0\.0\.1:\d+/, '127.0.0.1:0').replace('npx', 'exec npx');
    const child = spawn('bash', ['-c', anyPort], {
      cwd: work,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    server = child;
    return listening(child.stderr);
  }

  it('publish, renew, withdraw and serve', async () => {
    assert.ok(commands.length >= 6, 'the page shows fewer commands');
    let url = '';
    for (const command of commands) {
      if (command.includes(' serve ')) {
        url = await serve(command);
        continue;
      }
      const { exitCode, stdout, stderr } = await runProgram('bash', ['-c', command], { cwd: work });
      assert.equal(exitCode, 0, `${command}\n${stdout}${stderr}`);
    }
    const stable = await channelOf('stable');
    assert.equal(stable.number, 3);
    assert.deepEqual(
      stable.releases.map(({ version, deltas }) => [version, deltas.map(({ from }) => from)]),
      [
        ['0.2.0', ['0.1.0']],
        ['0.1.0', []],
      ],
    );
    const edge = await channelOf('edge');
    assert.deepEqual([edge.number, edge.releases], [2, []]);
    const page = await (await fetch(`${url}/`)).text();
    assert.match(
      page,
      /Channel edge[\s\S]*Channel stable[\s\S]*osctl update --source http:\/\/127/,
    );
    const bundle = await fetch(`${url}/${bundlePath({ version: '0.2.0', arch })}`);
    assert.equal((await bundle.arrayBuffer()).byteLength, stable.releases[0]?.bundle.size);
  });

  it('make a delta on demand with the real generator', async () => {
    const url = await serveWithoutDelta();
    const path = deltaPath({ version: '0.2.0', from: '0.1.0', arch });
    const answer = await fetch(`${url}/${path}`);
    const bytes = Buffer.from(await answer.arrayBuffer());
    assert.equal(answer.status, 200, bytes.toString());
    assert.equal(bytes.toString('latin1', bytes.length - 64, bytes.length - 56), 'KEELDLTA');
    assert.equal((await readdir(join(work, 'releases/.deltas'))).length, 1);
  });

  /** The published delta is taken away, so that the server has to make it. */
  async function serveWithoutDelta(): Promise<string> {
    server?.kill('SIGTERM');
    await rm(join(work, 'releases', deltaPath({ version: '0.2.0', from: '0.1.0', arch })));
    return serve(commands.find((command) => command.includes(' serve ')) ?? '');
  }
});

describe(`the unit of ${PAGE}`, () => {
  it('is one that systemd takes', async function () {
    this.timeout(60_000);
    const text = await readFile(join(CHECKOUT, PAGE), 'utf8');
    const unit = /```ini\n([\s\S]*?)```/.exec(text)?.[1] ?? '';
    assert.match(unit, /^\[Unit\]\n/);
    const command = /^ExecStart=(.*)$/m.exec(unit)?.[1] ?? '';
    assert.match(
      command,
      /image\/src\/main\.ts serve --dir \S+ --listen \S+ --tls-cert \S+ --tls-key \S+$/,
    );
    await ensureTools([
      { command: 'systemd-analyze', package: 'systemd', why: 'judges the unit of the page' },
    ]);
    const folder = await mkdtemp(join(tmpdir(), 'keel-unit-'));
    const path = join(folder, 'keel-serve.service');
    await writeFile(path, unit.replaceAll('/opt/keelos', CHECKOUT).replace('User=keel\n', ''));
    const { exitCode, stderr } = await runProgram('systemd-analyze', ['verify', '--man=no', path]);
    await rm(folder, { recursive: true });
    const own = stderr.split('\n').filter((line) => line.includes('keel-serve'));
    assert.deepEqual([exitCode, own], [0, []], stderr);
  });
});
