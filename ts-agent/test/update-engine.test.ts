import assert from 'node:assert/strict';
import { type ErrorCode, KeelError } from '@keelos/proto/errors.ts';
import { encodeRecord } from '@keelos/proto/state-record.ts';
import { RESUME_RECORD, UPDATE_PATHS } from '@keelos/proto/update-record.ts';
import { LOADER_SELECTED } from '@keelos/ts-agent/core/loader-variables.ts';
import type { UpdateOptions } from '@keelos/ts-agent/shell/update-engine.ts';
import { resumeRecord, trialRecord } from '@keelos/ts-agent/shell/update-records.ts';
import { testKernelImage, testRoot } from './slot-disk.ts';
import { fails, inTrial, NEW, OPTIONS, POLICY, WHO } from './update-wishes.ts';
import { failingCheck, MemorySource, madeBundle, UpdateWorld } from './update-world.ts';

const THIRD = testRoot(3, 260);
const NEVER = new AbortController().signal;

describe('updates of a node', () => {
  it('begins once the source of the one before is closed: both may keep a delta in one file', async () => {
    const node = new UpdateWorld();
    const closing = Promise.withResolvers<void>();
    const [first, second] = [1, 2].map(() => new MemorySource(madeBundle(NEW).bytes));
    assert.ok(first !== undefined && second !== undefined);
    first.close = () => closing.promise;
    const wrong = { ...OPTIONS, isDryRun: true, sha256: 'ab'.repeat(32) };
    await node.engine.start(first, wrong, WHO);
    for (let turn = 0; node.engine.status().phase !== 'failed'; turn += 1) {
      assert.ok(turn < 1000);
      await new Promise((next) => setImmediate(next));
    }
    const next = node.engine.start(second, OPTIONS, WHO);
    for (let turn = 0; turn < 20; turn += 1) await new Promise((go) => setImmediate(go));
    assert.deepEqual(second.ranges, []);
    closing.resolve();
    assert.notEqual((await next).phase, 'failed');
    await node.engine.close();
  });

  it('is not accepted before the history knows of it', async () => {
    const node = new UpdateWorld();
    node.world.state.writeFailure = 'ENOSPC';
    const started = node.engine.start(new MemorySource(madeBundle(NEW).bytes), OPTIONS, WHO);
    await assert.rejects(started, fails('E_STATE_FULL'));
    assert.deepEqual(await node.entries(), ['keel-1+8-1.conf']);
  });

  it('install, trial, commit: entries, slot, history, status', async () => {
    const node = new UpdateWorld();
    const bundle = madeBundle(NEW);
    const source = new MemorySource(bundle.bytes);
    const hooks: string[] = [];
    node.engine.beforeReboot.push({ name: 'drain', run: async () => void hooks.push('before') });
    const armed = await node.engine.install(source, { ...OPTIONS, sha256: bundle.sha256 }, WHO);
    assert.deepEqual([armed.phase, armed.version, armed.slot], ['armed', '0.2.0', 'b']);
    assert.equal(source.isClosed, true);
    assert.deepEqual(await node.entries(), ['keel-2+1.conf', 'keel-1+9.conf']);
    assert.equal(resumeRecord(node.ports), undefined);
    assert.equal(trialRecord(node.ports)?.sequence, 2);
    node.know(NEW, '0.2.0');
    assert.equal(await node.boot(), '0.2.0');
    assert.ok(node.isRebootAsked);
    node.engine.afterCommit.push({ name: 'uncordon', run: async () => void hooks.push('after') });
    assert.equal(await node.committer.run(), 'committed');
    assert.deepEqual(hooks, ['before', 'after']);
    assert.deepEqual(await node.entries(), ['keel-2+9.conf', 'keel-1+9.conf']);
    const [entry] = node.engine.history.entries();
    assert.deepEqual(
      [entry?.outcome, entry?.who, entry?.from.version, entry?.to.version, entry?.automatic],
      ['committed', WHO, '0.1.0', '0.2.0', false],
    );
    assert.equal(trialRecord(node.ports), undefined);
    assert.deepEqual(
      [node.engine.status().phase, node.engine.status().id],
      ['committed', entry?.id],
    );
    assert.ok(
      node.world.init.requests.some(
        (one) => one.op === 'settleTrial' && one.outcome === 'committed',
      ),
    );
    assert.equal(await node.boot(), '0.2.0');
    assert.equal(await node.committer.run(), 'settled');
    assert.deepEqual(await node.entries(), ['keel-2+9.conf', 'keel-1+9.conf']);
  });

  it('a trial that stays unhealthy is given up with its reason, and refused from then on', async () => {
    const { node, bundle } = await inTrial();
    node.health = [failingCheck('probe/web')];
    assert.equal(await node.committer.run(), 'given-up');
    assert.equal(await node.boot(), '0.1.0');
    node.health = [];
    assert.equal(await node.committer.run(), 'settled');
    const [entry] = node.engine.history.entries();
    assert.deepEqual([entry?.outcome, entry?.automatic], ['rolled-back', true]);
    assert.match(entry?.cause ?? '', /did not pass within 60 s: probe\/web: probe\/web is broken/);
    assert.match(entry?.evidence.join('\n') ?? '', /check probe\/web fails since 1970/);
    const status = node.engine.status();
    assert.deepEqual([status.phase, status.errorCode], ['failed', 'E_UPDATE_ROLLED_BACK']);
    assert.deepEqual(await node.entries(), ['keel-1+9.conf']);
    node.startAgent();
    const told = (await node.engine.watch(entry?.id ?? '', NEVER).next()).value;
    assert.deepEqual([told?.phase, told?.errorCode], ['failed', 'E_UPDATE_ROLLED_BACK']);
    const again = () => node.engine.install(new MemorySource(bundle.bytes), OPTIONS, WHO);
    await assert.rejects(again(), fails('E_RELEASE_FAILED_BEFORE'));
    const options = { ...OPTIONS, retryFailed: true };
    await node.engine.install(new MemorySource(bundle.bytes), options, WHO);
    assert.equal(await node.boot(), '0.2.0');
    assert.equal(await node.committer.run(), 'committed');
  });

  it('a trial that dies without a word leaves what is certain, and a good update works at once', async () => {
    const { node } = await inTrial();
    assert.equal(await node.boot(), '0.1.0');
    assert.equal(await node.committer.run(), 'settled');
    assert.match(node.engine.history.entries()[0]?.cause ?? '', /left no trace/);
    const good = madeBundle(THIRD, { version: '0.3.0' });
    node.know(THIRD, '0.3.0');
    await node.engine.install(new MemorySource(good.bytes), OPTIONS, WHO);
    assert.equal(await node.boot(), '0.3.0');
    assert.equal(await node.committer.run(), 'committed');
  });

  it('without automatic rollback a release with failing checks is committed once the API answers', async () => {
    const node = new UpdateWorld();
    node.know(NEW, '0.2.0');
    const options = { ...OPTIONS, policy: { ...POLICY, autoRollback: false } };
    await node.engine.install(new MemorySource(madeBundle(NEW).bytes), options, WHO);
    await node.boot();
    node.health = [failingCheck('time')];
    node.apiProblem = 'nobody listens';
    let waits = 0;
    node.onWait = () => {
      waits += 1;
      assert.match(node.engine.status().waitingFor[0] ?? '', /api from outside: nobody listens/);
      if (waits === 100) node.apiProblem = '';
    };
    assert.equal(await node.committer.run(), 'committed');
    assert.ok(waits >= 100);
  });

  it('each refusal has its code, changes nothing on the disk, and signed ones are in the history', async () => {
    const good = madeBundle(NEW);
    const change = (part: object) => ({
      change: (manifest: typeof good.manifest) => ({ ...manifest, ...part }),
    });
    const huge = testRoot(4, 600);
    const CASES: readonly [ErrorCode, isSigned: boolean, Uint8Array][] = [
      ['E_BUNDLE_TRUNCATED', false, Buffer.alloc(100_000)],
      ['E_BUNDLE_TRUNCATED', false, good.bytes.subarray(0, 10)],
      ['E_SIGNATURE_WRONG', false, madeBundle(NEW, { isStranger: true }).bytes],
      ['E_ARCH_MISMATCH', true, madeBundle(NEW, change({ arch: 'aarch64' })).bytes],
      ['E_EPOCH_TOO_LOW', true, madeBundle(NEW, change({ epoch: 1 })).bytes],
      ['E_SLOT_TOO_SMALL', true, madeBundle(huge).bytes],
      ['E_RELEASE_RUNNING', true, madeBundle(testRoot(1, 130)).bytes],
      ['E_BUNDLE_MALFORMED', true, madeBundle(NEW, { kernelImage: Buffer.alloc(9_000, 7) }).bytes],
      [
        'E_BUNDLE_MALFORMED',
        true,
        madeBundle(NEW, { kernelImage: testKernelImage(THIRD.commandLine) }).bytes,
      ],
      [
        'E_ESP_FULL',
        true,
        madeBundle(NEW, {
          kernelImage: Buffer.concat([testKernelImage(NEW.commandLine), Buffer.alloc(60e6)]),
        }).bytes,
      ],
    ];
    for (const [code, isSigned, bytes] of CASES) {
      const node = new UpdateWorld();
      const before = Buffer.from(node.world.files.files.get('/dev/vda1') as Buffer);
      const attempt = node.engine.start(new MemorySource(bytes), OPTIONS, WHO);
      await assert.rejects(attempt, fails(code));
      assert.ok(before.equals(node.world.files.files.get('/dev/vda1') as Buffer), code);
      assert.equal(node.engine.status().errorCode, code);
      const written = node.engine.history.entries().map((entry) => [entry.code, entry.outcome]);
      assert.deepEqual(written, isSigned ? [[code, 'failed']] : [], code);
    }
  });

  it('flipped bytes of root and kernel image, another hash of the whole, and a slot that lies', async () => {
    const { bytes, manifest } = madeBundle(NEW);
    const flipped = (at: number) => {
      const copy = Buffer.from(bytes);
      copy[at] = (copy[at] ?? 0) ^ 1;
      return copy;
    };
    const CASES: readonly [ErrorCode, Uint8Array, Partial<UpdateOptions>, RegExp][] = [
      ['E_BUNDLE_DAMAGED', flipped(77_777), {}, /the root has SHA-256/],
      [
        'E_BUNDLE_DAMAGED',
        flipped(manifest.uki.offset + 3_000),
        {},
        /the kernel image has SHA-256/,
      ],
      ['E_BUNDLE_DAMAGED', bytes, { sha256: '0'.repeat(64) }, /the bundle has SHA-256/],
      ['E_BUNDLE_DAMAGED', flipped(77_777), { isDryRun: true }, /the root has SHA-256/],
      ['E_BUNDLE_DAMAGED', bytes, { sha256: '0'.repeat(64), isDryRun: true }, /the bundle has/],
    ];
    for (const [code, source, part, message] of CASES) {
      const node = new UpdateWorld();
      await assert.rejects(
        node.engine.install(new MemorySource(source), { ...OPTIONS, ...part }, WHO),
        (error) => {
          assert.match(String(error), message);
          return fails(code)(error);
        },
      );
      assert.deepEqual(await node.entries(), ['keel-1+8-1.conf']);
    }
    const lying = new UpdateWorld();
    const plain = lying.world.verifyImage;
    lying.world.verifyImage = async (place, options) => ({
      ...(await plain(place, options)),
      isIntact: false,
      badCount: 1,
    });
    await assert.rejects(
      lying.engine.install(new MemorySource(bytes), OPTIONS, WHO),
      fails('E_SLOT_WRITE'),
    );
    assert.equal(resumeRecord(lying.ports), undefined, 'the next try writes all of it');
    assert.deepEqual(await lying.entries(), ['keel-1+8-1.conf']);
  });

  it('a dry run reads all and writes nothing', async () => {
    const node = new UpdateWorld();
    const { bytes, sha256 } = madeBundle(NEW);
    const before = Buffer.from(node.world.files.files.get('/dev/vda3') as Buffer);
    const options = { ...OPTIONS, sha256, isDryRun: true };
    const status = await node.engine.install(new MemorySource(bytes), options, WHO);
    assert.equal(status.phase, 'checked');
    assert.ok(before.equals(node.world.files.files.get('/dev/vda3') as Buffer));
    assert.deepEqual(node.engine.history.entries(), []);
    assert.equal(node.world.state.read(UPDATE_PATHS.resume), undefined);
  });

  it('goes on where it was after a lost source, and anew when the slot has changed meanwhile', async () => {
    for (const isRotten of [false, true]) {
      const node = new UpdateWorld(testRoot(1, 130));
      const bundle = madeBundle(NEW);
      const broken = new MemorySource(bundle.bytes);
      broken.onPiece = (at) => {
        if (at > 400_000 && at < 700_000) {
          throw new KeelError('E_SOURCE_UNREACHABLE', 'gone');
        }
      };
      await assert.rejects(
        node.engine.install(broken, OPTIONS, WHO),
        fails('E_SOURCE_UNREACHABLE'),
      );
      const record = {
        manifestSha256: resumeRecord(node.ports)?.manifestSha256 ?? '',
        slot: 'b' as const,
      };
      // A small root is flushed once only; what is on the medium by now is told as a larger one would be.
      const bytes = encodeRecord(RESUME_RECORD, { ...record, writtenBytes: 262_144 });
      (node.world.files.files.get('/dev/vda3') as Buffer).set(bundle.bytes.subarray(0, 262_144));
      if (isRotten) (node.world.files.files.get('/dev/vda3') as Buffer)[5_000] = 9;
      node.world.state.replace(UPDATE_PATHS.resume, bytes);
      const source = new MemorySource(bundle.bytes);
      const status = await node.engine.install(source, OPTIONS, WHO);
      assert.equal(status.phase, 'armed');
      const roots = source.ranges.filter(
        ([at, length]) => at + length === bundle.manifest.root.size,
      );
      assert.deepEqual(
        roots.map(([at]) => at),
        isRotten ? [262_144, 0] : [262_144],
      );
      assert.equal(status.resumedBytes, isRotten ? 0 : 262_144);
    }
  });

  it('a cancel at any piece ends it: no second entry, no trial, and the next update works', async () => {
    const bundle = madeBundle(NEW);
    const pieces = Math.ceil(bundle.bytes.length / 65_536);
    for (let piece = 0; piece <= pieces + 3; piece += 1) {
      const node = new UpdateWorld();
      const source = new MemorySource(bundle.bytes);
      let seen = 0;
      let cancelled: Promise<unknown> = Promise.resolve();
      source.onPiece = () => {
        if (seen === piece) cancelled = node.engine.cancel('');
        seen += 1;
      };
      const attempt = node.engine.install(source, OPTIONS, WHO);
      await assert.rejects(attempt, fails('E_CANCELLED'), `piece ${piece} of ${seen}`);
      assert.equal(((await cancelled) as { phase: string }).phase, 'cancelled');
      assert.deepEqual(await node.entries(), ['keel-1+8-1.conf']);
      assert.equal(trialRecord(node.ports), undefined);
      assert.ok(node.engine.history.entries().every(({ outcome }) => outcome === 'cancelled'));
      assert.equal(node.isRebootAsked, false);
    }
  });

  it('an armed release is given up by a cancel, also by the next agent of the same boot', async () => {
    for (const isRestarted of [false, true]) {
      const node = new UpdateWorld();
      const options = { ...OPTIONS, isRebootLeft: true };
      const { id } = await node.engine.install(
        new MemorySource(madeBundle(NEW).bytes),
        options,
        WHO,
      );
      assert.equal(node.isRebootAsked, false);
      const second = node.engine.start(new MemorySource(madeBundle(NEW).bytes), OPTIONS, WHO);
      await assert.rejects(second, fails('E_UPDATE_UNSETTLED'));
      if (isRestarted) {
        node.startAgent();
        assert.equal(await node.committer.run(), 'armed');
      }
      assert.equal((await node.engine.cancel(id)).phase, 'cancelled');
      assert.deepEqual(await node.entries(), ['keel-1+9.conf']);
      assert.equal(node.engine.history.find(id)?.outcome, 'cancelled');
      assert.equal(trialRecord(node.ports), undefined);
      await assert.rejects(node.engine.cancel(id), fails('E_NOT_FOUND'));
    }
  });

  it('one at a time; watchers see every phase and the end; a wrong id is not found', async () => {
    const node = new UpdateWorld();
    const source = new MemorySource(madeBundle(NEW).bytes);
    const held = Promise.withResolvers<void>();
    source.onPiece = () => held.promise;
    const first = node.engine.install(source, { ...OPTIONS, isDryRun: true }, WHO);
    const second = node.engine.start(new MemorySource(madeBundle(NEW).bytes), OPTIONS, WHO);
    await assert.rejects(second, fails('E_UPDATE_RUNNING'));
    await assert.rejects(node.engine.watch('other', NEVER).next(), fails('E_NOT_FOUND'));
    const phases: string[] = [];
    const watching = (async () => {
      const watch = node.engine.watch('', AbortSignal.timeout(10_000));
      for await (const { phase } of watch) if (phases.at(-1) !== phase) phases.push(phase);
    })();
    held.resolve();
    await first;
    await watching;
    assert.deepEqual(phases, ['checking', 'checked']);
  });

  it('an install that went down with its agent is closed in the history by the next one', async () => {
    const node = new UpdateWorld();
    const source = new MemorySource(madeBundle(NEW).bytes);
    source.onPiece = (at) =>
      at > 300_000 && at < 700_000 ? new Promise<void>(() => undefined) : undefined;
    await node.engine.start(source, OPTIONS, WHO);
    node.startAgent();
    assert.equal(await node.committer.run(), 'settled');
    const [entry] = node.engine.history.entries();
    assert.equal(entry?.outcome, 'failed');
    assert.match(entry?.cause ?? '', /went down during the install/);
  });

  it('an agent that goes down in an install leaves the disk alone, and the next one goes on', async () => {
    const node = new UpdateWorld();
    const bundle = madeBundle(NEW);
    const source = new MemorySource(bundle.bytes);
    const reached = Promise.withResolvers<void>();
    source.onPiece = (at, signal) => {
      if (at < 300_000 || at > 700_000) return;
      reached.resolve();
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
    };
    await node.engine.start(source, OPTIONS, WHO);
    await reached.promise;
    await node.engine.close();
    assert.equal(source.isClosed, true);
    assert.match(node.engine.history.entries()[0]?.cause ?? '', /went down/);
    node.startAgent();
    const status = await node.engine.install(new MemorySource(bundle.bytes), OPTIONS, WHO);
    assert.equal(status.phase, 'armed');
  });

  it('while the loader has not been seen to count, nothing is installed', async () => {
    const node = new UpdateWorld();
    node.world.variables.variables.clear();
    const attempt = node.engine.install(new MemorySource(madeBundle(NEW).bytes), OPTIONS, WHO);
    await assert.rejects(attempt, fails('E_BOOT_COUNTING'));
  });

  it('nor when it was seen not to count: the partition has the name that it started', async () => {
    const node = new UpdateWorld();
    const data = Buffer.from('keel-1+8-1.conf\0', 'utf16le');
    node.world.variables.variables.set(LOADER_SELECTED, { attributes: 6, data });
    assert.equal((await node.bootState.read()).isCounting, false);
    const attempt = node.engine.install(new MemorySource(madeBundle(NEW).bytes), OPTIONS, WHO);
    await assert.rejects(attempt, fails('E_BOOT_COUNTING'));
    assert.deepEqual(await node.entries(), ['keel-1+8-1.conf']);
  });

  it('a state partition that takes nothing ends an install before the disk is touched', async () => {
    const node = new UpdateWorld();
    node.world.state.writeFailure = 'ENOSPC';
    const before = Buffer.from(node.world.files.files.get('/dev/vda1') as Buffer);
    const attempt = node.engine.install(new MemorySource(madeBundle(NEW).bytes), OPTIONS, WHO);
    await assert.rejects(attempt, fails('E_STATE_FULL'));
    assert.ok(before.equals(node.world.files.files.get('/dev/vda1') as Buffer));
  });
});
