/** The end of a delta: what is read of it, and every field out of its range. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { DeltaReader } from '@keelos/as-core/delta.ts';
import { FOOTER_BYTES, TAIL_BYTES_MAX } from '@keelos/proto/bundle.ts';
import { signManifest } from '@keelos/proto/bundle-signature.ts';
import { canonicalJson } from '@keelos/proto/bundle-writer.ts';
import {
  DELTA_SIGNATURE_CONTEXT,
  type DeltaManifest,
  NO_KERNEL,
  PATCHED_BYTES_MAX,
  PLAN_BYTES_MAX,
} from '@keelos/proto/delta.ts';
import {
  encodeDeltaFooter,
  encodeDeltaManifest,
  encodeDeltaTail,
} from '@keelos/proto/delta-writer.ts';
import { KeelError } from '@keelos/proto/errors.ts';

const HASH = 'ab'.repeat(32);
/** Of a kernel image of 500 bytes. */
const KERNEL = { canary: HASH, offset: 100, packedBytes: 400, unpackedBytes: 2 ** 27 };
const SIZES = { plan: 100, patch: 2000, literals: 30, targetManifest: 700, targetSignatures: 200 };

/** A manifest that is right. */
function manifestOf(): DeltaManifest {
  let offset = 0;
  const part = (size: number) => {
    offset += size;
    return { offset: offset - size, sha256: HASH, size };
  };
  const side = { dataBytes: 8192, rootHash: HASH, sha256: HASH, ukiBytes: 500, ukiSha256: HASH };
  return {
    blockBytes: 131_072,
    canary: HASH,
    encoder: 'zstd-1.5.7',
    format: 'keelos-delta/1',
    from: '1.0.0',
    kernel: NO_KERNEL,
    level: 19,
    limits: { memoryBytes: 67_108_864, runBytes: 1_048_576 },
    parts: {
      plan: part(SIZES.plan),
      patch: part(SIZES.patch),
      literals: part(SIZES.literals),
      targetManifest: part(SIZES.targetManifest),
      targetSignatures: part(SIZES.targetSignatures),
    },
    patchedBytes: 5000,
    source: side,
    target: { ...side, dataBytes: 12_288 },
    to: '1.0.1',
  };
}

const reader = await DeltaReader.create();

/** Reads a delta of which only the end matters. */
function read(end: Buffer, partsBytes: number) {
  const whole = Buffer.concat([Buffer.alloc(partsBytes), end]);
  return reader.readTail(whole.subarray(-TAIL_BYTES_MAX), whole.length);
}

function refusalOf(end: Buffer, partsBytes = 3030): string {
  try {
    read(end, partsBytes);
  } catch (error) {
    if (!(error instanceof KeelError)) throw error;
    return `${error.code} ${error.details.reason}`;
  }
  return 'accepted';
}

/** The end of a delta with a manifest of any form. */
function endOf(manifest: unknown, partsBytes = 3030): Buffer {
  const text = typeof manifest === 'string' ? manifest : canonicalJson(manifest);
  const signatures = '{"signatures":[]}';
  const footer = encodeDeltaFooter({
    manifestOffset: partsBytes,
    manifestBytes: text.length,
    signaturesBytes: signatures.length,
  });
  return Buffer.concat([Buffer.from(text + signatures, 'latin1'), footer]);
}

type Path = readonly string[];

/** The manifest with one value replaced. */
function replaced(path: Path, value: unknown, from: unknown = manifestOf()): unknown {
  const [key = '', ...rest] = path;
  const inner = from as Record<string, unknown>;
  const next = rest.length === 0 ? value : replaced(rest, value, inner[key]);
  return { ...inner, [key]: next };
}

