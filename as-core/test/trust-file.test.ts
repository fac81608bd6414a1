/** Trust files: what is taken, and what is refused with which reason. */
import assert from 'node:assert/strict';
import { TRUST_BYTES_MAX } from '@keelos/proto/bundle.ts';
import { EMPTY_TRUST } from '@keelos/proto/bundle-writer.ts';
import { BundleReader } from '../src/bundle.ts';
import { refusal, trustBytes, trustOf } from './bundle-samples.ts';

describe('reader of trust files', () => {
  let reader: BundleReader;
  before(async () => {
    reader = await BundleReader.create();
  });

  const trusted = (bytes: Uint8Array) => refusal(() => reader.readTrust(bytes));

  it('reads what the writer writes', () => {
    for (const count of [0, 1, 2, 16]) {
      const trust = count === 0 ? EMPTY_TRUST : trustOf(count);
      assert.deepEqual(reader.readTrust(trustBytes(trust)), trust);
    }
  });

  it('takes 32 keys, and no more', () => {
    const trust = { ...trustOf(32), threshold: 16 };
    assert.equal(reader.readTrust(trustBytes(trust)).keys.length, 32);
    const more = { ...trustOf(33), threshold: 16 };
    assert.equal(trusted(trustBytes(more)).reason, 'bundle-list-too-long');
  });

  const sample = trustOf(3);
  const good = trustBytes(sample).toString('latin1');
  const [first, second] = sample.keys;
  const cases: readonly (readonly [name: string, text: string, reason: string])[] = [
    ['epoch 0', good.replace('"epoch":2', '"epoch":0'), 'bundle-number'],
    ['threshold 0', good.replace('"threshold":2', '"threshold":0'), 'bundle-number'],
    ['threshold over the keys', good.replace('"threshold":2', '"threshold":4'), 'bundle-threshold'],
    ['threshold over 16', good.replace('"threshold":2', '"threshold":17'), 'bundle-number'],
    ['another format', good.replace('trust/1', 'trust/2'), 'bundle-format'],
    ['a key more', good.replace('"threshold"', '"until":1,"threshold"'), 'bundle-key-unknown'],
    ['a key less', good.replace(/"name":"key 0",/, ''), 'bundle-key-missing'],
    ['an empty name', good.replace('"key 0"', '""'), 'bundle-text'],
    ['a newline at the end', `${good}\n`, 'bundle-syntax'],
    ['another id', good.replace(`${first?.id}`, '0'.repeat(16)), 'bundle-key-id'],
    ['a key twice', good.replace(`${second?.id}`, `${first?.id}`), 'bundle-list-order'],
    ['nothing', '', 'bundle-syntax'],
  ];
  for (const [name, text, reason] of cases) {
    it(`refuses: ${name}`, () => {
      assert.notEqual(text, good);
      const found = trusted(Buffer.from(text, 'latin1'));
      assert.deepEqual([found.code, found.reason], ['E_IMAGE_INVALID', reason]);
    });
  }

  it('refuses every cut, and every flipped bit or reads another file', () => {
    const bytes = Buffer.from(good, 'latin1');
    for (let length = 0; length < bytes.length; length++) {
      assert.equal(trusted(bytes.subarray(0, length)).code, 'E_IMAGE_INVALID');
    }
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const turned = Buffer.from(bytes);
      turned.writeUInt8((turned[bit >> 3] ?? 0) ^ (1 << (bit & 7)), bit >> 3);
      if (trusted(turned).code !== 'accepted') continue;
      assert.deepEqual(trustBytes(reader.readTrust(turned)), turned);
    }
  });

  it('refuses one over its size', () => {
    const message = `Cannot read trust file: ${TRUST_BYTES_MAX + 1} bytes, at most ${TRUST_BYTES_MAX}`;
    assert.equal(trusted(Buffer.alloc(TRUST_BYTES_MAX + 1)).message, message);
  });
});
