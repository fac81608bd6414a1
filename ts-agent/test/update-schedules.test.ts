import assert from 'node:assert/strict';
import { durationFromMs, timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import { UpdateService } from '@keelos/proto/gen/keel/v1/update_pb.js';
import { enrolledNode, failure, failureCode, Openings, TestClient } from './agent-fixture.ts';

const SOURCE = 'https://updates.example/keelos-0.2.0-x86_64.squashfs';
const HOUR_MS = 3_600_000;

describe('scheduled updates over the API', () => {
  const openings = new Openings();
  afterEach(() => openings.closeAll());

  it('are made, listed and cancelled, and outlive the agent', async () => {
    const { world, client, agent, certificate } = await enrolledNode(openings);
    const at = world.clock.nowMs() + HOUR_MS;
    const made = await client.call(UpdateService, 'scheduleUpdate', {
      url: `https://user:secret@updates.example/a.squashfs?token=secret`,
      when: { case: 'at', value: timestampFromMs(at) },
      policy: { autoRollback: true, healthCheckTimeout: durationFromMs(60_000) },
    });
    const { schedule } = made;
    assert.ok(schedule?.next !== undefined);
    assert.equal(timestampMs(schedule.next), at);
    assert.equal(schedule.state, 'waiting');
    assert.equal(schedule.url, 'https://updates.example/a.squashfs');
    assert.doesNotMatch(JSON.stringify(schedule.who) + world.logged.join('\n'), /secret/);
    assert.equal(schedule.policy?.healthCheckTimeout?.seconds, 60n);
    assert.equal(schedule.policy?.minHealthy?.seconds, 10n);
    await client.call(UpdateService, 'scheduleUpdate', {
      url: SOURCE,
      when: { case: 'in', value: durationFromMs(HOUR_MS / 2) },
    });
    await client.call(UpdateService, 'scheduleUpdate', {
      url: SOURCE,
      when: { case: 'window', value: { days: [0, 6], startMinute: 120, lengthMinutes: 60 } },
      jitter: durationFromMs(600_000),
    });
    await agent.close();
    const again = openings.add(await world.start());
    const second = openings.add(new TestClient(again, certificate));
    const { schedules } = await second.call(UpdateService, 'listSchedules', {});
    assert.equal(schedules.length, 3);
    const times = schedules.map(({ next }) => (next === undefined ? 0 : timestampMs(next)));
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    );
    assert.deepEqual(schedules.find(({ window }) => window !== undefined)?.window?.days, [0, 6]);
    const cancelled = await second.call(UpdateService, 'cancelSchedule', { id: schedule.id });
    assert.equal(cancelled.schedule?.state, 'cancelled');
    assert.equal(cancelled.schedule?.next, undefined);
  });

  it('are refused with a reason', async () => {
    const { client } = await enrolledNode(openings);
    const when = { case: 'in', value: durationFromMs(1_000) } as const;
    const rows: readonly (readonly [Promise<unknown>, code: string])[] = [
      [client.call(UpdateService, 'scheduleUpdate', { url: SOURCE }), 'E_INVALID_ARGUMENT'],
      [
        client.call(UpdateService, 'scheduleUpdate', { url: 'ftp://x', when }),
        'E_INVALID_ARGUMENT',
      ],
      [
        client.call(UpdateService, 'scheduleUpdate', { url: SOURCE, when, sha256: 'x' }),
        'E_INVALID_ARGUMENT',
      ],
      [client.call(UpdateService, 'cancelSchedule', { id: 'nope' }), 'E_NOT_FOUND'],
    ];
    for (const [call, code] of rows) assert.equal(await failureCode(call), code);
    const past = { case: 'at', value: timestampFromMs(0) } as const;
    const { error } = await failure(
      client.call(UpdateService, 'scheduleUpdate', { url: SOURCE, when: past }),
    );
    assert.match(error.details, /is past: the node's clock says 20/);
  });
});