describe('the end of a delta', () => {
  it('is read as it was written', () => {
    const manifest = manifestOf();
    const key = generateKeyPairSync('ed25519').privateKey;
    const bytes = encodeDeltaManifest(manifest);
    const signature = signManifest(bytes, key, DELTA_SIGNATURE_CONTEXT);
    const tail = read(encodeDeltaTail(manifest, [signature]), 3030);
    assert.deepEqual(tail.manifest, manifest);
    assert.ok(bytes.equals(tail.manifestBytes));
    assert.deepEqual(tail.signatures, [signature]);
  });

  const wrong: readonly (readonly [path: Path, value: unknown, refusal: string])[] = [
    [['blockBytes'], 4095, 'E_DELTA_MALFORMED bundle-number'],
    [['blockBytes'], 1_048_577, 'E_DELTA_MALFORMED bundle-number'],
    [['blockBytes'], 5000, 'E_DELTA_MALFORMED delta-sides'],
    [['canary'], HASH.slice(1), 'E_DELTA_MALFORMED bundle-text'],
    [['canary'], HASH.toUpperCase(), 'E_DELTA_MALFORMED bundle-text'],
    [['encoder'], 'zstd-1.5.6', 'E_DELTA_ENCODER delta-encoder'],
    [['format'], 'keelos-delta/2', 'E_DELTA_MALFORMED bundle-format'],
    [['from'], '', 'E_DELTA_MALFORMED bundle-text'],
    [['from'], 'a'.repeat(65), 'E_DELTA_MALFORMED bundle-text'],
    [['from'], '../1', 'E_DELTA_MALFORMED bundle-text'],
    [['kernel'], 'raw', 'E_DELTA_MALFORMED bundle-syntax'],
    [['kernel', 'canary'], HASH, 'E_DELTA_MALFORMED delta-sides'],
    [['kernel', 'canary'], HASH.slice(1), 'E_DELTA_MALFORMED delta-sides'],
    [['kernel', 'offset'], 1, 'E_DELTA_MALFORMED delta-sides'],
    [['kernel', 'packedBytes'], 1, 'E_DELTA_MALFORMED delta-sides'],
    [['kernel', 'unpackedBytes'], 1, 'E_DELTA_MALFORMED delta-sides'],
    [['kernel'], { ...KERNEL, offset: 101 }, 'E_DELTA_MALFORMED delta-sides'],
    [['kernel'], { ...KERNEL, packedBytes: 401 }, 'E_DELTA_MALFORMED delta-sides'],
    [['kernel'], { ...KERNEL, packedBytes: 0 }, 'E_DELTA_MALFORMED delta-sides'],
    [['kernel'], { ...KERNEL, unpackedBytes: 0 }, 'E_DELTA_MALFORMED delta-sides'],
    [['kernel'], { ...KERNEL, offset: 2 ** 53 - 1 }, 'E_DELTA_MALFORMED delta-sides'],
    [['kernel'], { ...KERNEL, unpackedBytes: 2 ** 27 + 1 }, 'E_DELTA_MALFORMED delta-too-large'],
    [['level'], 0, 'E_DELTA_MALFORMED bundle-number'],
    [['level'], 23, 'E_DELTA_MALFORMED bundle-number'],
    [['limits', 'memoryBytes'], 67_108_865, 'E_DELTA_MALFORMED delta-too-large'],
    [['limits', 'memoryBytes'], 0, 'E_DELTA_MALFORMED bundle-number'],
    [['limits', 'runBytes'], 1_048_577, 'E_DELTA_MALFORMED delta-too-large'],
    [['limits', 'runBytes'], 0, 'E_DELTA_MALFORMED bundle-number'],
    [['parts', 'plan', 'offset'], 1, 'E_DELTA_MALFORMED delta-places'],
    [['parts', 'plan', 'size'], PLAN_BYTES_MAX + 1, 'E_DELTA_MALFORMED delta-too-large'],
    [['parts', 'plan', 'size'], 99, 'E_DELTA_MALFORMED delta-places'],
    [['parts', 'patch', 'offset'], 101, 'E_DELTA_MALFORMED delta-places'],
    [['parts', 'patch', 'size'], 2 ** 53 - 1, 'E_DELTA_MALFORMED delta-places'],
    [['parts', 'literals', 'size'], 31, 'E_DELTA_MALFORMED delta-places'],
    [['parts', 'targetManifest', 'size'], 65_537, 'E_DELTA_MALFORMED delta-too-large'],
    [['parts', 'targetManifest', 'sha256'], '', 'E_DELTA_MALFORMED bundle-text'],
    [['parts', 'targetSignatures', 'size'], 16_385, 'E_DELTA_MALFORMED delta-too-large'],
    [['parts', 'targetSignatures', 'size'], 199, 'E_DELTA_MALFORMED delta-places'],
    [['patchedBytes'], 0, 'E_DELTA_MALFORMED delta-sides'],
    [['patchedBytes'], PATCHED_BYTES_MAX + 1, 'E_DELTA_MALFORMED delta-too-large'],
    [['source', 'dataBytes'], 0, 'E_DELTA_MALFORMED bundle-number'],
    [['source', 'dataBytes'], 8193, 'E_DELTA_MALFORMED delta-sides'],
    [['source', 'dataBytes'], 2 ** 32 + 4096, 'E_DELTA_MALFORMED delta-too-large'],
    [['source', 'rootHash'], '', 'E_DELTA_MALFORMED delta-sides'],
    [['source', 'rootHash'], 'ab', 'E_DELTA_MALFORMED delta-sides'],
    [['source', 'sha256'], '', 'E_DELTA_MALFORMED bundle-text'],
    [['source', 'ukiBytes'], 0, 'E_DELTA_MALFORMED delta-sides'],
    [['source', 'ukiBytes'], 2 ** 27 + 1, 'E_DELTA_MALFORMED delta-too-large'],
    [['source', 'ukiSha256'], '', 'E_DELTA_MALFORMED delta-sides'],
    [['target', 'dataBytes'], 2 ** 32 + 4096, 'E_DELTA_MALFORMED delta-too-large'],
    [['target', 'dataBytes'], 12_289, 'E_DELTA_MALFORMED delta-sides'],
    [['target', 'rootHash'], '', 'E_DELTA_MALFORMED delta-sides'],
    [['target', 'ukiBytes'], 0, 'E_DELTA_MALFORMED delta-sides'],
    [['target', 'ukiBytes'], 2 ** 27 + 1, 'E_DELTA_MALFORMED delta-too-large'],
    [['target', 'ukiSha256'], '', 'E_DELTA_MALFORMED delta-sides'],
    [['to'], 'a b', 'E_DELTA_MALFORMED bundle-text'],
    [['extra'], 1, 'E_DELTA_MALFORMED bundle-key-unknown'],
    [['level'], '19', 'E_DELTA_MALFORMED bundle-syntax'],
    [['source', 'more'], 1, 'E_DELTA_MALFORMED bundle-key-unknown'],
  ];
  for (const [path, value, expected] of wrong) {
    it(`is refused with ${path.join('.')} ${JSON.stringify(value).slice(0, 40)}`, () => {
      assert.equal(refusalOf(endOf(replaced(path, value))), expected);
    });
  }

  it('is refused without any one of its keys', () => {
    const keys = (value: object): Path[] =>
      Object.entries(value).flatMap(([key, inner]) =>
        typeof inner === 'object' && inner !== null
          ? [[key], ...keys(inner).map((path) => [key, ...path])]
          : [[key]],
      );
    const all = keys(manifestOf());
    assert.ok(all.length > 40);
    for (const path of all) {
      const [key, ...rest] = path;
      const text = canonicalJson(without([key ?? '', ...rest], manifestOf()));
      assert.match(refusalOf(endOf(text)), /bundle-key-missing|bundle-key-unknown/, path.join('.'));
    }
  });

  it('is refused with another footer, byte for byte', () => {
    const end = endOf(manifestOf());
    for (let at = end.length - FOOTER_BYTES; at < end.length; at++) {
      const changed = Buffer.from(end);
      changed[at] = (changed[at] ?? 0) ^ 1;
      assert.match(refusalOf(changed), /delta-(footer|magic)$/, `byte ${at}`);
    }
  });

  const footers: readonly (readonly [at: number, value: number, refusal: string])[] = [
    [8, 2, 'E_DELTA_VERSION delta-version'],
    [8, 0, 'E_DELTA_VERSION delta-version'],
    [12, 1, 'E_DELTA_MALFORMED delta-footer'],
    [16, 1, 'E_DELTA_MALFORMED delta-trailing'],
    [16, 0x7fff_ffff, 'E_DELTA_DAMAGED delta-truncated'],
    [24, 1, 'E_DELTA_MALFORMED delta-places'],
    [32, 65_537, 'E_DELTA_MALFORMED delta-too-large'],
    [32, 65_536, 'E_DELTA_MALFORMED delta-places'],
    [36, 16_385, 'E_DELTA_MALFORMED delta-too-large'],
    [56, 1, 'E_DELTA_MALFORMED delta-footer'],
  ];
  for (const [at, value, expected] of footers) {
    it(`is refused with ${value} at byte ${at} of a footer that is sound`, () => {
      const end = endOf(manifestOf());
      const footer = end.subarray(-FOOTER_BYTES);
      footer.writeUInt32LE(value, at);
      footer.writeUInt32LE(crc32(footer.subarray(0, 60)), 60);
      assert.equal(refusalOf(end), expected);
    });
  }

  it('has no bytes behind it', () => {
    assert.equal(
      refusalOf(Buffer.concat([endOf(manifestOf()), Buffer.alloc(3)])),
      'E_DELTA_MALFORMED delta-trailing',
    );
  });

  it('tells a newer format before anything else, whatever it holds', () => {
    const end = endOf('{}');
    const footer = end.subarray(-FOOTER_BYTES);
    footer.fill(0xff, 12, 60);
    footer.writeUInt32LE(7, 8);
    footer.writeUInt32LE(crc32(footer.subarray(0, 60)), 60);
    assert.equal(refusalOf(end), 'E_DELTA_VERSION delta-version');
    assert.match(new KeelError('E_DELTA_VERSION', '').hint, /full image/);
  });
});

function without([key = '', ...rest]: Path, from: unknown): unknown {
  const { [key]: inner, ...others } = from as Record<string, unknown>;
  return rest.length === 0 ? others : { ...others, [key]: without(rest, inner) };
}
