/**
 * `npm run quickstart -- --once --json`, as a script calls it: from the checkout to a node that was healthy and is off.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '@keelos/image/sys/qemu-process.ts';
import { parseAnnouncement } from '@keelos/proto/console.ts';
import { type Ended, runProgram } from '@keelos/tests/program.ts';
import { CHECKOUT, keepLogs } from '@keelos/tests/test-node.ts';
import { guardFolder } from '../../scripts/lib/left-behind.mjs';

const QUICKSTART_TIMEOUT_MS = 400_000;
const VM_TIMEOUT_MS = 60_000;
const EXIT_NOT_RUNNING = 3;

interface Result {
  readonly ok: boolean;
  readonly step?: string;
  readonly error?: string;
  readonly steps: readonly {
    readonly name: string;
    readonly seconds: number;
    readonly ok: boolean;
  }[];
  readonly endpoint: string;
  readonly fingerprint: string;
  readonly context: string;
  readonly contexts: string;
  readonly accelerator: string;
  readonly version: { readonly client: Release; readonly server: Release };
  readonly health: { readonly healthy: boolean };
  readonly console: string;
  readonly running: boolean;
}

interface Release {
  readonly version: string;
}

describe('quickstart --once --json', () => {
  let folder: string;
  let guard: ReturnType<typeof guardFolder>;
  let port: number;
  let contexts: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keel-quickstart-'));
    guard = guardFolder(folder); // the machine is no child of ours
    port = await freePort();
    contexts = join(folder, 'osctl.yaml');
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') {
      await keepLogs(join(folder, 'vm'), this.currentTest.fullTitle());
    }
  });
  after(async function () {
    this.timeout(VM_TIMEOUT_MS);
    await npm('vm', ['reset']);
    await rm(folder, { recursive: true, force: true });
    guard.close();
  });

  const npm = (script: string, args: readonly string[], vmDir = join(folder, 'vm')) =>
    runProgram('npm', ['run', '--silent', script, '--', ...args], {
      cwd: CHECKOUT,
      env: { KEEL_VM_DIR: vmDir, KEEL_VM_PORT: String(port), OSCTL_CONFIG: contexts },
      timeoutMs: QUICKSTART_TIMEOUT_MS,
    });

  /** The one line that standard output must be. */
  function resultOf({ stdout, stderr }: Ended): Result {
    assert.match(stdout, /^\{.*\}\n$/, stderr);
    return JSON.parse(stdout) as Result;
  }

  it('prints one object about a healthy node, and exits with 0', async function () {
    this.timeout(QUICKSTART_TIMEOUT_MS);
    const ended = await npm('quickstart', ['--once', '--json']);
    assert.equal(ended.exitCode, 0, ended.stderr);
    const result = resultOf(ended);
    assert.equal(result.ok, true);
    assert.equal(result.health.healthy, true);
    assert.equal(result.endpoint, `127.0.0.1:${port}`);
    assert.deepEqual([result.context, result.contexts], ['quickstart', contexts]);
    assert.match(result.accelerator, /^(kvm|tcg)$/);
    const { version } = JSON.parse(await readFile(join(CHECKOUT, 'package.json'), 'utf8'));
    const { client, server } = result.version;
    assert.deepEqual([client.version, server.version], [version, version]);
    const announced = parseAnnouncement(await readFile(result.console, 'utf8'));
    assert.equal(result.fingerprint, announced?.fingerprint);
    assert.deepEqual(
      result.steps.filter(({ ok, seconds }) => !ok || !(seconds >= 0)),
      [],
    );
    const names = result.steps.map(({ name }) => name);
    const last = ['start the node', 'wait for the node', 'enrol the operator', 'node healthy'];
    assert.deepEqual(names.slice(-5), [...last, 'power the node off']);
    const events = ended.stderr.split('\n').filter((line) => line.startsWith('{'));
    const done = events.map((line) => JSON.parse(line)).filter(({ event }) => event === 'done');
    assert.equal(done.length, result.steps.length);
    assert.doesNotMatch(ended.stderr, /\$ npx osctl/); // what people are shown
  });

  it('has powered the node off and kept it, with an operator who can come back', async function () {
    this.timeout(VM_TIMEOUT_MS);
    const status = await npm('vm', ['status', '--json']);
    assert.equal(status.exitCode, EXIT_NOT_RUNNING, status.stderr);
    const { exists, running, folder: dir } = JSON.parse(status.stdout);
    assert.deepEqual([exists, running, dir], [true, false, join(folder, 'vm')]);
    assert.match(await readFile(contexts, 'utf8'), /quickstart/);
  });

  it('says which step failed and why, and exits with 1', async function () {
    this.timeout(QUICKSTART_TIMEOUT_MS);
    const file = join(folder, 'no-folder');
    await writeFile(file, '');
    const ended = await npm('quickstart', ['--once', '--json'], file);
    assert.equal(ended.exitCode, 1, ended.stdout);
    const result = resultOf(ended);
    assert.equal(result.ok, false);
    assert.equal(result.step, 'disk of the node');
    assert.match(result.error ?? '', /no-folder/);
    assert.equal(result.steps.at(-1)?.ok, false);
    assert.ok(existsSync(file));
  });
});
