/** Starts of the agent after everything that a loss of power can leave. */
import assert from 'node:assert/strict';
import { afterOneTry, entryFileName } from '@keelos/proto/boot-entry.ts';
import { UPDATE_PATHS } from '@keelos/proto/update-record.ts';
import { Committer } from '@keelos/ts-agent/shell/committer.ts';
import { failedRoots, keepTrial, trialRecord } from '@keelos/ts-agent/shell/update-records.ts';
import { armed, historyOf, NEW, REBOOT_LEFT } from './update-wishes.ts';
import { failingCheck, MemorySource, madeBundle, UpdateWorld } from './update-world.ts';

describe('the agent at its start', () => {
  it('puts tries back when the checks pass, and not before; what is outside does not count', async () => {
    const node = new UpdateWorld();
    node.health = [failingCheck('time'), failingCheck('probe/web')];
    let waits = 0;
    node.onWait = () => {
      waits += 1;
      if (waits === 3) node.health = [failingCheck('probe/web'), failingCheck('reach')];
    };
    assert.equal(await node.committer.run(), 'settled');
    assert.equal(waits, 3);
    assert.deepEqual(await node.entries(), ['keel-1+9.conf']);
  });

  it('after the record and before the entry: nothing was tried, nothing is held against it', async () => {
    const { node, record } = await armed();
    await node.bootState.removeEntry(record.sequence);
    assert.equal(await node.boot(), '0.1.0');
    assert.equal(await node.committer.run(), 'settled');
    assert.match(
      historyOf(node)[0] ?? '',
      /^failed The release was not started: it has no boot entry/,
    );
    assert.deepEqual(failedRoots(node.ports), []);
    assert.equal(trialRecord(node.ports), undefined);
  });

  it('an armed entry that the firmware did not start is taken away', async () => {
    const { node } = await armed();
    // The firmware took another way to the old system: nobody has spent the try.
    node.world.files.files.set('/proc/sys/kernel/random/boot_id', 'b-77\n');
    node.startAgent();
    assert.equal(await node.committer.run(), 'settled');
    assert.match(historyOf(node)[0] ?? '', /^failed The release was not started: the firmware/);
    assert.deepEqual(await node.entries(), ['keel-1+9.conf']);
  });

  it('after the commit and before the rest: the rest is done', async () => {
    const { node, record } = await armed();
    await node.boot();
    await node.bootState.commit(record.sequence);
    assert.equal(await node.boot(), '0.2.0');
    assert.equal(await node.committer.run(), 'settled');
    assert.deepEqual(historyOf(node), ['committed']);
    assert.equal(trialRecord(node.ports), undefined);
    assert.deepEqual(await node.entries(), ['keel-2+9.conf', 'keel-1+9.conf']);
  });

  it('a record that comes back after its end was written is cleared once more', async () => {
    const { node, record } = await armed();
    await node.boot();
    assert.equal(await node.boot(), '0.1.0');
    await node.committer.run();
    const before = historyOf(node);
    keepTrial(node.ports, record);
    node.startAgent();
    assert.equal(await node.committer.run(), 'settled');
    assert.deepEqual(historyOf(node), before);
    assert.equal(trialRecord(node.ports), undefined);
    assert.equal(failedRoots(node.ports).length, 1);
  });

  it('a trial that was cancelled while the power failed is given up, and not held against its root', async () => {
    const { node, record } = await armed();
    node.engine.history.close(record.id, { outcome: 'cancelled', cause: 'by hand' });
    assert.equal(await node.boot(), '0.2.0');
    assert.equal(await node.committer.run(), 'given-up');
    assert.equal(await node.boot(), '0.1.0');
    assert.equal(await node.committer.run(), 'settled');
    assert.deepEqual(historyOf(node), ['cancelled by hand']);
    assert.deepEqual(failedRoots(node.ports), []);
    assert.deepEqual(await node.entries(), ['keel-1+9.conf']);
  });

  it('a trial whose record is lost is judged with care, and no install begins meanwhile', async () => {
    const { node } = await armed();
    node.world.state.files.clear();
    assert.equal(await node.boot(), '0.2.0');
    const attempt = node.engine.start(new MemorySource(madeBundle(NEW).bytes), REBOOT_LEFT, 'CN=a');
    await assert.rejects(attempt, { code: 'E_UPDATE_UNSETTLED' });
    node.health = [failingCheck('time')];
    let waits = 0;
    node.onWait = () => {
      waits += 1;
      assert.equal(node.isRebootAsked, false);
      if (waits === 100) node.health = [];
    };
    assert.equal(await node.committer.run(), 'committed');
    assert.deepEqual(await node.entries(), ['keel-2+9.conf', 'keel-1+9.conf']);
  });

  it('a committed release whose record came back keeps its entry when it gives way later', async () => {
    const { node, record } = await armed();
    await node.boot();
    assert.equal(await node.committer.run(), 'committed');
    keepTrial(node.ports, record);
    await node.renameEntry('keel-2+9.conf', 'keel-2+0-9.conf');
    assert.equal(await node.boot(), '0.1.0');
    assert.equal(await node.committer.run(), 'settled');
    assert.match(
      historyOf(node)[0] ?? '',
      /^committed 0\.2\.0 in slot b gave way\. It has used up/,
    );
    assert.equal(trialRecord(node.ports), undefined);
    assert.ok((await node.entries()).includes('keel-2+0-9.conf'));
  });

  it('an agent that was killed between the record and the entry has armed nothing', async () => {
    const { node, record } = await armed();
    await node.bootState.removeEntry(record.sequence);
    node.startAgent();
    assert.equal(await node.committer.run(), 'settled');
    assert.match(historyOf(node)[0] ?? '', /^failed The release was not started: it has no boot/);
    assert.equal(trialRecord(node.ports), undefined);
  });

  it('an agent that was killed between the entry and the reboot: the next one asks for the reboot', async () => {
    const { node, record } = await armed();
    keepTrial(node.ports, { ...record, isRebootLeft: false });
    node.startAgent();
    assert.equal(await node.committer.run(), 'armed');
    assert.equal(node.isRebootAsked, true);
    await assert.rejects(node.engine.cancel(record.id), { code: 'E_UPDATE_UNSETTLED' });
    assert.equal(await node.boot(), '0.2.0');
    assert.equal(await node.committer.run(), 'committed');
  });

  it('asks PID 1 again that does not take the reboot, for a bounded time', async () => {
    const { node, record } = await armed();
    keepTrial(node.ports, { ...record, isRebootLeft: false });
    const { init } = node.world;
    const asks = () => init.requests.filter(({ op }) => op === 'reboot').length;
    init.refused = 'reboot';
    node.startAgent();
    assert.equal(await node.committer.run(), 'armed');
    const { phase, errorCode } = node.engine.status();
    assert.deepEqual([asks(), phase, errorCode], [12, 'armed', 'E_INIT_UNREACHABLE']);
    node.startAgent();
    node.onWait = () => {
      if (asks() === 15) init.refused = undefined;
    };
    assert.equal(await node.committer.run(), 'armed');
    assert.deepEqual([asks(), node.engine.status().errorCode], [16, '']);
  });

  it('asks for no reboot that was left to the operator, or that was not wanted any more', async () => {
    const { node, record } = await armed();
    node.startAgent();
    assert.equal(await node.committer.run(), 'armed');
    assert.equal(node.isRebootAsked, false);
    keepTrial(node.ports, { ...record, isRebootLeft: false });
    node.startAgent();
    const { boot } = node.ports;
    Object.assign(boot, { removeEntry: () => Promise.reject(new Error('it cannot be removed')) });
    await assert.rejects(node.engine.cancel(''), { message: /it cannot be removed/ });
    node.startAgent();
    assert.equal(await node.committer.run(), 'armed');
    assert.equal(node.isRebootAsked, false);
  });

  it('a release that has used up its tries gets them back before another is armed: a failed trial gives way', async () => {
    const node = new UpdateWorld();
    await node.renameEntry('keel-1+8-1.conf', 'keel-1+1-8.conf');
    await node.boot();
    assert.deepEqual(await node.entries(), ['keel-1+0-9.conf']);
    node.know(NEW, '0.2.0');
    await node.engine.install(new MemorySource(madeBundle(NEW).bytes), REBOOT_LEFT, 'CN=a');
    assert.deepEqual(await node.entries(), ['keel-2+1.conf', 'keel-1+9.conf']);
    assert.equal(await node.boot(), '0.2.0');
    node.health = [failingCheck('disk')];
    assert.equal(await node.committer.run(), 'given-up');
    assert.equal(await node.boot(), '0.1.0');
  });

  it('a failed trial is not forgotten while the disk is full: entry and record stay until it is remembered', async () => {
    const { node, record } = await armed();
    assert.equal(await node.boot(), '0.2.0');
    const { state } = node.world;
    state.writeFailure = 'ENOSPC';
    assert.equal(await node.boot(), '0.1.0');
    let waits = 0;
    node.onWait = () => {
      waits += 1;
      assert.deepEqual(failedRoots(node.ports), []);
      assert.equal(trialRecord(node.ports)?.id, record.id);
      if (waits === 50) state.writeFailure = undefined;
      assert.ok(waits < 70, 'done again within a minute');
      if (waits > 50) node.onWait = () => undefined;
    };
    assert.equal(await node.committer.run(), 'settled');
    assert.ok(waits >= 50);
    assert.match(historyOf(node)[0] ?? '', /^rolled-back /);
    assert.deepEqual(
      failedRoots(node.ports).map(({ rootHash }) => rootHash),
      [record.to.rootHash],
    );
    assert.equal(trialRecord(node.ports), undefined);
    assert.deepEqual(await node.entries(), ['keel-1+9.conf']);
    const told = node.world.logged.filter((line) => line.includes('failed its trial'));
    assert.ok(told.length < 10, `${told.length} lines in 250 s`);
  });

  it('an entry of a failed trial that cannot be removed at first is removed later, and updates go on', async () => {
    const { node } = await armed();
    await node.boot();
    await node.boot();
    const { boot } = node.ports;
    const { removeEntry } = boot;
    const failing = { removeEntry: () => Promise.reject(new Error('it cannot be removed')) };
    Object.assign(boot, failing);
    node.onWait = () => Object.assign(boot, { removeEntry });
    assert.equal(await node.committer.run(), 'settled');
    assert.equal(trialRecord(node.ports), undefined);
    assert.deepEqual(await node.entries(), ['keel-1+9.conf']);
  });

  it('a committed release whose entry is gone is told, too', async () => {
    const { node } = await armed();
    await node.boot();
    assert.equal(await node.committer.run(), 'committed');
    await node.bootState.removeEntry(2);
    assert.equal(await node.boot(), '0.1.0');
    assert.equal(await node.committer.run(), 'settled');
    assert.match(
      historyOf(node)[0] ?? '',
      /^committed 0\.2\.0 in slot b gave way\. Its boot entry is gone/,
    );
    node.startAgent();
    assert.equal(await node.committer.run(), 'settled');
    assert.equal(historyOf(node).length, 2);
  });

  it('a committed release that used up its tries is told once, and its entry stays', async () => {
    const { node } = await armed();
    await node.boot();
    assert.equal(await node.committer.run(), 'committed');
    for (let name = { sequence: 2, counter: { left: 9, done: 0 } }; name.counter.left > 0; ) {
      const next = afterOneTry(name) as typeof name;
      await node.renameEntry(entryFileName(name), entryFileName(next));
      name = next;
    }
    assert.equal(await node.boot(), '0.1.0');
    for (let starts = 0; starts < 2; starts += 1) {
      node.startAgent();
      assert.equal(await node.committer.run(), 'settled');
    }
    const [entry, ...others] = node.engine.history.entries();
    assert.equal(others.length, 1);
    assert.deepEqual(
      [entry?.automatic, entry?.kind, entry?.from.version, entry?.to.version],
      [true, 'rollback', '0.2.0', '0.1.0'],
    );
    assert.match(entry?.cause ?? '', /used up its tries/);
    assert.deepEqual(await node.entries(), ['keel-1+9.conf', 'keel-2+0-9.conf']);
    const again = madeBundle(NEW);
    await node.engine.install(new MemorySource(again.bytes), REBOOT_LEFT, 'CN=a');
    assert.equal(await node.boot(), '0.2.0', 'the same release repairs its slot');
  });

  it('a commit that the disk does not take is tried again, and given up at the deadline', async () => {
    const { node } = await armed();
    await node.boot();
    let commits = 0;
    Object.assign(node.ports.boot, {
      commit: async () => {
        commits += 1;
        throw new Error('EIO');
      },
    });
    assert.equal(await node.committer.run(), 'given-up');
    assert.ok(commits > 2, `${commits} commits`);
    assert.match(historyOf(node)[0] ?? '', /entry could not be committed: EIO/);
  });

  it('a full state partition keeps nobody from a commit', async () => {
    const { node } = await armed();
    await node.boot();
    node.world.state.writeFailure = 'ENOSPC';
    assert.equal(await node.committer.run(), 'committed');
    assert.deepEqual(await node.entries(), ['keel-2+9.conf', 'keel-1+9.conf']);
    assert.match(
      node.world.logged.join('\n'),
      /history: Cannot write .*history\.rec: no space left/,
    );
  });

  it('a partition that cannot be read at first is read later, and holds nobody up for long', async () => {
    const node = new UpdateWorld();
    const good = node.world.files.files.get('/dev/vda1');
    assert.ok(good instanceof Buffer);
    node.world.files.files.set('/dev/vda1', Buffer.alloc(4096));
    let isJudged = false;
    node.committer.judged.then(() => {
      isJudged = true;
    });
    let waits = 0;
    node.onWait = () => {
      waits += 1;
      if (waits === 20) node.world.files.files.set('/dev/vda1', good);
      if (waits === 20) assert.ok(isJudged, 'updates may be asked for, and are told what is wrong');
    };
    assert.equal(await node.committer.run(), 'settled');
    assert.equal(waits, 20);
    assert.deepEqual(await node.entries(), ['keel-1+9.conf']);
    assert.equal(node.world.logged.filter((line) => /boot state not read/.test(line)).length, 10);
  });

  it('judges nothing before PID 1 has kept the evidence', async () => {
    const { node } = await armed();
    await node.boot();
    const touched: PropertyKey[] = [];
    const boot = new Proxy(node.ports.boot, {
      get(target, key) {
        touched.push(key);
        const value = Reflect.get(target, key);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const kept = Promise.withResolvers<void>();
    const evidenceKept = () => kept.promise;
    const committer = new Committer({ ...node.ports, boot, evidenceKept }, node.engine);
    const run = committer.run();
    let isJudged = false;
    committer.judged.then(() => {
      isJudged = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(touched, []);
    assert.equal(isJudged, false);
    kept.resolve();
    assert.equal(await run, 'committed');
    assert.notEqual(touched.length, 0);
  });

  it('a damaged history is set aside, and the trial goes on', async () => {
    const { node } = await armed();
    node.world.state.files.set(UPDATE_PATHS.history, Buffer.from('keel-record nonsense'));
    await node.boot();
    assert.equal(await node.committer.run(), 'committed');
  });
});
