/** Every effect of an update fails, alone and together with what undoes, also while an operator cancels. */
import assert from 'node:assert/strict';
import { KeelError } from '@keelos/proto/errors.ts';
import { UPDATE_PATHS } from '@keelos/proto/update-record.ts';
import { isTrialEntry } from '@keelos/ts-agent/core/trial.ts';
import type { UpdateStatus } from '@keelos/ts-agent/core/update-status.ts';
import {
  UPDATE_TRANSITIONS,
  type UpdateEffect,
  type UpdateEvent,
  type UpdateState,
  updateTransition,
} from '@keelos/ts-agent/core/update-transitions.ts';
import { UpdateEngine } from '@keelos/ts-agent/shell/update-engine.ts';
import { trialRecord } from '@keelos/ts-agent/shell/update-records.ts';
import { testRoot } from './slot-disk.ts';
import { POLICY, REBOOT_LEFT } from './update-wishes.ts';
import { MemorySource, madeBundle, UpdateWorld } from './update-world.ts';

const BACK = { policy: POLICY, retryFailed: false, isRebootLeft: true, reason: 'x' };
const BUNDLE = madeBundle(testRoot(2, 20));
const WHO = 'CN=a';

/** An effect, or the arming that fails after it has been done. */
type Spoil = UpdateEffect | 'arm-done';
const UNDOING: readonly Spoil[] = ['close-history', 'unarm', 'forget-trial'];

/** Effects of the rows that begin with an event and go well. */
function effectsFrom(state: UpdateState, event: UpdateEvent): readonly Spoil[] {
  const row = updateTransition(state, event);
  if (row === undefined) return [];
  const own = row.effects.flatMap((one): Spoil[] => (one === 'arm' ? [one, 'arm-done'] : [one]));
  return [...own, ...effectsFrom(row.to, 'done')];
}

/** Before the trial is recorded nothing of it is undone. */
function undoingAfter(effect: Spoil, wish: readonly Spoil[]): readonly (Spoil | undefined)[] {
  const isEarly = wish.indexOf(effect) < wish.indexOf('record-trial');
  return [undefined, ...(isEarly ? UNDOING.slice(0, 1) : UNDOING)];
}

/** Calls `act` before each call of a method for which `when` holds. */
function before<T extends object>(
  target: T,
  method: keyof T,
  act: () => void,
  when: (...args: unknown[]) => boolean = () => true,
): T {
  return new Proxy(target, {
    get(_, key) {
      const value = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        if (key === method && when(...args)) act();
        return value.apply(target, args);
      };
    },
  });
}

/** A node, its engine, and what is done when an effect begins. */
class SpoiledNode {
  readonly node = new UpdateWorld(testRoot(1, 20));
  readonly source = new MemorySource(BUNDLE.bytes);
  engine = this.node.engine;

