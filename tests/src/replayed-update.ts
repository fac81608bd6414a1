/**
 * One update whose every write was written down, repeated up to chosen flushes: what the disk holds when the power fails
 * there. QEMU's blklogwrites is the witness, not our own code.
 */
import assert from 'node:assert/strict';
import { copyFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileSize } from '@keelos/image/sys/vm-files.ts';
import type { Random } from '../fuzz/random.ts';
import { PARTITION, partition, tool } from './disk.ts';
import { type FlushPoint, flushPoints } from './flush-points.ts';
import { TestNode } from './test-node.ts';
import { UPDATE_TIMEOUT_MS, UpdateLab } from './update-lab.ts';
import { assertWell, awaitRest, historyOf } from './update-view.ts';
import { type LoggedWrite, readWriteLog, replay } from './write-log.ts';

/** Firmware variables as they were before the update: it changes them once it is committed. */
function varsBefore({ node }: UpdateLab): string {
  return join(node.dir, 'firmware-vars-before.fd');
}

/** The recorded update. */
export class ReplayedUpdate {
  readonly lab: UpdateLab;
  readonly points: readonly FlushPoint[];
  /** How long it took, from its begin to its commit. */
  readonly durationMs: number;
  readonly #entries: readonly LoggedWrite[];
  readonly #disk: string;
  #done = 0;

  private constructor(
    lab: UpdateLab,
    of: {
      entries: readonly LoggedWrite[];
      points: readonly FlushPoint[];
      disk: string;
      durationMs: number;
    },
  ) {
    this.lab = lab;
    this.points = of.points;
    this.durationMs = of.durationMs;
    this.#entries = of.entries;
    this.#disk = of.disk;
  }

  /** Boots a node, updates it to its commit, and keeps what it wrote. */
  static async record(name: string): Promise<ReplayedUpdate> {
    const lab = await UpdateLab.open(name, { hasWriteLog: true });
    try {
      await lab.node.osctl('shutdown');
      await lab.node.awaitPowerOff();
      const disk = join(lab.node.dir, 'replayed.raw');
      await tool('cp', '--sparse=always', lab.node.disk, disk);
      await copyFile(lab.node.firmwareVars, varsBefore(lab));
      await lab.node.start();
      const begin = await fileSize(lab.node.writeLog);
      const { ended, seconds } = await lab.tryRelease('good');
      assert.equal(ended.exitCode, 0, ended.stderr);
      await lab.node.cutPower();
      const entries = await readWriteLog(lab.node.writeLog);
      const slotA = await partition(disk, PARTITION.slotA);
      const points = flushPoints(entries, { begin, bootEnd: slotA.offsetBytes });
      return new ReplayedUpdate(lab, { entries, points, disk, durationMs: seconds * 1000 });
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  /**
   * Boots what the disk held at a flush; with `random` also some of the writes that came after it, up to the next one.
   * Points must be taken in their order. Asserts that one of the two releases runs and is well.
   *
   * @returns root hash of what runs
   */
  async prove(point: FlushPoint, random: Random): Promise<string> {
    const log = this.lab.node.writeLog;
    await replay(log, this.#disk, this.#entries.slice(this.#done, point.entries));
    this.#done = point.entries;
    const rest = this.#entries.slice(point.entries);
    const next = rest.findIndex(({ kind }) => kind === 'flush');
    const loose = rest.slice(0, next < 0 ? undefined : next);
    const kept = loose.filter(() => random.below(2) === 1);
    const node = await TestNode.boot('replay', {
      disk: this.#disk,
      after: this.lab.node,
      firmwareVars: varsBefore(this.lab),
      prepareDisk: (disk) => replay(log, disk, kept),
    });
    const what = `flush after ${point.entries} writes, and ${kept.length} of ${loose.length} after it`;
    try {
      const { rootHash } = await awaitRest(node, UPDATE_TIMEOUT_MS);
      const target = (await this.lab.factory.bundle('good')).rootHash;
      assert.ok([node.image.rootHash, target].includes(rootHash), `${rootHash} runs`);
      await assertWell(node, what);
      if (rootHash === target) {
        const told = (await historyOf(node)).map(({ to }) => to?.rootHash);
        assert.ok(told.includes(target), 'the history does not have the update that runs');
      }
      return rootHash;
    } catch (error) {
      throw new Error(what, { cause: error });
    } finally {
      await node.destroy();
    }
  }

  /** Removes everything. */
  async close(): Promise<void> {
    await rm(this.#disk, { force: true });
    await this.lab.close();
  }
}
