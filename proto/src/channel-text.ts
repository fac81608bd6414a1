/** Writes and reads the metadata of a channel. Equal values give equal bytes, and only those are read. Pure. */
import type { BundleSignature } from './bundle.ts';
import { EPOCH_MAX, SIGNATURES_MAX, TIME_SECONDS_MAX } from './bundle.ts';
import { canonicalJson } from './bundle-writer.ts';
import type { Channel, ChannelFile, Release, ReleaseDelta, ReleaseFile } from './channel.ts';
import {
  ARCHES,
  CHANNEL_BYTES_MAX,
  CHANNEL_LIFE_SECONDS_MAX,
  CHANNEL_NUMBER_MAX,
  DELTAS_MAX,
  isChannelName,
  isReleaseVersion,
  RELEASES_MAX,
} from './channel.ts';
import { KeelError } from './errors.ts';

const SHA256 = /^[0-9a-f]{64}$/;
const KEY_ID = /^[0-9a-f]{16}$/;
const SIGNATURE = /^[0-9a-f]{128}$/;

/** Bytes that are signed. @throws KeelError E_CHANNEL_MALFORMED for a value that no channel may have */
export function encodeSigned(channel: Channel): Buffer {
  return Buffer.from(canonicalJson(readChannel(channel)), 'latin1');
}

/** Bytes of the file. @throws KeelError E_CHANNEL_MALFORMED when they would be too many, or a key has signed twice */
export function encodeChannelFile(
  channel: Channel,
  signatures: readonly BundleSignature[],
): Buffer {
  const sorted = signatures.toSorted((a, b) => (a.keyId < b.keyId ? -1 : 1));
  list(sorted, 'signatures', SIGNATURES_MAX);
  ascending(sorted, 'signatures', (a, b) => a.keyId < b.keyId);
  const signed = encodeSigned(channel).toString('latin1');
  const bytes = Buffer.from(`{"signatures":${canonicalJson(sorted)},"signed":${signed}}`, 'latin1');
  if (bytes.length > CHANNEL_BYTES_MAX) {
    refuse('file', `${bytes.length} bytes, at most ${CHANNEL_BYTES_MAX}`);
  }
  return bytes;
}

/** Reads a file. @throws KeelError E_CHANNEL_MALFORMED when it is not exactly what {@link encodeChannelFile} writes */
export function parseChannelFile(bytes: Uint8Array): ChannelFile {
  if (bytes.length > CHANNEL_BYTES_MAX) {
    refuse('file', `${bytes.length} bytes, at most ${CHANNEL_BYTES_MAX}`);
  }
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  const file = object(parseJson(text), 'file', ['signatures', 'signed']);
  const signatures = list(file.signatures, 'signatures', SIGNATURES_MAX).map(readSignature);
  ascending(signatures, 'signatures', (a, b) => a.keyId < b.keyId);
  const channel = readChannel(file.signed);
  // The one form: keys in order and once, no space, no escape.
  const written = encodeChannelFile(channel, signatures).toString('latin1');
  if (written !== text) refuse('file', 'not in its one form (canonical JSON)');
  return { channel, signatures, signedBytes: encodeSigned(channel) };
}

/** Reads what is signed. @throws KeelError E_CHANNEL_MALFORMED when it is not exactly what {@link encodeSigned} writes */
export function parseSigned(bytes: Uint8Array): Channel {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  const channel = readChannel(parseJson(text));
  if (encodeSigned(channel).toString('latin1') === text) return channel;
  return refuse('signed', 'not in its one form (canonical JSON)');
}

function refuse(where: string, reason: string): never {
  throw new KeelError(
    'E_CHANNEL_MALFORMED',
    `Cannot read metadata of a channel: ${where}: ${reason}`,
  );
}

function parseJson(text: string): unknown {
  if (!/^[ -~]*$/.test(text)) return refuse('file', 'not printable ASCII');
  try {
    return JSON.parse(text);
  } catch {
    return refuse('file', 'not JSON');
  }
}

function object<Key extends string>(
  value: unknown,
  where: string,
  keys: readonly Key[],
): Record<Key, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refuse(where, 'expected an object');
  }
  const found = Object.keys(value).sort();
  if (found.join() !== keys.toSorted().join()) {
    refuse(where, `expected the keys ${keys.join(', ')}`);
  }
  return value as Record<Key, unknown>;
}

function list(value: unknown, where: string, most: number): readonly unknown[] {
  if (!Array.isArray(value)) return refuse(where, 'expected a list');
  return value.length <= most ? value : refuse(where, `${value.length} entries, at most ${most}`);
}