  /** Lets `act` be called at the beginning of effects. */
  spoil(act: (effect: Spoil) => void): void {
    const { node, source } = this;
    const at = (effect: Spoil) => () => act(effect);
    const { ports } = node;
    let { boot, state } = ports;
    const isOpen = () => node.engine.history.entries().some(({ outcome }) => outcome === 'open');
    const path = (wanted: string) => (found: unknown) => found === wanted;
    boot = before(boot, 'disarmOther', at('disarm'));
    boot = before(boot, 'placeKernelImage', at('place-kernel-image'));
    boot = before(boot, 'removeEntry', at('unarm'));
    boot = before(boot, 'arm', at('arm'));
    const inner = boot;
    boot = new Proxy(inner, {
      get: (_, key) =>
        key === 'arm'
          ? (entry: Parameters<typeof inner.arm>[0]) => inner.arm(entry).then(() => act('arm-done'))
          : Reflect.get(inner, key),
    });
    const isHistory = path(UPDATE_PATHS.history);
    state = before(state, 'replace', at('open-history'), (to) => isHistory(to) && !isOpen());
    state = before(state, 'replace', at('close-history'), (to) => isHistory(to) && isOpen());
    state = before(state, 'replace', at('record-trial'), path(UPDATE_PATHS.trial));
    state = before(state, 'remove', at('forget-trial'), path(UPDATE_PATHS.trial));
    state = before(state, 'remove', at('forget-resume'), path(UPDATE_PATHS.resume));
    const isRoot = (device: unknown, mode: unknown) => mode === 'write' && device !== '/dev/vda';
    let all = { ...ports, boot, state };
    all = before(all, 'readBundle', at('check-bundle'));
    all = before(all, 'verifyImage', at('verify-root'));
    all = before(all, 'setSlotGuid', at('name-slot'));
    all = before(all, 'openDevice', at('write-root'), isRoot);
    const facts = before(ports.facts, 'otherSlot', at('check-other-slot'));
    const init = before(ports.init, 'request', at('ask-reboot'));
    this.engine = new UpdateEngine({
      ...ports,
      boot,
      state,
      facts,
      init,
      readBundle: (...args) => all.readBundle(...args),
      verifyImage: (...args) => all.verifyImage(...args),
      setSlotGuid: (...args) => all.setSlotGuid(...args),
      openDevice: (...args) => all.openDevice(...args),
    });
    this.engine.beforeReboot.push({ name: 'drain', run: async () => act('run-hooks') });
    source.onPiece = (offset) => (offset === 0 ? act('read-through') : undefined);
  }

  /** What holds whatever has failed. */
  async judge(words: string): Promise<{ readonly armed: string | undefined }> {
    const { node } = this;
    const armed = (await node.bootState.read()).entries.filter(({ name }) => isTrialEntry(name));
    assert.ok(armed.length <= 1, words);
    const [entry] = armed;
    if (entry !== undefined) {
      const record = trialRecord(node.ports);
      assert.equal(record?.sequence, entry.name.sequence, `${words}: armed without a trial record`);
      const found = node.engine.history.find(record.id)?.outcome;
      assert.equal(found, 'open', `${words}: armed, and the history says ${found}`);
    }
    return { armed: entry?.rootHash };
  }
}

interface Wish {
  readonly name: string;
  readonly effects: readonly Spoil[];
  readonly ask: (spoiled: SpoiledNode) => Promise<UpdateStatus>;
}

/** What an operator asks for. */
const WISHES: readonly Wish[] = [
  {
    name: 'an install',
    effects: effectsFrom('idle', 'start'),
    ask: ({ engine, source }) => engine.install(source, REBOOT_LEFT, WHO),
  },
  {
    name: 'an install with its reboot',
    effects: ['arm', 'arm-done', 'forget-resume', ...effectsFrom('armed', 'reboot')],
    ask: ({ engine, source }) =>
      engine.install(source, { ...REBOOT_LEFT, isRebootLeft: false }, WHO),
  },
  {
    name: 'a dry run',
    effects: effectsFrom('idle', 'start-dry'),
    ask: ({ engine, source }) => engine.install(source, { ...REBOOT_LEFT, isDryRun: true }, WHO),
  },
  {
    name: 'a rollback',
    effects: effectsFrom('idle', 'go-back'),
    ask: ({ engine }) => engine.rollback(BACK, WHO),
  },
];

async function prepared(wish: string): Promise<SpoiledNode> {
  const spoiled = new SpoiledNode();
  const { node } = spoiled;
  if (wish !== 'a rollback') return spoiled;
  node.know(BUNDLE.root, '0.2.0');
  await node.engine.install(new MemorySource(BUNDLE.bytes), REBOOT_LEFT, WHO);
  await node.boot();
  assert.equal(await node.committer.run(), 'committed');
  return spoiled;
}

