import assert from 'node:assert/strict';
import { BundleReader } from '@keelos/as-core/bundle.ts';
import { CHANNEL_BYTES_MAX } from '@keelos/proto/channel.ts';
import { parseChannelFile } from '@keelos/proto/channel-text.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import fc from 'fast-check';
import {
  sampleChannel,
  sampleKey,
  sampleRelease,
  signedChannel,
} from '../../proto/test/channel-samples.ts';

const keys = Array.from({ length: 16 }, (_, index) => sampleKey(`key-${index}`));
const isMalformed = (error: unknown) =>
  error instanceof KeelError && error.code === 'E_CHANNEL_MALFORMED';

describe('metadata of a channel, taken apart', () => {
  let reader: BundleReader;
  before(async () => {
    reader = await BundleReader.create();
  });

  it('gives what is signed and who signed it, as the reader of the whole does', () => {
    const releases = Array.from({ length: 64 }, (_, index) =>
      sampleRelease({ number: 64 - index, version: `1.0.${index}`, deltas: [] }),
    );
    for (const count of [0, 1, 16]) {
      for (const channel of [sampleChannel(), sampleChannel({ number: 64, releases })]) {
        const bytes = signedChannel(channel, keys.slice(0, count));
        const { signatures, signedBytes } = parseChannelFile(bytes);
        const head = reader.readChannelHead(bytes);
        assert.deepEqual(head.signatures, signatures);
        assert.ok(Buffer.from(head.signedBytes).equals(signedBytes));
      }
    }
  });

  it('refuses any other head, or takes it for what it is', () => {
    const text = signedChannel(sampleChannel(), keys.slice(0, 2)).toString('latin1');
    const end = text.indexOf('"signed":') + '"signed":'.length;
    fc.assert(
      fc.property(
        fc.nat(end),
        fc.nat(3),
        fc.constantFrom('', '"', '{', '}', '[', ']', ',', ' ', '\\', 'a', '0', '\0', '\xff', text),
        (at, removed, piece) => {
          const bytes = Buffer.from(text.slice(0, at) + piece + text.slice(at + removed), 'latin1');
          try {
            const head = reader.readChannelHead(bytes);
            // Then the reader of the whole, if it takes it, sees the same.
            const whole = tryWhole(bytes);
            if (whole !== undefined) assert.deepEqual(head.signatures, whole.signatures);
            assert.ok(head.signedBytes.length < bytes.length);
          } catch (error) {
            assert.ok(isMalformed(error), String(error));
            assert.equal(tryWhole(bytes), undefined);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('refuses what is cut, too long, or none', () => {
    const bytes = signedChannel(sampleChannel(), keys.slice(0, 1));
    for (const other of [
      Buffer.alloc(0),
      bytes.subarray(0, -2),
      bytes.subarray(0, 100),
      Buffer.alloc(CHANNEL_BYTES_MAX + 1, 0x20),
    ]) {
      assert.throws(() => reader.readChannelHead(other), isMalformed);
    }
    assert.equal(reader.readChannelHead(bytes).signatures.length, 1);
  });
});

function tryWhole(bytes: Buffer) {
  try {
    return parseChannelFile(bytes);
  } catch {
    return undefined;
  }
}
