import assert from 'node:assert/strict';
import { signManifest } from '@keelos/proto/bundle-signature.ts';
import type { Channel, Release } from '@keelos/proto/channel.ts';
import {
  bundlePath,
  channelPath,
  deltaPath,
  isReleaseVersion,
  newestRelease,
  parseReleasePath,
} from '@keelos/proto/channel.ts';
import type { ChannelSeen } from '@keelos/proto/channel-judge.ts';
import { judgeChannel } from '@keelos/proto/channel-judge.ts';
import { encodeChannelFile, encodeSigned, parseChannelFile } from '@keelos/proto/channel-text.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import fc from 'fast-check';
import {
  PUBLISHED,
  sampleChannel,
  sampleKey,
  sampleRelease,
  signedChannel,
} from './channel-samples.ts';

const NOW_MS = (PUBLISHED + 60) * 1000;
const key = sampleKey('channel');

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof KeelError) return error.code;
    throw error;
  }
  return 'taken';
}

const versions = fc.stringMatching(/^[A-Za-z0-9_+-][A-Za-z0-9._+-]{0,15}$/);
const hashes = fc.stringMatching(/^[0-9a-f]{64}$/);
const plain = { noNullPrototype: true } as const;
const releases = fc.record<Release>(
  {
    arch: fc.constantFrom('x86_64', 'aarch64'),
    bundle: fc.record({ sha256: hashes, size: fc.integer({ min: 1, max: 2 ** 40 }) }, plain),
    deltas: fc
      .uniqueArray(versions, { maxLength: 4 })
      .map((from) => from.sort().map((each) => ({ from: each, sha256: 'a'.repeat(64), size: 9 }))),
    epoch: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    manifestSha256: hashes,
    number: fc.integer({ min: 1, max: 1000 }),
    rootHash: hashes,
    version: versions,
  },
  plain,
);
const channels = fc
  .record({
    number: fc.integer({ min: 1000, max: 2 ** 48 }),
    expiresAt: fc.integer({ min: PUBLISHED, max: PUBLISHED + 90 * 86_400 }),
    releases: fc.uniqueArray(releases, { maxLength: 6, selector: ({ number }) => number }),
  })
  .map((of) => ({ ...of, releases: of.releases.sort((a, b) => b.number - a.number) }))
  .filter(({ releases: all }) => new Set(all.map((r) => r.arch + r.version)).size === all.length)
  .map((of): Channel => sampleChannel(of));