describe('an update of which something fails', function () {
  this.timeout(120_000);
  const seen = new Set<Spoil>();

  for (const { name, effects, ask } of WISHES) {
    for (const isCancelled of [false, true]) {
      it(`${name}${isCancelled ? ' that is cancelled' : ''} is told as it is, whatever fails`, async () => {
        for (const first of effects) {
          for (const second of undoingAfter(first, effects)) {
            const spoiled = await prepared(name);
            const words = `${name}: ${first} ${isCancelled ? 'cancelled' : 'fails'}, ${second} fails`;
            let cancel: Promise<UpdateStatus> | undefined;
            spoiled.spoil((effect) => {
              seen.add(effect);
              if (isCancelled && effect === first) cancel ??= spoiled.engine.cancel('');
              cancel?.catch(() => undefined);
              if (effect !== (isCancelled ? second : first) && effect !== second) return;
              throw new Error(`${effect} fails`);
            });
            const [answer] = await Promise.allSettled([ask(spoiled)]);
            await spoiled.engine.close();
            const [cancelled] = await Promise.allSettled([cancel]);
            const { armed } = await spoiled.judge(words);
            if (answer.status === 'fulfilled') {
              const { phase, rootHash } = answer.value;
              if (phase === 'armed' && cancelled.status === 'rejected') {
                assert.equal(armed, rootHash, words);
              }
              if (cancel === undefined && name !== 'a dry run')
                assert.equal(armed, rootHash, words);
            }
            if (cancel === undefined || cancelled.status === 'rejected') continue;
            assert.equal(cancelled.value?.phase, 'cancelled', words);
            assert.equal(armed, undefined, `${words}: told as cancelled, and armed`);
          }
        }
      });
    }
  }

  it('a cancel of what is armed is told as it is, and works once nothing fails any more', async () => {
    for (let bits = 0; bits < 2 ** UNDOING.length; bits += 1) {
      const failing = UNDOING.filter((_, index) => (bits & (1 << index)) !== 0);
      const words = `cancel with failing ${failing}`;
      const spoiled = new SpoiledNode();
      let isFailing = false;
      spoiled.spoil((effect) => {
        if (isFailing && failing.includes(effect)) throw new KeelError('E_STATE_FULL', effect);
      });
      const { id } = await spoiled.engine.install(spoiled.source, REBOOT_LEFT, WHO);
      isFailing = true;
      const [answer] = await Promise.allSettled([spoiled.engine.cancel(id)]);
      const { armed } = await spoiled.judge(words);
      const isStuck = failing.includes('unarm');
      assert.equal(answer.status, isStuck ? 'rejected' : 'fulfilled', words);
      assert.equal(armed, isStuck ? BUNDLE.root.rootHash : undefined, words);
      isFailing = false;
      if (!isStuck && !failing.includes('forget-trial')) {
        // A history that takes nothing does not keep the next install away.
        assert.equal(trialRecord(spoiled.node.ports), undefined, words);
        continue;
      }
      assert.equal((await spoiled.engine.cancel(id)).phase, 'cancelled', words);
      assert.equal((await spoiled.judge(words)).armed, undefined);
      assert.equal(trialRecord(spoiled.node.ports), undefined);
      assert.equal(spoiled.node.engine.history.find(id)?.outcome, 'cancelled', words);
    }
  });

  it('a release into which the machine restarts is not told as cancelled', async () => {
    const { engine, source, node } = new SpoiledNode();
    await engine.install(source, { ...REBOOT_LEFT, isRebootLeft: false }, WHO);
    await assert.rejects(engine.cancel(''), { code: 'E_UPDATE_UNSETTLED' });
    assert.equal(node.isRebootAsked, true);
  });

  it('a cancel waits until this boot is judged, like everything else', async () => {
    const judged = Promise.withResolvers<void>();
    const engine = new UpdateEngine(new UpdateWorld().ports, () => judged.promise);
    let isAnswered = false;
    const cancel = engine.cancel('').finally(() => {
      isAnswered = true;
    });
    cancel.catch(() => undefined);
    await new Promise(setImmediate);
    assert.equal(isAnswered, false);
    judged.resolve();
    await assert.rejects(cancel, { code: 'E_NOT_FOUND' });
  });

  it('every effect of the table was reached', () => {
    const all = UPDATE_TRANSITIONS.flatMap(({ effects }) => effects);
    assert.deepEqual(
      all.filter((effect) => !seen.has(effect)),
      [],
    );
  });
});
