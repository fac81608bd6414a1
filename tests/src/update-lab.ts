/** One enrolled node, bundles to give it, and a server that it fetches them from: what every test of updates begins with. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { truncate } from 'node:fs/promises';
import { join } from 'node:path';
import type { UpdateHistoryEntry } from '@keelos/proto/gen/keel/v1/update_pb.js';
import { BundleFactory, makeDelta } from './bundle-factory.ts';
import { BundleServer } from './bundle-server.ts';
import type { Ended } from './program.ts';
import type { ReleaseName } from './release-variants.data.ts';
import { type NodeOptions, TestNode } from './test-node.ts';
import {
  assertWell,
  awaitSettled,
  bootsSince,
  historyOf,
  type Running,
  runningNow,
} from './update-view.ts';

/** An update with its trial on two emulated machines at a time. */
export const UPDATE_TIMEOUT_MS = 600_000;
/** Enough for a node that is well. */
const HEALTH_TIMEOUT_SECONDS = 120;
/** For a trial that is known to fail for lack of health, and lasts as long; boots of two emulated machines fit in. */
export const SHORT_HEALTH_TIMEOUT_SECONDS = 45;
const MIN_HEALTHY_SECONDS = 5;
const KERNEL_DELTA_DISK_BYTES = 3 * 2 ** 30;
/** A node that takes deltas with a new kernel: unpacked it takes room on the state partition, which grows with the disk. */
export const KERNEL_DELTA_NODE: NodeOptions = {
  prepareDisk: (disk) => truncate(disk, KERNEL_DELTA_DISK_BYTES),
};

/** How a try at an update went, seen from outside. */
export interface Try {
  readonly ended: Ended;
  /** What ran before and what runs now. */
  readonly before: Running;
  readonly after: Running;
  /** How often a kernel began. */
  readonly boots: number;
  readonly seconds: number;
  /** Newest entry of the history; absent when it is the one that was there before. */
  readonly entry: UpdateHistoryEntry | undefined;
}

/** Node, bundles, server. */
export class UpdateLab {
  readonly node: TestNode;
  readonly factory: BundleFactory;
  readonly server: BundleServer;
  #knownIds: readonly string[] = [];

  private constructor(of: { node: TestNode; factory: BundleFactory; server: BundleServer }) {
    this.node = of.node;
    this.factory = of.factory;
    this.server = of.server;
  }

  /** Boots a node and enrols an operator. The second image is built when it is not in the cache. */
  static async open(name: string, options: NodeOptions = {}): Promise<UpdateLab> {
    const [factory, server] = [await BundleFactory.open(), await BundleServer.open()];
    let node: TestNode | undefined;
    try {
      node = await TestNode.boot(name, options);
      const { exitCode, stderr } = await node.bootstrap();
      assert.equal(exitCode, 0, stderr);
      return new UpdateLab({ node, factory, server });
    } catch (error) {
      await node?.destroy();
      await server.close();
      await factory.close();
      throw error;
    }
  }

  /** URL of a release for the node. */
  async urlOf(name: ReleaseName): Promise<string> {
    return this.server.add((await this.factory.bundle(name)).path);
  }

  /** URL of the delta to a release from the one of the test releases that runs; each is made once. */
  async deltaUrlOf(name: ReleaseName): Promise<string> {
    const { rootHash } = await this.running();
    for (const from of await this.factory.made()) {
      if (from.rootHash !== rootHash) continue;
      const path = join(this.factory.dir, `${rootHash.slice(0, 8)}-${name}.kdelta`);
      if (!existsSync(path)) await makeDelta([from, await this.factory.bundle(name)], path);
      return this.server.add(path);
    }
    return assert.fail(`no bundle of what runs: ${rootHash}`);
  }

  /** Runs `osctl update` with a gated trial. */
  async update(name: ReleaseName, ...more: readonly string[]): Promise<Ended> {
    return this.updateFrom(await this.urlOf(name), ...more);
  }

  /** The same with the URL of a bundle or, with `--delta`, of a delta. */
  async updateFrom(url: string, ...more: readonly string[]): Promise<Ended> {
    return this.node.osctlWithin(
      UPDATE_TIMEOUT_MS,
      ...['update', '--source', url, '--enable-auto-rollback'],
      ...['--health-check-timeout', String(HEALTH_TIMEOUT_SECONDS)],
      ...['--min-healthy', String(MIN_HEALTHY_SECONDS), ...more],
    );
  }

  /** What answers; fails when nothing does. */
  async running(): Promise<Running> {
    const running = await runningNow(this.node);
    assert.ok(running !== undefined, `${this.node.name} does not answer`);
    return running;
  }

  /** Runs `act`, which must leave a node that answers, and tells what came of it. */
  async watch(act: () => Promise<Ended>): Promise<Try> {
    const before = await this.running();
    const [known] = await historyOf(this.node);
    const mark = await this.node.consoleSize();
    const startMs = performance.now();
    const ended = await act();
    const after = await this.node.until(UPDATE_TIMEOUT_MS, () => runningNow(this.node));
    const seconds = (performance.now() - startMs) / 1000;
    const [newest] = await historyOf(this.node);
    return {
      ended,
      before,
      after,
      seconds,
      boots: await bootsSince(this.node, mark),
      entry: newest?.id === known?.id ? undefined : newest,
    };
  }

  /** `osctl update --wait`. */
  async tryRelease(name: ReleaseName, ...more: readonly string[]): Promise<Try> {
    return this.watch(() => this.update(name, '--wait', '--timeout', '9m', ...more));
  }

  /** The node is well, and its history has everything that it had when this was asked before. */
  async assertWell(what: string): Promise<void> {
    this.#knownIds = await assertWell(this.node, what, this.#knownIds);
  }

  /** Waits for the end of what an earlier command began. */
  settled(): Promise<UpdateHistoryEntry> {
    return awaitSettled(this.node, UPDATE_TIMEOUT_MS);
  }

  /** Ends the node and removes everything. */
  async close(): Promise<void> {
    await this.node.destroy();
    await this.server.close();
    await this.factory.close();
  }
}