describe('metadata of a channel: its text', () => {
  it('reads back what it writes, for any channel', () => {
    fc.assert(
      fc.property(channels, (channel) => {
        const file = parseChannelFile(signedChannel(channel, [key]));
        assert.deepEqual(file.channel, channel);
        assert.deepEqual(file.signatures.length, 1);
        assert.ok(encodeSigned(channel).equals(file.signedBytes));
      }),
      { numRuns: 200 },
    );
  });

  it('takes no other text: every byte changed, dropped or doubled, and every cut', () => {
    const bytes = signedChannel(sampleChannel(), [key]);
    const trust = { channel: 'stable', trust: key.trust, nowMs: NOW_MS, seen: undefined };
    const isRefused = (changed: Buffer, what: string) =>
      assert.notEqual(
        codeOf(() => judgeChannel({ ...trust, file: parseChannelFile(changed) })),
        'taken',
        what,
      );
    for (let at = 0; at < bytes.length; at += 1) {
      for (const bit of [1, 2, 16, 32, 128]) {
        const changed = Buffer.from(bytes);
        changed.writeUInt8(changed.readUInt8(at) ^ bit, at);
        isRefused(changed, `bit ${bit} of byte ${at}`);
      }
      const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
      isRefused(Buffer.concat([before, after.subarray(1)]), `without byte ${at}`);
      isRefused(Buffer.concat([before, after.subarray(0, 1), after]), `byte ${at} twice`);
      isRefused(before, `cut at ${at}`);
    }
  });

  it('says what is wrong and where', () => {
    const text = signedChannel(sampleChannel(), [key]).toString();
    const changed: readonly (readonly [was: string | RegExp, is: string, message: RegExp])[] = [
      [/^/, ' ', /file: not in its one form/],
      [/$/, '\n', /file: not printable ASCII/],
      ['"epoch":1', '"epoch":1.0', /not in its one form/],
      ['"epoch":1', '"epoch":0', /releases\[0\]\.epoch: expected a whole number from 1/],
      ['"channel":"stable"', '"channel":"../stable"', /signed\.channel: a text/],
      ['"channel":"stable"', '"channel":"stable","more":1', /signed: expected the keys/],
      ['"version":"1.2.3"', '"version":".."', /releases\[0\]\.version: a text/],
      ['"number":5', '"number":9', /releases: not in order/],
      ['"version":"1.2.2"', '"version":"1.2.3"', /a release twice/],
      [/"number":7,"publishedAt"/, '"number":6,"publishedAt"', /a release of a later number/],
      ['"from":"1.2.2"', '"from":"1.2.1"', /deltas: not in order, or twice/],
      ['"format":"keelos-channel/1"', '"format":"keelos-channel/2"', /another format/],
      [/"expiresAt":\d+/, `"expiresAt":${PUBLISHED + 91 * 86_400}`, /signed\.expiresAt/],
      [/"expiresAt":\d+/, `"expiresAt":${PUBLISHED - 1}`, /signed\.expiresAt/],
      [/"signatures":\[\{/, '"signatures":[1,{', /signatures\[0\]: expected an object/],
    ];
    for (const [was, is, message] of changed) {
      const other = text.replace(was, is);
      assert.notEqual(other, text, String(was));
      assert.throws(() => parseChannelFile(Buffer.from(other)), message);
    }
    for (const other of ['', '[', '[]', 'null', '"x"', `${'['.repeat(200_000)}`]) {
      assert.throws(() => parseChannelFile(Buffer.from(other)), /^KeelError: Cannot read metadata/);
    }
    assert.throws(() => parseChannelFile(Buffer.alloc(600_000, 32)), /600000 bytes, at most/);
  });

  it('writes nothing that it would not read', () => {
    const wrong: Partial<Channel>[] = [
      { number: 0 },
      { channel: 'Stable' },
      { releases: [sampleRelease({ number: 8 })] },
      { releases: [sampleRelease({ number: 5 }), sampleRelease({ number: 7, version: '2' })] },
    ];
    for (const each of wrong) {
      assert.equal(
        codeOf(() => encodeChannelFile(sampleChannel(each), [])),
        'E_CHANNEL_MALFORMED',
      );
    }
  });
});

describe('metadata of a channel: what it is worth', () => {
  const other = sampleKey('other');
  const expired = sampleKey('expired', PUBLISHED - 1);
  const both = {
    ...key.trust,
    threshold: 2,
    keys: [...key.trust.keys, ...other.trust.keys].sort((a, b) => (a.id < b.id ? -1 : 1)),
  };
  const file = parseChannelFile(signedChannel(sampleChannel(), [key]));
  const base = { file, channel: 'stable', trust: key.trust, nowMs: NOW_MS };
  const first = judgeChannel({ ...base, seen: undefined });
  const seen = (of: Partial<ChannelSeen>): ChannelSeen => ({ ...first.seen, ...of });
  const forgery = encodeChannelFile(sampleChannel(), [
    signManifest(encodeSigned(sampleChannel()), key.secret),
  ]);
  const rows: readonly (readonly [string, Partial<Parameters<typeof judgeChannel>[0]>, string])[] =
    [
      ['the first look', {}, 'taken'],
      ['the same file again', { seen: first.seen }, 'taken'],
      ['a later file', { seen: seen({ number: 6 }) }, 'taken'],
      ['replay: an older file', { seen: seen({ number: 8 }) }, 'E_CHANNEL_REPLAYED'],
      [
        'fork: another file of the same number',
        { seen: seen({ sha256: '0'.repeat(64) }) },
        'E_CHANNEL_REPLAYED',
      ],
      ['the file of another channel', { channel: 'edge' }, 'E_CHANNEL_REPLAYED'],
      [
        'what was seen of another channel',
        { seen: seen({ channel: 'edge', number: 99 }) },
        'taken',
      ],
      ['freeze: the last moment', { nowMs: sampleChannel().expiresAt * 1000 }, 'taken'],
      ['freeze: past it', { nowMs: sampleChannel().expiresAt * 1000 + 1 }, 'E_CHANNEL_EXPIRED'],
      [
        'a number set by a key that is trusted no more',
        { seen: seen({ number: 2 ** 40, keyIds: [other.id] }) },
        'taken',
      ],
      [
        'a number set by one that still is',
        { seen: seen({ number: 2 ** 40, keyIds: [other.id, key.id] }) },
        'E_CHANNEL_REPLAYED',
      ],
      ['a stranger', { trust: other.trust }, 'E_SIGNATURE_WRONG'],
      [
        'a signature that was made for a bundle',
        { file: parseChannelFile(forgery) },
        'E_SIGNATURE_WRONG',
      ],
      ['one of two', { trust: both }, 'E_SIGNATURES_TOO_FEW'],
      [
        'two of two',
        { trust: both, file: parseChannelFile(signedChannel(sampleChannel(), [key, other])) },
        'taken',
      ],
      [
        'an expired key',
        { trust: expired.trust, file: parseChannelFile(signedChannel(sampleChannel(), [expired])) },
        'E_KEY_EXPIRED',
      ],
      ['nobody is trusted', { trust: { ...key.trust, keys: [] } }, 'E_NO_TRUST'],
    ];
  for (const [name, change, expected] of rows) {
    it(`${name}: ${expected}`, () => {
      assert.equal(
        codeOf(() => judgeChannel({ ...base, seen: undefined, ...change })),
        expected,
      );
    });
  }

  it('says what to remember, and who signed', () => {
    assert.deepEqual(first.signers, ['channel']);
    assert.deepEqual(first.seen.keyIds, [key.id]);
    assert.equal(first.seen.number, 7);
    assert.equal(newestRelease(first.channel, 'x86_64')?.version, '1.2.3');
    assert.equal(newestRelease(first.channel, 'aarch64'), undefined);
  });
});

describe('paths of a release directory', () => {
  it('are read as they are written, for any versions', () => {
    fc.assert(
      fc.property(
        versions,
        versions,
        fc.constantFrom('x86_64', 'aarch64'),
        (version, from, arch) => {
          const release = { version, arch } as const;
          assert.deepEqual(parseReleasePath(bundlePath(release)), { kind: 'bundle', ...release });
          const delta = { ...release, from };
          assert.deepEqual(parseReleasePath(deltaPath(delta)), { kind: 'delta', ...delta });
        },
      ),
    );
    assert.deepEqual(parseReleasePath(channelPath('edge')), { kind: 'channel', channel: 'edge' });
  });

  it('never lead out of the directory or to a hidden file', () => {
    const wrong = [
      ...['', '.', '..', 'channels/', 'channels/.json', 'channels/../x.json', 'channels/a/b.json'],
      ...['releases/../keelos-..-x86_64.squashfs', 'releases/./keelos-.-x86_64.squashfs'],
      ...['releases/1/keelos-2-x86_64.squashfs', 'releases/1/keelos-1-riscv.squashfs'],
      ...['releases/1/keelos-..-1-x86_64.kdelta', 'releases/1/keelos-a/b-1-x86_64.kdelta'],
      ...['releases/1/keelos-1-x86_64.kdelta', 'releases/1/keelos--1-x86_64.kdelta'],
      ...['/releases/1/keelos-1-x86_64.squashfs', 'releases/1/keelos-1-x86_64.squashfs\n'],
      ...['releases/1\0/keelos-1\0-x86_64.squashfs', 'releases/.git/keelos-.git-x86_64.squashfs'],
    ];
    for (const path of wrong) assert.equal(parseReleasePath(path), undefined, path);
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('.', '/', '\\', '%', 'a', '1', '-', '\0') }),
        (version) => {
          if (isReleaseVersion(version)) assert.doesNotMatch(version, /[/\\%\0]|^\./);
        },
      ),
    );
  });
});
