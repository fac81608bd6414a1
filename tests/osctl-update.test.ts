/**
 * osctl and the agent's own parts on both ends of a real connection: an update from a file and from a URL, its trial, and
 * the way back. Disk, loader and time are in memory; a restart of the machine takes milliseconds.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Agent } from '@keelos/ts-agent/server.ts';
import { createAgent } from '@keelos/ts-agent/server.ts';
import { createFakeHost, type FakeHost } from '../osctl/test/fake-host.ts';
import { freePort } from '../osctl/test/fake-node.ts';
import { testRoot } from '../ts-agent/test/slot-disk.ts';
import { MemorySource, madeBundle, UpdateWorld } from '../ts-agent/test/update-world.ts';

const SOURCE = ['--source', 'https://bundles.example/keelos-0.2.0-x86_64.squashfs'];
const TRIAL = ['--enable-auto-rollback', '--health-check-timeout', '120', '--min-healthy', '1'];
/** Real milliseconds that a second of osctl's clock takes here. */
const SLEEP_MS = 20;
/** The node's clock goes on by this much each time that osctl sleeps. */
const CLOCK_STEP_MS = 500;
const TEST_MS_MAX = 60_000;

/** A machine that restarts when its agent asks for it, and the operator's machine beside it. */
class Lab {
  readonly node = new UpdateWorld();
  readonly host: FakeHost;
  readonly bundle = madeBundle(testRoot(2, 200));
  readonly #port: number;
  #agent: Agent | undefined;
  /** When the kernel started, by the clock of the world. */
  #bootMs = 0;
  /** Called when the machine has started again, before its agent has. */
  onBoot: (version: string) => void = () => undefined;

  private constructor(host: FakeHost, port: number) {
    this.host = host;
    this.#port = port;
    this.node.know(this.bundle.root, '0.2.0');
    this.node.world.httpSource = async () => new MemorySource(this.bundle.bytes);
    host.onSleep = async () => {
      await delay(SLEEP_MS);
      this.node.world.clock.advance(CLOCK_STEP_MS);
      if (this.node.isRebootAsked) await this.#restart();
    };
  }

  static async open(): Promise<Lab> {
    const lab = new Lab(await createFakeHost(), await freePort());
    await lab.#startAgent();
    const agent = lab.#agent as Agent;
    const ran = await lab.host.run([
      ...['init', 'bootstrap', '--endpoint', `127.0.0.1:${lab.#port}`],
      ...['--fingerprint', agent.identity.fingerprint, '--token', lab.node.world.token],
    ]);
    assert.equal(ran.exitCode, 0, ran.err);
    return lab;
  }

  async #startAgent(): Promise<void> {
    const at = { host: '127.0.0.1', port: this.#port };
    const { clock } = this.node.world;
    const bootMs = this.#bootMs;
    const sinceBoot = { nowMs: clock.nowMs, monotonicMs: () => clock.monotonicMs() - bootMs };
    this.#agent = await createAgent({ ...this.node.world.ports(), clock: sinceBoot }, at);
  }

  async #restart(): Promise<void> {
    this.node.world.init.requests.length = 0;
    await this.#agent?.close();
    this.onBoot(await this.node.boot());
    this.#bootMs = this.node.world.clock.monotonicMs();
    await this.#startAgent();
  }

  run(...args: string[]) {
    return this.host.run(args);
  }

  async json(...args: string[]) {
    const ran = await this.run(...args, '-o', 'json');
    assert.equal(ran.exitCode, 0, ran.err);
    return JSON.parse(ran.out);
  }

  async close(): Promise<void> {
    await this.#agent?.close();
    await this.host.close();
  }
}