function text(value: unknown, where: string, isRight: (text: string) => boolean): string {
  if (typeof value === 'string' && isRight(value)) return value;
  return refuse(where, 'a text that may not be there');
}

function integer(
  value: unknown,
  where: string,
  range: readonly [min: number, max: number],
): number {
  const [min, max] = range;
  const isRight = Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max;
  return isRight ? Number(value) : refuse(where, `expected a whole number from ${min} to ${max}`);
}

const hash = (value: unknown, where: string): string =>
  text(value, where, (found) => SHA256.test(found));
const version = (value: unknown, where: string): string => text(value, where, isReleaseVersion);

function ascending<T>(
  values: readonly T[],
  where: string,
  isBefore: (a: T, b: T) => boolean,
): void {
  for (const [index, value] of values.entries()) {
    const before = values[index - 1];
    if (before !== undefined && !isBefore(before, value)) refuse(where, 'not in order, or twice');
  }
}

function readSignature(value: unknown, index: number): BundleSignature {
  const where = `signatures[${index}]`;
  const { keyId, signature } = object(value, where, ['keyId', 'signature']);
  return {
    keyId: text(keyId, `${where}.keyId`, (found) => KEY_ID.test(found)),
    signature: text(signature, `${where}.signature`, (found) => SIGNATURE.test(found)),
  };
}

/** A file of 0 bytes, or one whose size is no exact number, is none. */
function readFile(value: Record<'sha256' | 'size', unknown>, where: string): ReleaseFile {
  return {
    sha256: hash(value.sha256, `${where}.sha256`),
    size: integer(value.size, `${where}.size`, [1, Number.MAX_SAFE_INTEGER]),
  };
}

function readDelta(value: unknown, where: string): ReleaseDelta {
  const delta = object(value, where, ['from', 'sha256', 'size']);
  return { from: version(delta.from, `${where}.from`), ...readFile(delta, where) };
}

function readRelease(value: unknown, where: string): Release {
  const keys = ['arch', 'bundle', 'deltas', 'epoch', 'manifestSha256'] as const;
  const found = object(value, where, [...keys, 'number', 'rootHash', 'version']);
  const arch = ARCHES.find((known) => known === found.arch);
  if (arch === undefined) return refuse(`${where}.arch`, `expected one of ${ARCHES.join(', ')}`);
  const deltas = list(found.deltas, `${where}.deltas`, DELTAS_MAX).map((delta, index) =>
    readDelta(delta, `${where}.deltas[${index}]`),
  );
  ascending(deltas, `${where}.deltas`, (a, b) => a.from < b.from);
  const bundle = object(found.bundle, `${where}.bundle`, ['sha256', 'size']);
  return {
    arch,
    bundle: readFile(bundle, `${where}.bundle`),
    deltas,
    epoch: integer(found.epoch, `${where}.epoch`, [1, EPOCH_MAX]),
    manifestSha256: hash(found.manifestSha256, `${where}.manifestSha256`),
    number: integer(found.number, `${where}.number`, [1, CHANNEL_NUMBER_MAX]),
    rootHash: hash(found.rootHash, `${where}.rootHash`),
    version: version(found.version, `${where}.version`),
  };
}

function readChannel(value: unknown): Channel {
  const keys = ['channel', 'expiresAt', 'format', 'number', 'publishedAt', 'releases'] as const;
  const found = object(value, 'signed', keys);
  if (found.format !== 'keelos-channel/1') return refuse('signed.format', 'another format');
  const number = integer(found.number, 'signed.number', [1, CHANNEL_NUMBER_MAX]);
  const publishedAt = integer(found.publishedAt, 'signed.publishedAt', [0, TIME_SECONDS_MAX]);
  const last = Math.min(TIME_SECONDS_MAX, publishedAt + CHANNEL_LIFE_SECONDS_MAX);
  const releases = list(found.releases, 'signed.releases', RELEASES_MAX).map((release, index) =>
    readRelease(release, `signed.releases[${index}]`),
  );
  ascending(releases, 'signed.releases', isBefore);
  if (releases.some((release) => release.number > number)) {
    refuse('signed.releases', 'a release of a later number');
  }
  const names = new Set(releases.map((release) => `${release.arch} ${release.version}`));
  if (names.size !== releases.length) refuse('signed.releases', 'a release twice');
  return {
    channel: text(found.channel, 'signed.channel', isChannelName),
    expiresAt: integer(found.expiresAt, 'signed.expiresAt', [publishedAt, last]),
    format: found.format,
    number,
    publishedAt,
    releases,
  };
}

function isBefore(a: Release, b: Release): boolean {
  return a.number > b.number || (a.number === b.number && a.arch < b.arch);
}
