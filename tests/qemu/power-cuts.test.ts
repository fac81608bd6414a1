/**
 * A sample of what `npm run test:long` does at length: the plug pulled during an update, and a node booted from what its
 * disk held at flushes of one. KEEL_SEED: other moments.
 */
import assert from 'node:assert/strict';
import { UpdatePhase } from '@keelos/proto/gen/keel/v1/update_pb.js';
import { chosen } from '@keelos/tests/flush-points.ts';
import { cutDuringUpdates, nextRelease } from '@keelos/tests/power-cuts.ts';
import { ReplayedUpdate } from '@keelos/tests/replayed-update.ts';
import { UPDATE_TIMEOUT_MS } from '@keelos/tests/update-lab.ts';
import { statusOf, withApi } from '@keelos/tests/update-view.ts';
import { wholeSetting } from '@keelos/tests/whole-setting.ts';
import { FLUSH_BYTES, WRITE_BYTES } from '@keelos/ts-agent/shell/root-copy.ts';
import { Random } from '../fuzz/random.ts';

const SEED = wholeSetting('KEEL_SEED', 1);
const CUTS = 1;
const POINTS = 2;
/** Slow enough to cut the power while bytes come. */
const SLOW_BYTES_PER_SECOND = 4_000_000;
/** More than what is flushed for the first time. */
const WRITTEN_BYTES = FLUSH_BYTES + 2 * WRITE_BYTES;
/** Fetched again: the manifest and what else is judged before anything is written. */
const JUDGED_BYTES_MAX = 4 * WRITE_BYTES;

describe('a node whose power fails during an update', () => {
  let update: ReplayedUpdate;

  before(async function () {
    this.timeout(2 * UPDATE_TIMEOUT_MS);
    update = await ReplayedUpdate.record('power-cuts');
  });
  after(() => update?.close());

  it(`is well when booted from its disk at ${POINTS} flushes, seed ${SEED}`, async function () {
    this.timeout(POINTS * UPDATE_TIMEOUT_MS);
    const random = new Random(SEED, 0);
    for (const point of chosen(update.points, POINTS)) await update.prove(point, random);
  });

  it(`is well after ${CUTS} cut at a random moment, seed ${SEED}`, async function () {
    this.timeout((CUTS + 2) * UPDATE_TIMEOUT_MS);
    await update.lab.node.start();
    const random = new Random(SEED, 1);
    await cutDuringUpdates(update.lab, { count: CUTS, random, wholeMs: update.durationMs });
  });

  it('goes on where it was when the power fails while the slot is written', async function () {
    this.timeout(UPDATE_TIMEOUT_MS);
    const { lab } = update;
    const { node, server } = lab;
    const name = await nextRelease(lab);
    const url = await lab.urlOf(name);
    const options = ['--retry-failed', '--no-reboot', '--timeout', '5m'];
    server.bytesPerSecond = SLOW_BYTES_PER_SECOND;
    const cut = lab.updateFrom(url, ...options).catch(() => undefined);
    await withApi(node, (client) =>
      node.until(UPDATE_TIMEOUT_MS, async () => {
        const { phase, doneBytes } = await statusOf(client);
        const isWriting = phase === UpdatePhase.WRITING && Number(doneBytes) > WRITTEN_BYTES;
        return isWriting ? true : undefined;
      }),
    );
    await node.cutPower();
    await node.start(UPDATE_TIMEOUT_MS);
    server.bytesPerSecond = undefined;
    await cut;
    const before = server.sentBytes;
    const { exitCode, stderr } = await lab.updateFrom(url, ...options);
    assert.equal(exitCode, 0, stderr);
    const { resumedBytes } = await withApi(node, statusOf);
    assert.ok(resumedBytes >= FLUSH_BYTES, `${resumedBytes} bytes were there`);
    const { sizeBytes } = await lab.factory.bundle(name);
    const fetched = server.sentBytes - before;
    assert.ok(fetched <= sizeBytes - FLUSH_BYTES + JUDGED_BYTES_MAX, `${fetched} of ${sizeBytes}`);
    assert.equal((await node.osctl('update', '--cancel')).exitCode, 0);
  });
});
