import assert from 'node:assert/strict';
import {
  Health,
  HealthCheckResponse_ServingStatus as Serving,
} from '@keelos/proto/gen/grpc/health/v1/health_pb.js';
import { HealthService, HealthState } from '@keelos/proto/gen/keel/v1/health_pb.js';
import { NODE_PATHS } from '@keelos/proto/node-paths.ts';
import { enrolledNode, failureCode, Openings, type TestClient } from './agent-fixture.ts';

async function collect<T>(
  stream: AsyncIterable<T>,
  count = Number.POSITIVE_INFINITY,
): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) {
    items.push(item);
    if (items.length === count) break;
  }
  return items;
}

async function check(client: TestClient, name: string) {
  const { checks } = await client.call(HealthService, 'getHealth', {});
  const found = checks.find((one) => one.name === name);
  assert.ok(found, `no check ${name}`);
  return found;
}

describe('health', () => {
  const openings = new Openings();
  afterEach(() => openings.closeAll());

  it('is well, and every way not to be', async () => {
    const { client, world } = await enrolledNode(openings);
    const { healthy, checks } = await client.call(HealthService, 'getHealth', {});
    assert.deepEqual(
      checks.filter(({ state }) => state !== HealthState.HEALTHY),
      [],
    );
    assert.equal(healthy, true);
    const sinceMs = Number(checks[0]?.since?.seconds) * 1000;
    const state = (mode: 'memory' | 'read-only' | 'backup-superblock') => () =>
      world.boot({ state: { mode, device: '/dev/vda4', problem: 'bad magic' } });
    const cases: readonly (readonly [string, () => void, HealthState, RegExp])[] = [
      [
        'init',
        () => {
          world.init.isReachable = false;
        },
        HealthState.FAILING,
        /PID 1 does not answer/,
      ],
      [
        'init',
        () => {
          world.init.isReachable = true;
          world.init.services = world.init.services.map((s) => ({
            ...s,
            state: 'backoff',
            restarts: 4,
            lastExit: 'exit 1',
          }));
        },
        HealthState.FAILING,
        /agent \(4 restarts, last: exit 1\)/,
      ],
      ['state-partition', state('memory'), HealthState.FAILING, /forgets everything/],
      ['state-partition', state('read-only'), HealthState.FAILING, /read-only \(bad magic\)/],
      [
        'state-partition',
        state('backup-superblock'),
        HealthState.DEGRADED,
        /restored from its copy/,
      ],
      [
        'state-partition',
        () => {
          world.boot({});
          world.state.writeFailure = 'EIO';
        },
        HealthState.FAILING,
        /EIO/,
      ],
      [
        'state-partition',
        () => {
          world.state.writeFailure = undefined;
          world.files.rooms.set('/var', {
            sizeBytes: 1e9,
            availableBytes: 9e7,
            inodes: 9,
            freeInodes: 9,
          });
        },
        HealthState.DEGRADED,
        /nearly full/,
      ],
      [
        'esp',
        () => {
          world.files.files.set('/dev/vda1', new Error('EIO: i/o error'));
        },
        HealthState.FAILING,
        /cannot be read \(EIO/,
      ],
      [
        'esp',
        () => {
          world.files.files.set('/dev/vda1', Buffer.alloc(512));
        },
        HealthState.FAILING,
        /no boot signature/,
      ],
      [
        'time',
        () =>
          world.boot({
            clock: {
              source: 'floor',
              trusted: false,
              rtcMs: 0,
              problem: 'the real-time clock says 1970',
            },
          }),
        HealthState.DEGRADED,
        /says 1970/,
      ],
      [
        'watchdog',
        () => world.boot({ watchdog: false }),
        HealthState.DEGRADED,
        /No hardware watchdog/,
      ],
      [
        'root',
        () => {
          world.files.files.set('/proc/1/mountinfo', '21 1 254:0 / / rw - ext4 /dev/x rw\n');
        },
        HealthState.FAILING,
        /not a verified image/,
      ],
      [
        'memory',
        () => {
          world.files.files.set('/proc/meminfo', 'MemTotal: 1000 kB\nMemAvailable: 10 kB\n');
        },
        HealthState.DEGRADED,
        /Memory is short/,
      ],
    ];
    for (const [name, spoil, expected, message] of cases) {
      spoil();
      world.clock.advance(2_000);
      const found = await check(client, name);
      assert.equal(found.state, expected, `${name}: ${found.message}`);
      assert.match(found.message, message);
      assert.notEqual(found.remedy, '');
    }
    const api = await check(client, 'api');
    assert.equal(Number(api.since?.seconds) * 1000, sinceMs, 'since when it became healthy');
  });

  it('a boot report that is missing or cut short is said', async () => {
    const { client, world } = await enrolledNode(openings);
    for (const text of [undefined, '{"version":1,']) {
      if (text === undefined) world.files.files.delete(NODE_PATHS.bootReport);
      else world.files.files.set(NODE_PATHS.bootReport, text);
      world.clock.advance(2_000);
      const found = await check(client, 'init');
      assert.equal(found.state, HealthState.DEGRADED);
      assert.match(found.message, /boot report missing/);
    }
  });

  it('grpc.health.v1 follows, for every service', async () => {
    const { client, world } = await enrolledNode(openings);
    const probe = async (service: string) =>
      (await client.call(Health, 'check', { service })).status;
    assert.equal(await probe(''), Serving.SERVING);
    assert.equal(await probe('keel.v1.SystemService'), Serving.SERVING);
    assert.equal(await failureCode(probe('keel.v1.Nothing')), 'E_NOT_FOUND');
    const watch = client.stream(Health, 'watch', { service: '' });
    assert.equal((await collect(watch, 1))[0]?.status, Serving.SERVING);
    world.init.isReachable = false;
    world.clock.advance(2_000);
    assert.equal(await probe(''), Serving.NOT_SERVING);
  });
});
