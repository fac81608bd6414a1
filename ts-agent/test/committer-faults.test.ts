/** Errors that nobody expects while a release is committed: thrown once, or for ever. */
import assert from 'node:assert/strict';
import { KeelError } from '@keelos/proto/errors.ts';
import { encodeGpt, GPT_BACKUP_SECTORS, SECTOR_BYTES } from '@keelos/proto/gpt.ts';
import { Committer } from '@keelos/ts-agent/shell/committer.ts';
import { slotRead } from '@keelos/ts-agent/shell/root-copy.ts';
import { setSlotGuid } from '@keelos/ts-agent/shell/slot-guid.ts';
import { readGpt } from '@keelos/ts-agent/shell/slots.ts';
import { updatePorts } from '@keelos/ts-agent/shell/update-node.ts';
import type { CommitterPorts } from '@keelos/ts-agent/shell/update-ports.ts';
import { trialRecord } from '@keelos/ts-agent/shell/update-records.ts';
import { followCommitter } from '@keelos/ts-agent/start-services.ts';
import { FakeWorld } from './agent-fixture.ts';
import { OverlayDisk } from './cut-disk.ts';
import { setDisk, testRoot } from './slot-disk.ts';
import { POLICY, REBOOT_LEFT } from './update-wishes.ts';
import { failingCheck, MemorySource, madeBundle, UpdateWorld } from './update-world.ts';

const NEW = testRoot(2, 20);

