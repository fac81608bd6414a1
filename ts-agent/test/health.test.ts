import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Health,
  HealthCheckResponse_ServingStatus as Serving,
} from '@keelos/proto/gen/grpc/health/v1/health_pb.js';
import { HealthService, HealthState } from '@keelos/proto/gen/keel/v1/health_pb.js';
import { SystemService } from '@keelos/proto/gen/keel/v1/system_pb.js';
import { NODE_PATHS } from '@keelos/proto/node-paths.ts';
import { CRASH_WINDOW_MS } from '@keelos/ts-agent/core/restart-history.ts';
import { CHECK_MS } from '@keelos/ts-agent/shell/health.ts';
import { WRITE_TEST_MS } from '@keelos/ts-agent/shell/write-test.ts';
import {
  check,
  collect,
  enrolledNode,
  FakeWorld,
  failureCode,
  Openings,
  ROOT_HASH,
  TestClient,
} from './agent-fixture.ts';
import { bootEsp } from './boot-disk.ts';
import { makeCertificate } from './openssl-certificates.ts';

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
        /nearly full: 85\.8 MiB of 954 MiB free\./,
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
        /no boot sector/,
      ],
      [
        'esp',
        () => {
          const fat16 = Buffer.from(bootEsp({ rootHash: ROOT_HASH, triesLeft: 8 }));
          fat16.writeUInt32LE(0, 36);
          world.files.files.set('/dev/vda1', fat16);
        },
        HealthState.FAILING,
        /a table of 0 bytes/,
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
        () => world.boot({ watchdog: 'none' }),
        HealthState.DEGRADED,
        /No hardware watchdog was found, none is in use/,
      ],
      [
        'watchdog',
        () => world.boot({ watchdog: 'software' }),
        HealthState.DEGRADED,
        /only the software watchdog is fed/,
      ],
      [
        'image',
        () =>
          world.boot({ image: { state: 'damaged', device: '/dev/vda2', problem: 'at byte 0' } }),
        HealthState.DEGRADED,
        /The image on \/dev\/vda2 is damaged: at byte 0/,
      ],
      [
        'image',
        () => world.boot({ image: { state: 'unknown', device: '', problem: 'no table' } }),
        HealthState.DEGRADED,
        /could not be checked: no table/,
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
      world.clock.advance(WRITE_TEST_MS);
      const found = await check(client, name);
      assert.equal(found.state, expected, `${name}: ${found.message}`);
      assert.match(found.message, message);
      assert.notEqual(found.remedy, '');
    }
    world.boot({ image: { state: 'verified', device: '/dev/vda2', problem: '' } });
    world.clock.advance(WRITE_TEST_MS);
    assert.match((await check(client, 'image')).message, /leads to the root hash/);
    const api = await check(client, 'api');
    assert.equal(Number(api.since?.seconds) * 1000, sinceMs, 'since when it became healthy');
  });

  it('restarts of long ago are no crash loop, and those of an agent that crashed are counted', async () => {
    const { client, world, certificate } = await enrolledNode(openings);
    const crash = (restarts: number) => {
      const sinceMs = world.clock.nowMs();
      world.init.services = world.init.services.map((s) => ({ ...s, restarts, sinceMs }));
    };
    for (let restarts = 1; restarts <= 5; restarts += 1) {
      crash(restarts);
      assert.equal((await check(client, 'init')).state, HealthState.HEALTHY, `${restarts}`);
      world.clock.advance(CRASH_WINDOW_MS);
    }
    await openings.closeAll();
    for (const restarts of [6, 7, 8]) {
      crash(restarts);
      world.clock.advance(1_000);
      await (await world.start()).close();
    }
    const again = openings.add(new TestClient(openings.add(await world.start()), certificate));
    const found = await check(again, 'init');
    assert.equal(found.state, HealthState.FAILING);
    assert.match(found.message, /agent \(3 restarts/);
    assert.equal((await check(again, 'init')).state, HealthState.FAILING, 'and when asked again');
  });

  it('is not asked before PID 1 has mounted what is looked at', async () => {
    const world = new FakeWorld();
    const steps = [{ name: 'init-started', monotonicUs: 1_500_000 }];
    const variables = [...world.variables.variables];
    world.variables.variables.clear();
    world.boot({ steps });
    const agent = openings.add(await world.start());
    const client = openings.add(new TestClient(agent, makeCertificate()));
    await client.enrol(world.token);
    let isAnswered = false;
    const asked = client.call(HealthService, 'getHealth', {}).finally(() => {
      isAnswered = true;
    });
    // Calls that came later are answered meanwhile.
    for (let call = 0; call < 3; call += 1) await client.call(SystemService, 'getVersion', {});
    assert.equal(isAnswered, false);
    for (const [name, value] of variables) world.variables.variables.set(name, value);
    world.boot({});
    const { checks } = await asked;
    const notWell = checks.filter(({ state }) => state !== HealthState.HEALTHY);
    assert.deepEqual(notWell, []);
  });

  it('gives the first look at the loader more time than a check has', async () => {
    const world = new FakeWorld();
    const read = Promise.withResolvers<void>();
    const ports = world.ports();
    const slow = async (...opened: Parameters<typeof ports.openDevice>) => {
      const device = await ports.openDevice(...opened);
      return {
        ...device,
        readAt: async (...place: Parameters<typeof device.readAt>) => {
          await read.promise;
          return device.readAt(...place);
        },
      };
    };
    world.ports = () => ({ ...ports, openDevice: slow });
    const agent = openings.add(await world.start());
    const client = openings.add(new TestClient(agent, makeCertificate()));
    await client.enrol(world.token);
    const asked = client.call(HealthService, 'getHealth', {});
    // What is waited for is that a check's own time goes by.
    await sleep(CHECK_MS + 100);
    read.resolve();
    const { checks } = await asked;
    const counting = checks.find(({ name }) => name === 'boot-counting');
    assert.equal(counting?.state, HealthState.HEALTHY, counting?.message);
  });

  it('the disk is written at most once a minute as long as it works', async () => {
    const { client, world } = await enrolledNode(openings);
    let count = 0;
    const probe = world.state.probe.bind(world.state);
    world.state.probe = (path) => {
      count += 1;
      return probe(path);
    };
    for (let asked = 0; asked < 30; asked += 1) {
      await check(client, 'state-partition');
      world.clock.advance(2_000);
    }
    assert.equal(count, 1);
    await check(client, 'state-partition');
    assert.equal(count, 2);
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
