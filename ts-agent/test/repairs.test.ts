/** What starts the node was damaged from outside: it is written anew at the next boot, and told in the history. */
import assert from 'node:assert/strict';
import { ENTRIES_DIR, LOADER_PATH, SECOND_LOADER_PATH } from '@keelos/proto/boot-entry.ts';
import { historyFrom } from '@keelos/ts-agent/core/update-record-shapes.ts';
import { NEW, OPTIONS } from './update-wishes.ts';
import { MemorySource, madeBundle, UpdateWorld } from './update-world.ts';

/** A node that has been healthy with everything in order. */
async function knownNode(): Promise<UpdateWorld> {
  const node = new UpdateWorld();
  assert.equal(await node.committer.run(), 'settled');
  assert.deepEqual(node.engine.history.entries(), [], 'a first start is no repair');
  return node;
}

const rotten = (path: string) => async (node: UpdateWorld) => {
  const esp = await node.esp();
  await esp.remove(path);
  await esp.write(path, Buffer.alloc(700, 'rotten'), 700);
};

describe('a repair', () => {
  const TABLE: readonly [string, (node: UpdateWorld) => Promise<void>, RegExp][] = [
    ['first loader', rotten(LOADER_PATH), /^The boot loader EFI\/BOOT\/BOOTX64\.EFI was damaged/],
    ['second loader', rotten(SECOND_LOADER_PATH), /^The boot loader EFI\/keel\/loader\.efi was/],
    [
      'firmware variables',
      async (node) => node.world.variables.variables.clear(),
      /^The firmware had lost or changed its boot options "KeelOS" and "KeelOS \(second/,
    ],
    [
      'entry',
      async (node) => (await node.esp()).remove(`${ENTRIES_DIR}/keel-1+9.conf`),
      /^The boot loader had no entry for the running release\. It was written anew\.$/,
    ],
  ];
  for (const [what, damage, cause] of TABLE) {
    it(`is told: ${what}`, async () => {
      const node = await knownNode();
      const { rootHash } = (await node.bootState.read()).running;
      await damage(node);
      node.startAgent();
      assert.equal(await node.committer.run(), 'settled');
      const [entry, ...rest] = node.engine.history.entries();
      assert.deepEqual(rest, []);
      assert.match(entry?.cause ?? '', cause);
      assert.deepEqual(
        [entry?.kind, entry?.automatic, entry?.outcome, entry?.to.rootHash],
        ['repair', true, 'committed', rootHash],
      );
      node.startAgent();
      assert.equal(await node.committer.run(), 'settled');
      assert.equal(node.engine.history.entries().length, 1, 'it is in order now');
    });
  }

  it('that every boot needs is one entry, which says when it was last', async () => {
    const node = await knownNode();
    for (let boots = 0; boots < 5; boots += 1) {
      node.world.variables.variables.clear();
      node.world.clock.advance(60_000);
      node.startAgent();
      await node.committer.run();
    }
    const [entry, ...rest] = node.engine.history.entries();
    assert.deepEqual(rest, []);
    assert.ok((entry?.endedMs ?? 0) - (entry?.startedMs ?? 0) >= 240_000);
  });

  it('is no word about which release ought to run: one that gave way is told all the same', async () => {
    const node = await knownNode();
    node.know(NEW, '0.2.0');
    await node.engine.install(new MemorySource(madeBundle(NEW).bytes), OPTIONS, 'CN=a');
    assert.equal(await node.boot(), '0.2.0');
    assert.equal(await node.committer.run(), 'committed');
    await rotten(LOADER_PATH)(node);
    node.startAgent();
    await node.committer.run();
    await node.renameEntry('keel-2+9.conf', 'keel-2+0-9.conf');
    assert.equal(await node.boot(), '0.1.0');
    await node.committer.run();
    const kinds = node.engine.history.entries().map(({ kind, automatic }) => [kind, automatic]);
    assert.deepEqual(kinds, [
      ['rollback', true],
      ['repair', true],
      ['update', false],
    ]);
  });

  it('and kinds that a later release writes leave the rest of the history readable', () => {
    const release = { slot: 'a', version: '1', rootHash: 'ab' };
    const entry = {
      ...{ id: 'x', kind: 'repair', automatic: true, who: '', reason: '', from: release },
      ...{ to: release, startedMs: 1, endedMs: 1, outcome: 'committed', cause: '', code: '' },
      evidence: [],
    };
    const found = historyFrom({ entries: [{ ...entry, kind: 'migration' }, entry] });
    assert.deepEqual(found, [entry]);
    assert.equal(historyFrom({ entries: 1 }), undefined);
  });
});
