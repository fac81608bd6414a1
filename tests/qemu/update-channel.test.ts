/**
 * A node and a channel of `keel-image serve`: the commands of the page about updates, as they stand there, and what comes
 * of them. The server makes the delta when the node asks for it.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '@keelos/image/sys/qemu-process.ts';
import { bundleFileName } from '@keelos/proto/bundle.ts';
import { HOST_FROM_GUEST } from '@keelos/tests/bundle-server.ts';
import { runProgram } from '@keelos/tests/program.ts';
import { CHECKOUT, keepEvidence } from '@keelos/tests/test-node.ts';
import { UPDATE_TIMEOUT_MS, UpdateLab } from '@keelos/tests/update-lab.ts';
import { testKeys } from '../../scripts/lib/test-keys.mjs';
import { readPages } from '../docs/pages.ts';

const SELF = 'tests/qemu/update-channel.test.ts';
const SHOWN_ORIGIN = 'https://updates.example.com/';
const PROGRAM = join(CHECKOUT, 'image/bin/keel-image.mjs');

describe('a node and a channel', function () {
  this.timeout(2 * UPDATE_TIMEOUT_MS);
  let lab: UpdateLab;
  let work: string;
  let server: ChildProcess | undefined;
  let origin: string;
  let commands: readonly string[];

  const publish = async (...more: readonly string[]) => {
    const { channelKeyFile } = await testKeys();
    const args = [PROGRAM, 'publish', '--dir', join(work, 'releases'), '--key', channelKeyFile];
    const ran = await runProgram(process.execPath, [...args, '--deltas', '0', ...more], {
      timeoutMs: UPDATE_TIMEOUT_MS,
    });
    assert.equal(ran.exitCode, 0, ran.stderr);
  };

  before(async () => {
    lab = await UpdateLab.open('update-channel');
    work = await mkdtemp(join(tmpdir(), 'keel-update-channel-'));
    await mkdir(join(work, 'bundles'));
    for (const bundle of [await lab.factory.beginning(), await lab.factory.bundle('good')]) {
      const path = join(work, 'bundles', bundleFileName(bundle.manifest));
      await cp(bundle.path, path);
      await publish(path);
    }
    const port = await freePort();
    server = spawn(
      process.execPath,
      [PROGRAM, 'serve', '--dir', join(work, 'releases'), '--listen', `127.0.0.1:${port}`],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    origin = `http://${HOST_FROM_GUEST}:${port}/`;
    await lab.node.until(60_000, async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined);
      return answer?.ok === true ? true : undefined;
    });
    commands = (await readPages())
      .flatMap(({ claims }) => claims)
      .filter(({ test }) => test === SELF)
      .flatMap(({ text }) => text.trim().split('\n'))
      .map((line) => line.replaceAll(SHOWN_ORIGIN, origin));
  });
  afterEach(async function () {
    await keepEvidence(lab?.node, this.currentTest);
  });
  after(async () => {
    server?.kill();
    await lab?.close();
    if (work !== undefined) await rm(work, { recursive: true, force: true });
  });

  const run = async (command: string) => {
    const words = command.split(' ');
    assert.equal(words[0], 'osctl', command);
    const ended = await lab.node.osctlWithin(UPDATE_TIMEOUT_MS, ...words.slice(1));
    assert.equal(ended.exitCode, 0, `$ ${command}\n${ended.stdout}${ended.stderr}`);
    return ended;
  };
  const command = (index: number) => commands[index] ?? assert.fail(`${commands.length} commands`);

  it('installs its newest release by a delta that the server makes', async () => {
    assert.equal(commands.length, 3);
    const { version, rootHash } = await lab.factory.bundle('good');
    const { stdout, stderr } = await run(command(0));
    assert.match(stdout, new RegExp(`Running ${version} .*, healthy, committed`));
    assert.match(stderr, /Made of a delta: .* fetched instead of /);
    assert.equal((await lab.running()).rootHash, rootHash);
    const again = await run(command(0));
    assert.match(again.stdout, /is the newest release of channel stable, and runs/);
  });

  it('is followed: the look finds what is newest, and what was withdrawn is left', async () => {
    const { version } = await lab.factory.bundle('good');
    await run(command(1));
    await lab.node.until(60_000, async () => {
      const { stdout } = await run(command(2));
      return stdout.includes(`${version} (runs)`) ? true : undefined;
    });
    await publish('--withdraw', version);
    const { stderr } = await run(`osctl channel set stable --source ${origin} --every 1m`);
    assert.equal(stderr, '');
    const first = lab.node.image.rootHash;
    await lab.node.until(UPDATE_TIMEOUT_MS, async () => {
      const running = await lab.running().catch(() => undefined);
      return running?.rootHash === first ? true : undefined;
    });
    await lab.settled();
  });
});
