import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import {
  makeTrust,
  parseNotAfter,
  parsePublicKey,
  publicKeyText,
  rotateTrust,
  trustedKey,
} from '@keelos/image/core/trust.ts';
import { rawPublicKey } from '@keelos/proto/bundle-signature.ts';
import { KeelError } from '@keelos/proto/errors.ts';

const keyNamed = (name: string, notAfter = 0) =>
  trustedKey({ name, notAfter, raw: rawPublicKey(generateKeyPairSync('ed25519').privateKey) });

const refused = (act: () => unknown, reason: RegExp) =>
  assert.throws(
    act,
    (error) =>
      error instanceof KeelError && error.code === 'E_IMAGE_INVALID' && reason.test(error.message),
  );

describe('trust files', () => {
  const [a, b, c] = [keyNamed('a'), keyNamed('b', 1_900_000_000), keyNamed('c')] as const;

  it('has its keys in the order of their ids', () => {
    const { keys } = makeTrust({ keys: [c, a, b], threshold: 2, epoch: 1 });
    assert.deepEqual(
      keys.map(({ id }) => id),
      [a.id, b.id, c.id].sort(),
    );
  });

  it('refuses what no node could use', () => {
    const keys = [a, b];
    refused(() => makeTrust({ keys: [], threshold: 1, epoch: 1 }), /no key/);
    refused(() => makeTrust({ keys: [a, a], threshold: 1, epoch: 1 }), /twice/);
    refused(() => makeTrust({ keys, threshold: 0, epoch: 1 }), /threshold 0, expected 1 to 2/);
    refused(() => makeTrust({ keys, threshold: 3, epoch: 1 }), /threshold 3/);
    refused(() => makeTrust({ keys, threshold: 1, epoch: 0 }), /epoch 0/);
    refused(() => makeTrust({ keys, threshold: 1, epoch: 2 ** 31 }), /epoch/);
  });

  it('rotates: adds, replaces, removes by name or id, and never lowers the epoch', () => {
    const old = makeTrust({ keys: [a, b], threshold: 1, epoch: 3 });
    const names = (trust: { keys: readonly { name: string }[] }) =>
      trust.keys
        .map(({ name }) => name)
        .sort()
        .join();
    assert.equal(names(rotateTrust(old, { add: [c], remove: [] })), 'a,b,c');
    assert.equal(names(rotateTrust(old, { add: [c], remove: ['a', b.id] })), 'c');
    const ended = rotateTrust(old, { add: [{ ...a, notAfter: 5 }], remove: [] });
    assert.equal(ended.keys.find(({ id }) => id === a.id)?.notAfter, 5);
    assert.equal(ended.keys.length, 2);
    assert.deepEqual(rotateTrust(old, { add: [], remove: [], threshold: 2, epoch: 4 }), {
      ...old,
      threshold: 2,
      epoch: 4,
    });
    refused(() => rotateTrust(old, { add: [], remove: [], epoch: 2 }), /never falls/);
    refused(() => rotateTrust(old, { add: [], remove: ['x'] }), /0 of that id or name/);
    refused(() => rotateTrust(old, { add: [], remove: ['a', 'b'] }), /no key/);
  });
});

describe('public keys on disk', () => {
  const key = keyNamed('release 2027', 1_900_000_000);

  it('are read back', () => {
    assert.deepEqual(parsePublicKey(publicKeyText(key), 'x.pub'), key);
  });

  const text = publicKeyText(key);
  for (const [name, changed, reason] of [
    ['no JSON', 'ssh-ed25519 AAAA', /not JSON/],
    ['another format', text.replace('key/1', 'key/2'), /not a public key/],
    ['a field more', text.replace('{', '{"x":1,'), /not a public key/],
    ['another id', text.replace(key.id, '0'.repeat(16)), /its id must be/],
    ['a short key', text.replace(key.publicKey, 'ab'), /64 hexadecimal digits/],
    ['a name with quotes', text.replace('release', 'a\\"b'), /printable/],
    ['an end that is text', text.replace('1900000000', '"1"'), /another type/],
  ] as const) {
    it(`refuses ${name}`, () => refused(() => parsePublicKey(changed, 'x.pub'), reason));
  }
});

describe('the end of a key', () => {
  for (const [given, expected] of [
    ['2027-12-31', Date.UTC(2027, 11, 31, 23, 59, 59) / 1000],
    ['2027-12-31T12:00:00Z', Date.UTC(2027, 11, 31, 12) / 1000],
    ['2027-12-31T12:00:00+01:00', Date.UTC(2027, 11, 31, 11) / 1000],
    ['2027-13-01', undefined],
    ['tomorrow', undefined],
    ['2027-12-31T12:00:00', undefined],
  ] as const) {
    it(given, () => assert.equal(parseNotAfter(given), expected));
  }
});
