/** An install that a loss of power cut off, and the one after it: what is in the slot is not fetched again. */
import assert from 'node:assert/strict';
import { UpdatePhase, UpdateService } from '@keelos/proto/gen/keel/v1/update_pb.js';
import { keepEvidence } from '@keelos/tests/test-node.ts';
import { UPDATE_TIMEOUT_MS, UpdateLab } from '@keelos/tests/update-lab.ts';
import { statusOf, withApi } from '@keelos/tests/update-view.ts';
import { FLUSH_BYTES, WRITE_BYTES } from '@keelos/ts-agent/shell/root-copy.ts';

/** Slow enough to cut the power while bytes come. */
const SLOW_BYTES_PER_SECOND = 4_000_000;
/** More than what is flushed for the first time. */
const WRITTEN_BYTES = FLUSH_BYTES + 2 * WRITE_BYTES;
/** Fetched again: the manifest and what else is judged before anything is written. */
const JUDGED_BYTES_MAX = 4 * WRITE_BYTES;

describe('an install that was cut off by a loss of power', function () {
  this.timeout(UPDATE_TIMEOUT_MS);
  let lab: UpdateLab;

  before(async () => {
    lab = await UpdateLab.open('resumed-update');
  });
  afterEach(async function () {
    await keepEvidence(lab?.node, this.currentTest);
  });
  after(() => lab?.close());

  it('goes on where it was when the same bundle is given again', async () => {
    const { node, server, factory } = lab;
    const url = await lab.urlOf('good');
    const options = ['--no-reboot', '--timeout', '5m'];
    server.bytesPerSecond = SLOW_BYTES_PER_SECOND;
    const cut = lab.updateFrom(url, ...options).catch(() => undefined);
    await withApi(node, (client) =>
      node.until(UPDATE_TIMEOUT_MS, async () => {
        // Ends at once while no update has begun.
        for await (const { status } of client.follow(UpdateService.method.watchUpdate)) {
          const isWriting = status?.phase === UpdatePhase.WRITING;
          if (isWriting && Number(status.doneBytes) > WRITTEN_BYTES) return true;
        }
        return undefined;
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
    const { sizeBytes } = await factory.bundle('good');
    const fetched = server.sentBytes - before;
    assert.ok(fetched <= sizeBytes - FLUSH_BYTES + JUDGED_BYTES_MAX, `${fetched} of ${sizeBytes}`);
  });
});
