import assert from 'node:assert/strict';
import { crc32 } from 'node:zlib';
import type { BundleManifest, BundleTail } from '@keelos/proto/bundle.ts';
import { FOOTER_BYTES, TAIL_BYTES_MAX } from '@keelos/proto/bundle.ts';
import { signManifest } from '@keelos/proto/bundle-signature.ts';
import {
  encodeFooter,
  encodeManifest,
  encodeSignatures,
  FOOTER_FIELDS,
} from '@keelos/proto/bundle-writer.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import fc from 'fast-check';
import { BundleReader } from '../src/bundle.ts';
import { CoreError, Status } from '../src/status.ts';
import { bundleOf, freshKey, MANIFEST, refusal } from './bundle-samples.ts';
import { readTailTwin } from './bundle-twin.ts';

const HASH = '0123456789abcdef'.repeat(4);

/** A bundle with any text as its manifest and as its signatures; the footer is right. */
function bundleWith(of: { manifest?: string; signatures?: string }): Buffer {
  const manifest = Buffer.from(
    of.manifest ?? encodeManifest(MANIFEST).toString('latin1'),
    'latin1',
  );
  const signatures = Buffer.from(of.signatures ?? '{"signatures":[]}', 'latin1');
  const parts = Buffer.alloc(MANIFEST.uki.offset + MANIFEST.uki.size);
  parts.write('hsqs');
  const footer = encodeFooter({
    manifestOffset: parts.length,
    manifestBytes: manifest.length,
    signaturesBytes: signatures.length,
  });
  return Buffer.concat([parts, manifest, signatures, footer]);
}