/** A node whose boot is the trial of 0.2.0. */
async function inTrial(): Promise<UpdateWorld> {
  const node = new UpdateWorld(testRoot(1, 20));
  node.know(NEW, '0.2.0');
  await node.engine.install(new MemorySource(madeBundle(NEW).bytes), REBOOT_LEFT, 'CN=a');
  assert.equal(await node.boot(), '0.2.0');
  return node;
}

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: i/o error`), { code, errno: -5 });
}

/** A function that throws the first time and then does what it did before. */
function onceBroken<A extends unknown[], T>(act: (...args: A) => Promise<T>) {
  let isBroken = true;
  return async (...args: A): Promise<T> => {
    if (!isBroken) return act(...args);
    isBroken = false;
    throw systemError('EIO');
  };
}

describe('a commit in which something fails that nobody expects', () => {
  const faults: Record<string, (ports: CommitterPorts) => Partial<CommitterPorts>> = {
    'the ladder': ({ mendLadder }) => ({ mendLadder: onceBroken(mendLadder) }),
    'PID 1': ({ init }) => ({
      init: { ...init, request: onceBroken((...args) => init.request(...args)) },
    }),
    'the trust file': ({ facts }) => ({
      facts: { ...facts, trustBytes: onceBroken(() => facts.trustBytes()) },
    }),
    'the boot state': ({ boot }) => {
      const read = onceBroken(() => boot.read());
      const get = (_: unknown, key: PropertyKey) => {
        const value = key === 'read' ? read : Reflect.get(boot, key);
        return typeof value === 'function' ? value.bind(boot) : value;
      };
      return { boot: new Proxy<typeof boot>(boot, { get }) };
    },
  };
  for (const [name, fault] of Object.entries(faults)) {
    it(`is finished all the same: ${name}`, async () => {
      const node = await inTrial();
      const committer = new Committer({ ...node.ports, ...fault(node.ports) }, node.engine);
      assert.equal(await committer.run(), 'committed');
      assert.equal(node.engine.history.entries()[0]?.outcome, 'committed');
      assert.equal(trialRecord(node.ports), undefined);
      const told = node.world.init.requests.filter(({ op }) => op === 'settleTrial');
      assert.equal(told.length, 1);
      assert.match(node.world.logged.join('\n'), /EIO/);
    });
  }

  it('gives tries back although the ladder cannot be mended', async () => {
    const node = new UpdateWorld(testRoot(1, 20));
    const mendLadder = () => Promise.reject(systemError('EIO'));
    assert.equal(await new Committer({ ...node.ports, mendLadder }, node.engine).run(), 'settled');
    assert.deepEqual(await node.entries(), ['keel-1+9.conf']);
  });

  it('tells PID 1 until it knows, and stops after a while', async () => {
    for (const [refusals, expected] of [
      [3, 4],
      [1_000, 30],
    ] as const) {
      const node = await inTrial();
      let told = 0;
      const { init } = node.ports;
      const request: typeof init.request = async (asked) => {
        if (asked.op !== 'settleTrial') return init.request(asked);
        told += 1;
        return told > refusals
          ? { type: 'ok' }
          : { type: 'error', code: 'E_INTERNAL', message: 'not now' };
      };
      const ports = { ...node.ports, init: { ...init, request } };
      assert.equal(await new Committer(ports, node.engine).run(), 'committed');
      assert.equal(told, expected);
      assert.equal(node.engine.history.entries()[0]?.outcome, 'committed');
    }
  });

  it('asks the API again when no process could be started to ask it', async () => {
    const node = await inTrial();
    const { world } = node;
    const reachApi = onceBroken(async () => '');
    const parts = { bootState: node.bootState, bootLadder: {}, health: {}, identity: {} };
    const ports = { ...world.ports(), reachApi };
    const { apiProblem } = updatePorts({ ...parts, ports, apiPort: 1 } as never);
    assert.match(await apiProblem(), /EIO/);
    assert.equal(await apiProblem(), '');
  });

  it('a bug ends the process, and the end of the agent does not', async () => {
    const bug = new TypeError('a bug');
    const run = () => Promise.reject(bug);
    const ended: unknown[] = [];
    const follow = (isClosed: boolean) =>
      followCommitter(
        { run, isClosed },
        () => undefined,
        (cause) => ended.push(cause),
      );
    await follow(true);
    assert.deepEqual(ended, []);
    await follow(false);
    assert.deepEqual(ended, [bug]);
  });
});

describe('an update that was cut off', () => {
  it('says so by a code of its own, in the history and to whoever watches', async () => {
    const node = new UpdateWorld(testRoot(1, 20));
    const { id } = await node.engine.install(
      ...([new MemorySource(madeBundle(NEW).bytes), REBOOT_LEFT, 'CN=a'] as const),
    );
    // The firmware started the old system: nobody has spent the try.
    node.world.files.files.set('/proc/sys/kernel/random/boot_id', 'b-77\n');
    node.startAgent();
    assert.equal(await node.committer.run(), 'settled');
    assert.equal(node.engine.history.find(id)?.code, 'E_UPDATE_CUT_OFF');
    assert.equal(node.engine.status().errorCode, 'E_UPDATE_CUT_OFF');
  });

  it('by the agent that went down with it, or by the next one', async () => {
    for (const isOrderly of [true, false]) {
      const node = new UpdateWorld(testRoot(1, 20));
      const source = new MemorySource(madeBundle(NEW).bytes);
      source.onPiece = (at, signal) =>
        at > 0
          ? undefined
          : new Promise((_, reject) => {
              signal.addEventListener('abort', () => reject(signal.reason), { once: true });
            });
      await node.engine.start(source, REBOOT_LEFT, 'CN=a');
      while (node.engine.status().phase !== 'writing') await new Promise(setImmediate);
      if (isOrderly) await node.engine.close();
      node.startAgent();
      assert.equal(await node.committer.run(), 'settled');
      const [entry] = node.engine.history.entries();
      assert.deepEqual([entry?.outcome, entry?.code], ['failed', 'E_UPDATE_CUT_OFF']);
    }
  });
});

describe('a partition table that cannot be read', () => {
  it('leaves the backup, and without it an error of the table', async () => {
    const world = new FakeWorld();
    setDisk(world, { running: testRoot(1, 20) });
    const { files } = world.ports();
    const failing = (count: number) => {
      let left = count;
      const readAt: typeof files.readAt = (path, range) => {
        if (path !== '/dev/vda' || left === 0) return files.readAt(path, range);
        left -= 1;
        return Promise.reject(systemError('EIO'));
      };
      return { files: { ...files, readAt } };
    };
    const whole = await readGpt({ files }, 'vda');
    assert.deepEqual((await readGpt(failing(1), 'vda')).partitions, whole.partitions);
    await assert.rejects(readGpt(failing(2), 'vda'), { code: 'E_DISK_LAYOUT', message: /EIO/ });
  });

  it('is written from the other one when a slot gets its GUID', async () => {
    const world = new FakeWorld();
    setDisk(world, { running: testRoot(1, 20) });
    const bytes = world.files.files.get('/dev/vda') as Buffer;
    const backupAt = bytes.length - GPT_BACKUP_SECTORS * SECTOR_BYTES;
    const guid = '12345678-9abc-4def-8123-456789abcdef';
    for (const unread of [[0], [backupAt], [0, backupAt]]) {
      const disk = new OverlayDisk(bytes);
      const readAt = disk.readAt.bind(disk);
      disk.readAt = async (offset, length) => {
        if (unread.includes(offset)) throw systemError('EIO');
        return readAt(offset, length);
      };
      const change = setSlotGuid(disk, { partitionNumber: 3, guid });
      if (unread.length === 2) {
        await assert.rejects(change, { code: 'E_DISK_LAYOUT', message: /EIO/ });
        assert.deepEqual(disk.calls, []);
        continue;
      }
      await change;
      world.files.files.set('/dev/vda', disk.whole());
      const gpt = await readGpt(world.ports(), 'vda');
      assert.equal(gpt.partitions.find(({ number }) => number === 3)?.guid, guid);
      assert.ok(
        disk
          .whole()
          .subarray(backupAt)
          .equals(Buffer.from(encodeGpt(gpt).backup)),
      );
    }
  });
});

describe('a failed trial that stays in the loader', () => {
  it('never runs again, however often a node with a full disk boots, and is told once there is room', async () => {
    const node = await inTrial();
    const { state } = node.world;
    const full = [failingCheck('state-partition')];
    for (let boots = 0; boots < 24; boots += 1) {
      state.writeFailure = 'ENOSPC';
      node.health = full;
      assert.equal(await node.boot(), '0.1.0', `boot ${boots}`);
      let waits = 0;
      node.onWait = () => {
        waits += 1;
        // Somebody restarts the machine, or the power fails.
        if (waits === 5) node.committer.close();
      };
      await assert.rejects(node.committer.run(), { code: 'E_CANCELLED' });
      assert.deepEqual(await node.entries(), ['keel-1+9.conf', 'keel-2+0-1.conf']);
    }
    state.writeFailure = undefined;
    node.health = [];
    node.onWait = () => undefined;
    assert.equal(await node.boot(), '0.1.0');
    assert.equal(await node.committer.run(), 'settled');
    assert.deepEqual(await node.entries(), ['keel-1+9.conf']);
    assert.equal(node.engine.history.entries()[0]?.outcome, 'rolled-back');
  });

  it('costs the release that runs no try, although its checks do not answer', async () => {
    const node = await inTrial();
    node.world.state.writeFailure = 'ENOSPC';
    assert.equal(await node.boot(), '0.1.0');
    const health = () => new Promise<never>(() => undefined);
    const committer = new Committer({ ...node.ports, health }, node.engine);
    node.onWait = () => committer.close();
    await assert.rejects(committer.run(), { code: 'E_CANCELLED' });
    assert.deepEqual(await node.entries(), ['keel-1+9.conf', 'keel-2+0-1.conf']);
  });

  it('gives way to a release that has no try left either, and is never taken for committed', async () => {
    for (const spent of ['keel-2+0-1.conf', 'keel-2+0-8.conf', 'keel-2+0-9.conf']) {
      const node = await inTrial();
      await node.renameEntry('keel-1+9.conf', 'keel-1+0-9.conf');
      if (spent !== 'keel-2+0-1.conf') await node.renameEntry('keel-2+0-1.conf', spent);
      assert.equal(await node.boot(), '0.2.0', spent);
      node.health = [failingCheck('disk')];
      assert.equal(await node.committer.run(), 'given-up', spent);
      assert.equal((await node.entries())[0], 'keel-1+9.conf');
      assert.equal(await node.boot(), '0.1.0', spent);
    }
  });

  it('leaves the tries of others alone while one of them has any', async () => {
    const node = await inTrial();
    await node.renameEntry('keel-1+9.conf', 'keel-1+2-7.conf');
    node.health = [failingCheck('disk')];
    assert.equal(await node.committer.run(), 'given-up');
    assert.deepEqual(await node.entries(), ['keel-1+2-7.conf', 'keel-2+0-1.conf']);
  });
});

describe('a slot that cannot be read', () => {
  it('is not told as one that cannot be written', async () => {
    const failed = slotRead('verify', Promise.reject(systemError('EAGAIN')));
    await assert.rejects(failed, { code: 'E_SLOT_READ', message: /^Cannot verify slot: EAGAIN/ });
    const own = new KeelError('E_VERIFY_ENDED', 'x');
    await assert.rejects(slotRead('verify', Promise.reject(own)), own);
  });

  it('ends a rollback with what could not be done, and leaves the entries alone', async () => {
    const node = await inTrial();
    await node.committer.run();
    const before = await node.entries();
    node.world.verifyImage = () => Promise.reject(systemError('EAGAIN'));
    node.startAgent();
    const back = { policy: POLICY, retryFailed: false, isRebootLeft: true, reason: 'x' };
    await assert.rejects(node.engine.rollback(back, 'CN=a'), {
      code: 'E_SLOT_READ',
      message: /^Cannot verify slot/,
    });
    assert.deepEqual(await node.entries(), before);
  });
});