describe('osctl and an agent that takes updates', function () {
  this.timeout(TEST_MS_MAX);
  let lab: Lab;

  beforeEach(async () => {
    lab = await Lab.open();
  });
  afterEach(() => lab.close());

  const running = async () => (await lab.json('status')).version;

  it('update from a URL through the trial to the commit, and go back', async () => {
    const ran = await lab.run('update', ...SOURCE, ...TRIAL, '--wait');
    assert.equal(ran.exitCode, 0, ran.err);
    assert.equal(ran.out, 'Running 0.2.0 (slot B), healthy, committed.\n');
    assert.equal(await running(), '0.2.0');
    const back = await lab.run('rollback', 'trigger', '--reason', 'too slow', ...TRIAL, '--wait');
    assert.equal(back.exitCode, 0, back.err);
    assert.equal(await running(), '0.1.0');
    const { entries } = await lab.json('rollback', 'history');
    assert.deepEqual(
      entries.map(({ kind, outcome, reason }: Record<string, string>) => [kind, outcome, reason]),
      [
        ['rollback', 'committed', 'too slow'],
        ['update', 'committed', ''],
      ],
    );
  });

  it('push a bundle, arm it, and give it up', async () => {
    const path = join(lab.host.folder, 'keelos-0.2.0-x86_64.squashfs');
    await writeFile(path, lab.bundle.bytes);
    const file = ['update', '--source', path];
    const dry = await lab.run(...file, '--dry-run');
    assert.equal(dry.exitCode, 0, dry.err);
    assert.equal(dry.out, '0.2.0 fits: nothing was written.\n');
    const armed = await lab.run(...file, '--no-reboot', '--sha256', lab.bundle.sha256);
    assert.equal(armed.exitCode, 0, armed.err);
    const states = async () =>
      (await lab.json('slots')).slots.map(({ state }: { state: string }) => state);
    assert.deepEqual(await states(), ['committed', 'armed']);
    assert.equal((await lab.run(...file)).exitCode, 9);
    const given = await lab.run('update', '--cancel');
    assert.equal(given.exitCode, 0, given.err);
    assert.deepEqual((await states())[0], 'committed');
    assert.notEqual((await states())[1], 'armed');
  });

  it('tell why a release did not prove itself, and refuse it from then on', async () => {
    const { world } = lab.node;
    lab.onBoot = (version) => {
      world.apiProblem = version === '0.2.0' ? 'nothing answers' : '';
    };
    const ran = await lab.run('update', ...SOURCE, ...TRIAL, '--wait');
    assert.equal(ran.exitCode, 37, ran.err);
    assert.match(ran.err, /osctl: Cannot keep 0\.2\.0 \(slot B\): .* did not pass within 120 s/);
    assert.match(ran.err, /on trial, waiting for api from outside: nothing answers/);
    assert.match(
      ran.err,
      /The node is back on 0\.1\.0 \(slot A\)\nhint: osctl rollback history show/,
    );
    assert.equal((await lab.run('update', ...SOURCE)).exitCode, 31);
    world.apiProblem = '';
    lab.onBoot = () => undefined;
    const again = await lab.run('update', ...SOURCE, ...TRIAL, '--retry-failed', '--wait');
    assert.equal(again.exitCode, 0, again.err);
  });

  it('refuse what the node does not take, each with its own code', async () => {
    const push = async (bytes: Uint8Array, ...args: string[]) => {
      const path = join(lab.host.folder, 'b.squashfs');
      await writeFile(path, bytes);
      return (await lab.run('update', '--source', path, ...args)).exitCode;
    };
    const root = testRoot(2, 200);
    const { bytes } = lab.bundle;
    const damaged = Buffer.from(bytes);
    damaged[5000] = (damaged[5000] ?? 0) ^ 1;
    const table: [string, Uint8Array, number][] = [
      ['no bundle', randomBytes(100_000), 21],
      ['cut short', bytes.subarray(0, bytes.length - 1), 21],
      ['a stranger', madeBundle(root, { isStranger: true }).bytes, 24],
      ['epoch', madeBundle(root, { change: (one) => ({ ...one, epoch: 1 }) }).bytes, 27],
      ['arch', madeBundle(root, { change: (one) => ({ ...one, arch: 'aarch64' }) }).bytes, 28],
      ['damaged root', damaged, 23],
    ];
    for (const [what, of, exitCode] of table) assert.equal(await push(of), exitCode, what);
    assert.equal(await push(bytes, '--sha256', 'ab'.repeat(32), '--no-reboot'), 23);
    assert.equal(await running(), '0.1.0');
  });
});