describe('bundle reader', function () {
  this.timeout(60_000);

  let reader: BundleReader;
  before(async () => {
    reader = await BundleReader.create();
  });

  const read = (bundle: Buffer) => reader.readTail(bundle.subarray(-TAIL_BYTES_MAX), bundle.length);

  /** What the module says, and that the twin says the same. */
  function judged(bundle: Buffer): string {
    const twin = readTailTwin(bundle.subarray(-TAIL_BYTES_MAX), bundle.length);
    let found: BundleTail | string;
    try {
      found = read(bundle);
    } catch (error) {
      assert.ok(error instanceof KeelError, String(error));
      found = error.code;
    }
    assert.deepEqual(plain(found), plain(twin));
    return typeof found === 'string' ? found : 'accepted';
  }

  const plain = (tail: BundleTail | string) =>
    typeof tail === 'string'
      ? tail
      : { ...tail, manifestBytes: Buffer.from(tail.manifestBytes).toString('hex') };

  it('reads what the writer writes', () => {
    for (const signers of [0, 1, 2, 16]) {
      const tail = read(bundleOf(MANIFEST, signers));
      assert.deepEqual(tail.manifest, MANIFEST);
      assert.deepEqual(Buffer.from(tail.manifestBytes), encodeManifest(MANIFEST));
      assert.equal(tail.signatures.length, signers);
      assert.equal(judged(bundleOf(MANIFEST, signers)), 'accepted');
    }
  });

  it('reads the smallest and the largest of everything', () => {
    const block = 4096;
    const large = 2 ** 32;
    const cases: readonly (readonly [Partial<BundleManifest>, Partial<BundleManifest['root']>])[] =
      [
        [
          { version: 'a', epoch: 1, buildEpochSeconds: 0 },
          { dataBytes: block, size: block },
        ],
        [{ version: 'Z'.repeat(64), epoch: 2 ** 31 - 1, arch: 'aarch64' }, { salt: '' }],
        [{ kernelVersion: '0', variant: '+' }, { salt: 'a0'.repeat(256) }],
      ];
    for (const [facts, root] of cases) {
      const size = root.size ?? MANIFEST.root.size;
      const manifest = {
        ...{ ...MANIFEST, ...facts },
        root: { ...MANIFEST.root, ...root },
        uki: { ...MANIFEST.uki, offset: size },
      };
      assert.equal(judged(bundleOf(manifest, 1)), 'accepted');
    }
    // 4 GiB of root: only its end is there.
    const levels = [8192, 64, 1];
    const dataBytes = large - block * levels.reduce((sum, count) => sum + count, 0) - 32 * block;
    assert.ok(dataBytes > 0);
    const tree = (bytes: number) => {
      let [count, sum] = [bytes / block, 0];
      while (count > 1) {
        count = Math.ceil(count / 128);
        sum += count * block;
      }
      return sum;
    };
    const size = dataBytes + tree(dataBytes);
    const uki = { offset: size, size: 2 ** 27, sha256: HASH };
    const manifest = { ...MANIFEST, root: { ...MANIFEST.root, dataBytes, size }, uki };
    const bytes = encodeManifest(manifest);
    const signatures = encodeSignatures([signManifest(bytes, freshKey())]);
    const footer = encodeFooter({
      manifestOffset: uki.offset + uki.size,
      manifestBytes: bytes.length,
      signaturesBytes: signatures.length,
    });
    const end = Buffer.concat([bytes, signatures, footer]);
    const tail = Buffer.concat([Buffer.alloc(TAIL_BYTES_MAX - end.length), end]);
    const read = reader.readTail(tail, uki.offset + uki.size + end.length);
    assert.deepEqual(read.manifest, manifest);
  });

  const text = encodeManifest(MANIFEST).toString('latin1');
  const swap = (from: string, to: string) => {
    assert.ok(text.includes(from), from);
    return text.replace(from, to);
  };
  const texts: readonly (readonly [name: string, text: string, reason: string])[] = [
    ['unknown key at the end', swap('_7"}', '_7","x":1}'), 'bundle-key-unknown'],
    ['unknown key in the middle', swap(',"epoch"', ',"cpu":1,"epoch"'), 'bundle-key-unknown'],
    ['unknown key in a part', swap('"uki":{', '"uki":{"name":1,'), 'bundle-key-unknown'],
    ['very long key', swap('"epoch"', `"${'k'.repeat(40)}"`), 'bundle-key-unknown'],
    ['key twice', swap('"epoch":3', '"epoch":3,"epoch":3'), 'bundle-key-twice'],
    ['key twice at the end', swap('_7"}', '_7","arch":"x86_64"}'), 'bundle-key-twice'],
    ['key twice in a part', swap('"offset":0', '"offset":0,"offset":0'), 'bundle-key-twice'],
    ['missing key', swap('"epoch":3,', ''), 'bundle-key-missing'],
    ['missing last key', swap(',"version":"1.2.3-rc.1+build_7"', ''), 'bundle-key-missing'],
    ['keys out of order', swap('"epoch":3,"format"', '"format"'), 'bundle-key-missing'],
    ['nothing in it', '{}', 'bundle-key-missing'],
    ['empty', '', 'bundle-syntax'],
    ['a list', '[]', 'bundle-syntax'],
    ['white space', swap(':3,', ': 3,'), 'bundle-syntax'],
    ['newline at the end', `${text}\n`, 'bundle-syntax'],
    ['two documents', `${text}${text}`, 'bundle-syntax'],
    ['an escape', swap('standard', '\\u0073tandard'), 'bundle-syntax'],
    ['an escape that is short', swap('standard', 'st\\nd'), 'bundle-syntax'],
    ['a control character', swap('standard', 'st\u0001nd'), 'bundle-syntax'],
    ['a letter that is not ASCII', swap('standard', 'st\u00e4nd'), 'bundle-syntax'],
    ['a number as text', swap(':3,', ':"3",'), 'bundle-syntax'],
    ['a text as number', swap('"standard"', '1'), 'bundle-syntax'],
    ['null', swap(':3,', ':null,'), 'bundle-syntax'],
    ['a fraction', swap(':3,', ':3.0,'), 'bundle-syntax'],
    ['an exponent', swap(':3,', ':3e0,'), 'bundle-syntax'],
    ['a sign', swap(':3,', ':-3,'), 'bundle-syntax'],
    ['a leading zero', swap(':3,', ':03,'), 'bundle-number'],
    ['epoch 0', swap(':3,', ':0,'), 'bundle-number'],
    ['epoch over 31 bits', swap(':3,', ':2147483648,'), 'bundle-number'],
    ['a number over 53 bits', swap('"offset":0', '"offset":9007199254740992'), 'bundle-number'],
    ['a very long number', swap('"offset":0', `"offset":${'9'.repeat(40)}`), 'bundle-number'],
    ['time after 9999', swap('1793491200', '253402300800'), 'bundle-number'],
    ['another format', swap('bundle/1', 'bundle/2'), 'bundle-format'],
    ['another architecture', swap('x86_64', 'riscv64'), 'bundle-text'],
    ['empty version', swap('1.2.3-rc.1+build_7', ''), 'bundle-text'],
    ['a path as version', swap('1.2.3-rc.1', '../1.2.3'), 'bundle-text'],
    ['long version', swap('1.2.3-rc.1', '1'.repeat(65)), 'bundle-text'],
    ['capital hash', swap('cdcd', 'CDCD'), 'bundle-text'],
    ['short hash', swap('cdcd', 'cd'), 'bundle-text'],
    ['half a byte of salt', swap('efef', 'efe'), 'bundle-text'],
    ['long salt', swap('ef'.repeat(32), 'ef'.repeat(257)), 'bundle-text'],
    ['root not at 0', swap('"offset":0', '"offset":1'), 'bundle-places'],
    ['gap before the kernel', swap('"offset":16384', '"offset":16385'), 'bundle-places'],
    ['kernel in the root', swap('"offset":16384', '"offset":12288'), 'bundle-places'],
    ['no data', swap('"dataBytes":12288', '"dataBytes":0'), 'bundle-places'],
    ['half a block', swap('"dataBytes":12288', '"dataBytes":12287'), 'bundle-places'],
    ['more data than root', swap('"dataBytes":12288', '"dataBytes":20480'), 'bundle-places'],
    ['no room for the tree', swap('"dataBytes":12288', '"dataBytes":16384'), 'bundle-places'],
    ['no kernel', swap('"size":1000', '"size":0'), 'bundle-places'],
    ['kernel into the manifest', swap('"size":1000', '"size":1001'), 'bundle-places'],
    ['huge kernel', swap('"size":1000', '"size":134217729'), 'bundle-part-too-large'],
    ['huge root', swap('"size":16384', '"size":4294971392'), 'bundle-part-too-large'],
  ];
  for (const [name, manifest, reason] of texts) {
    it(`refuses a manifest: ${name}`, () => {
      const bundle = bundleWith({ manifest });
      assert.equal(refusal(() => read(bundle)).reason, reason);
      assert.notEqual(judged(bundle), 'accepted');
    });
  }

  it('says where', () => {
    const { message } = refusal(() => read(bundleWith({ manifest: swap(':3,', ':03,') })));
    const at = swap(':3,', ':03,').indexOf(':03,') + 3;
    assert.equal(
      message,
      `Cannot read bundle (manifest, byte ${at}): a number is out of range or not in its shortest form`,
    );
  });

  const one = `{"keyId":"${'0'.repeat(16)}","signature":"${'a'.repeat(128)}"}`;
  const two = one.replaceAll('0', '1');
  const many = (count: number) =>
    Array.from({ length: count }, (_, index) =>
      one.replace('0'.repeat(16), index.toString(16).padStart(16, '0')),
    ).join();
  const lists: readonly (readonly [name: string, text: string, reason: string])[] = [
    ['none', '{"signatures":[]}', ''],
    ['one', `{"signatures":[${one}]}`, ''],
    ['two in order', `{"signatures":[${one},${two}]}`, ''],
    ['sixteen', `{"signatures":[${many(16)}]}`, ''],
    ['seventeen', `{"signatures":[${many(17)}]}`, 'bundle-list-too-long'],
    ['two out of order', `{"signatures":[${two},${one}]}`, 'bundle-list-order'],
    ['the same twice', `{"signatures":[${one},${one}]}`, 'bundle-list-order'],
    ['a comma at the end', `{"signatures":[${one},]}`, 'bundle-syntax'],
    ['a comma at the begin', `{"signatures":[,${one}]}`, 'bundle-syntax'],
    ['no comma', `{"signatures":[${one}${two}]}`, 'bundle-syntax'],
    ['no end', `{"signatures":[${one}`, 'bundle-syntax'],
    ['no list', '{"signatures":{}}', 'bundle-syntax'],
    ['another key', '{"signers":[]}', 'bundle-key-unknown'],
    ['a key more', '{"signatures":[],"x":1}', 'bundle-key-unknown'],
    [
      'a key of a signature more',
      `{"signatures":[${one.replace('}', ',"x":1}')}]}`,
      'bundle-key-unknown',
    ],
    ['a short signature', `{"signatures":[${one.replace('aaaa', 'aa')}]}`, 'bundle-text'],
    ['a long key id', `{"signatures":[${one.replace('0000', '00000')}]}`, 'bundle-text'],
    ['empty', '', 'bundle-syntax'],
  ];
  for (const [name, signatures, reason] of lists) {
    it(`${reason === '' ? 'takes' : 'refuses'} signatures: ${name}`, () => {
      const bundle = bundleWith({ signatures });
      assert.equal(refusal(() => read(bundle)).reason, reason);
      judged(bundle);
    });
  }

  const footers: readonly (readonly [
    name: string,
    change: (footer: Buffer, size: number) => void,
    reason: string,
  ])[] = [
    ['right', () => {}, ''],
    [
      'another version',
      (footer) => footer.writeUInt32LE(2, FOOTER_FIELDS.version),
      'bundle-version',
    ],
    ['reserved bytes', (footer) => footer.writeUInt8(1, FOOTER_FIELDS.reserved), 'bundle-footer'],
    ['padding', (footer) => footer.writeUInt8(1, 59), 'bundle-footer'],
    [
      'a larger bundle',
      (footer, size) => footer.writeBigUInt64LE(BigInt(size) + 1n, FOOTER_FIELDS.bundleBytes),
      'bundle-truncated',
    ],
    [
      'a smaller bundle',
      (footer, size) => footer.writeBigUInt64LE(BigInt(size) - 1n, FOOTER_FIELDS.bundleBytes),
      'bundle-trailing',
    ],
    [
      'the largest number as size',
      (footer) => footer.writeBigUInt64LE(2n ** 64n - 1n, FOOTER_FIELDS.bundleBytes),
      'bundle-truncated',
    ],
    [
      'the largest number as place',
      (footer) => footer.writeBigUInt64LE(2n ** 64n - 1n, FOOTER_FIELDS.manifestOffset),
      'bundle-places',
    ],
    [
      'a manifest one byte over its limit',
      (footer) => footer.writeUInt32LE(65_537, FOOTER_FIELDS.manifestBytes),
      'bundle-part-too-large',
    ],
    [
      'signatures of 4 GiB',
      (footer) => footer.writeUInt32LE(2 ** 32 - 1, FOOTER_FIELDS.signaturesBytes),
      'bundle-part-too-large',
    ],
    [
      'both as long as they may be',
      (footer) => {
        footer.writeUInt32LE(65_536, FOOTER_FIELDS.manifestBytes);
        footer.writeUInt32LE(16_384, FOOTER_FIELDS.signaturesBytes);
      },
      'bundle-places',
    ],
    [
      'no manifest',
      (footer) => footer.writeUInt32LE(0, FOOTER_FIELDS.manifestBytes),
      'bundle-places',
    ],
  ];
  for (const [name, change, reason] of footers) {
    it(`${reason === '' ? 'takes' : 'refuses'} a footer: ${name}`, () => {
      const bundle = bundleOf(MANIFEST, 1);
      const footer = bundle.subarray(-FOOTER_BYTES);
      change(footer, bundle.length);
      footer.writeUInt32LE(crc32(footer.subarray(0, 60)), FOOTER_FIELDS.checksum);
      assert.equal(refusal(() => read(bundle)).reason, reason);
      judged(bundle);
    });
  }

  it('calls a cut bundle truncated, wherever it is cut', () => {
    const bundle = bundleOf(MANIFEST, 2);
    for (let length = 0; length < bundle.length; length++) {
      assert.equal(judged(bundle.subarray(0, length)), 'E_BUNDLE_TRUNCATED', `cut at ${length}`);
    }
  });

  it('calls a bundle with bytes behind it oversize', () => {
    const bundle = bundleOf(MANIFEST, 1);
    for (const more of [1, 2, 63, 64, 65, 5000]) {
      for (const fill of [0, 0xff, 0x4b]) {
        const longer = Buffer.concat([bundle, Buffer.alloc(more, fill)]);
        assert.equal(judged(longer), 'E_BUNDLE_OVERSIZE', `${more} of ${fill}`);
      }
    }
    assert.equal(judged(Buffer.concat([bundle, bundle])), 'E_BUNDLE_OVERSIZE');
    const inside = Buffer.concat([bundle.subarray(0, 100), Buffer.alloc(7), bundle.subarray(100)]);
    assert.equal(judged(inside), 'E_BUNDLE_OVERSIZE');
  });

  it('calls another file no bundle', () => {
    for (const other of ['<html><body>404 Not Found</body></html>', 'x'.repeat(5000), 'MZ\0\0']) {
      assert.equal(judged(Buffer.from(other)), 'E_BUNDLE_MALFORMED');
    }
  });

  it('agrees with its twin on every flipped bit of the end', () => {
    const bundle = bundleOf(MANIFEST, 2);
    const start = MANIFEST.uki.offset + MANIFEST.uki.size;
    const seen = new Set<string>();
    for (let bit = start * 8; bit < bundle.length * 8; bit++) {
      const turned = Buffer.from(bundle);
      turned.writeUInt8((turned[bit >> 3] ?? 0) ^ (1 << (bit & 7)), bit >> 3);
      const verdict = judged(turned);
      const inFooter = bit >> 3 >= bundle.length - FOOTER_BYTES;
      if (inFooter) assert.equal(verdict, 'E_BUNDLE_MALFORMED', `bit ${bit}`);
      seen.add(verdict);
    }
    assert.ok(seen.has('accepted') && seen.has('E_BUNDLE_MALFORMED'), [...seen].join());
  });

  it('agrees with its twin on any change of the documents', () => {
    const bundle = bundleOf(MANIFEST, 1);
    const start = MANIFEST.uki.offset + MANIFEST.uki.size;
    const pieces = fc.constantFrom(
      '"',
      ',',
      '}',
      '{',
      ':',
      '0',
      '1',
      'a',
      '[',
      ']',
      ' ',
      '\\',
      '',
      '00',
    );
    fc.assert(
      fc.property(
        fc.nat(bundle.length - FOOTER_BYTES - start - 1),
        fc.nat(3),
        pieces,
        (at, removed, piece) => {
          const documents = bundle.subarray(start, -FOOTER_BYTES).toString('latin1');
          const changed = documents.slice(0, at) + piece + documents.slice(at + removed);
          const split = changed.indexOf('{"signatures"');
          const [manifest, signatures] =
            split < 0 ? [changed, ''] : [changed.slice(0, split), changed.slice(split)];
          judged(bundleWith({ manifest, signatures }));
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('wants all of the end, and no more', () => {
    const bundle = bundleOf(MANIFEST, 1);
    assert.throws(() => reader.readTail(bundle.subarray(1), bundle.length), RangeError);
    assert.throws(() => reader.readTail(bundle, bundle.length - 1), RangeError);
    assert.throws(() => reader.readTail(bundle, -1), RangeError);
    assert.throws(() => reader.readTail(Buffer.alloc(TAIL_BYTES_MAX + 1), 2 ** 20), RangeError);
  });

  it('has a code and a message for each of its statuses', () => {
    const names = Object.entries(Status).filter(([name]) => name.startsWith('bundle'));
    for (const [, status] of names) assert.match(new CoreError(status, '').code, /^bundle-/);
    assert.equal(new Set(names.map(([, status]) => status)).size, names.length);
  });
});
