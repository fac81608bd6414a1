import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { parseVerityTable, rootHashOver, saltOfContents } from '@keelos/proto/verity-table.ts';

const ROOT = 'ab'.repeat(32);
const SALT = 'cd'.repeat(32);
const DEVICE = 'PARTUUID=01234567-89ab-cdef-0123-456789abcdef';
const table = (change: Record<string, string | number> = {}) => {
  const v = { sectors: 80, data: DEVICE, hash: DEVICE, blocks: 10, start: 10, ...change };
  const { root = ROOT, salt = SALT } = v as { root?: string; salt?: string };
  return `a=b dm-mod.create="root,,,ro,0 ${v.sectors} verity 1 ${v.data} ${v.hash} 4096 4096 ${v.blocks} ${v.start} sha256 ${root} ${salt} 1 restart_on_corruption" c`;
};

describe('verity table of a command line', () => {
  it('is read whole', () => {
    assert.deepEqual(parseVerityTable(table()), {
      device: DEVICE,
      dataBlocks: 10,
      hashStartBlock: 10,
      rootHash: ROOT,
      salt: SALT,
    });
    assert.equal(parseVerityTable(table({ salt: '-' }))?.salt, '');
    assert.equal(parseVerityTable(table({ salt: '00'.repeat(256) }))?.salt.length, 512);
  });

  const refused: readonly (readonly [string, string])[] = [
    ['nothing', ''],
    ['another word', table().replace('dm-mod.create', 'xdm-mod.create2')],
    ['two devices', table({ hash: 'PARTUUID=x' })],
    ['a size that does not fit', table({ sectors: 88 })],
    ['no blocks', table({ sectors: 0, blocks: 0 })],
    ['a tree inside the data', table({ start: 9 })],
    [
      'too many blocks',
      table({ sectors: 8 * (2 ** 24 + 1), blocks: 2 ** 24 + 1, start: 2 ** 24 + 1 }),
    ],
    ['a short hash', table({ root: 'ab' })],
    ['half a byte of salt', table({ salt: 'abc' })],
    ['a salt that is too long', table({ salt: '00'.repeat(257) })],
    ['another format', table().replace('verity 1', 'verity 0')],
    ['other blocks', table().replace('4096 4096', '4096 1024')],
  ];
  for (const [what, text] of refused) {
    it(`is refused with ${what}`, () => assert.equal(parseVerityTable(text), undefined));
  }

  it('ends anywhere without harm', () => {
    const text = table();
    const end = text.indexOf(SALT) + SALT.length;
    for (let length = 0; length < text.length; length += 1) {
      const found = parseVerityTable(text.slice(0, length));
      // A salt that is cut at a whole byte is still a salt.
      assert.equal(found?.salt === SALT, length >= end);
    }
  });

  it('salt and root hash are plain SHA-256', () => {
    const hash = (...parts: (string | Uint8Array)[]) =>
      parts.reduce((sum, part) => sum.update(part), createHash('sha256')).digest('hex');
    const digest = Buffer.alloc(32, 7);
    assert.equal(saltOfContents(digest), hash('keelos verity salt\0', digest));
    const block = Buffer.alloc(4096, 1);
    assert.equal(rootHashOver(block, 'ff00'), hash(Buffer.of(0xff, 0), block));
    assert.equal(rootHashOver(block, ''), hash(block));
  });
});
