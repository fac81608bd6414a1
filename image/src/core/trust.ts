/** Keys and trust files: what they must look like, and how one follows from another. Pure. */
import {
  EPOCH_MAX,
  NAME_CHARS_MAX,
  SIGNATURES_MAX,
  TIME_SECONDS_MAX,
  TRUST_KEYS_MAX,
  type TrustedKey,
  type TrustFile,
} from '@keelos/proto/bundle.ts';
import { canonicalJson, keyIdOf } from '@keelos/proto/bundle-writer.ts';
import { KeelError } from '@keelos/proto/errors.ts';

const KEY_FORMAT = 'keelos-key/1';
/** Printable ASCII without `"` and `\`. */
const KEY_NAME = /^[ !#-[\]-~]+$/;
const KEY_KEYS = ['format', 'id', 'name', 'notAfter', 'publicKey'];

function refuse(what: string, reason: string): never {
  throw new KeelError('E_IMAGE_INVALID', `Cannot use ${what}: ${reason}`);
}

/** A key as it is trusted. @throws KeelError E_IMAGE_INVALID for a name or time that may not be */
export function trustedKey(of: {
  readonly name: string;
  readonly raw: Uint8Array;
  readonly notAfter: number;
}): TrustedKey {
  const { name, raw, notAfter } = of;
  if (!KEY_NAME.test(name) || name.length > NAME_CHARS_MAX) {
    refuse(`key name ${JSON.stringify(name)}`, `1 to ${NAME_CHARS_MAX} printable ASCII letters`);
  }
  if (!Number.isSafeInteger(notAfter) || notAfter < 0 || notAfter > TIME_SECONDS_MAX) {
    refuse(`key ${name}`, `it ends at ${notAfter}, expected Unix seconds`);
  }
  const publicKey = Buffer.from(raw).toString('hex');
  return { id: keyIdOf(raw), name, notAfter, publicKey };
}

/** Text of a public key's file. */
export function publicKeyText(key: TrustedKey): string {
  return `${canonicalJson({ format: KEY_FORMAT, ...key })}\n`;
}

/** Reads {@link publicKeyText} back. @throws KeelError E_IMAGE_INVALID when it is not one */
export function parsePublicKey(text: string, what: string): TrustedKey {
  const value = parseObject(text, what);
  const keys = Object.keys(value).sort();
  if (value.format !== KEY_FORMAT || keys.join() !== KEY_KEYS.join()) {
    refuse(what, `not a public key of keel-image keys make`);
  }
  const { id, name, notAfter, publicKey } = value;
  if (typeof name !== 'string' || typeof notAfter !== 'number' || typeof publicKey !== 'string') {
    refuse(what, 'a field has another type');
  }
  if (!/^[0-9a-f]{64}$/.test(publicKey)) refuse(what, 'publicKey has 64 hexadecimal digits');
  const key = trustedKey({ name, notAfter, raw: Buffer.from(publicKey, 'hex') });
  return key.id === id ? key : refuse(what, `its id must be ${key.id}`);
}

function parseObject(text: string, what: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return { ...value };
  } catch {
    // The message below says what was expected.
  }
  return refuse(what, 'not JSON');
}

/** A trust file. @throws KeelError E_IMAGE_INVALID when threshold, epoch or keys may not be */
export function makeTrust(of: {
  readonly keys: readonly TrustedKey[];
  readonly threshold: number;
  readonly epoch: number;
}): TrustFile {
  const { keys, threshold, epoch } = of;
  const ids = new Set(keys.map(({ id }) => id));
  const most = Math.min(keys.length, SIGNATURES_MAX);
  if (keys.length === 0) refuse('trust file', 'it names no key');
  if (keys.length > TRUST_KEYS_MAX) refuse('trust file', `more than ${TRUST_KEYS_MAX} keys`);
  if (ids.size !== keys.length) refuse('trust file', 'it names a key twice');
  if (!Number.isInteger(threshold) || threshold < 1 || threshold > most) {
    refuse('trust file', `threshold ${threshold}, expected 1 to ${most}`);
  }
  if (!Number.isInteger(epoch) || epoch < 1 || epoch > EPOCH_MAX) {
    refuse('trust file', `epoch ${epoch}, expected 1 to ${EPOCH_MAX}`);
  }
  return {
    format: 'keelos-trust/1',
    threshold,
    epoch,
    keys: keys.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
  };
}

/** What changes from one trust file to the next. */
export interface Rotation {
  readonly add: readonly TrustedKey[];
  /** Ids or names. */
  readonly remove: readonly string[];
  readonly threshold?: number;
  readonly epoch?: number;
}

/**
 * The next trust file. A key that is there already is replaced: its name or its end may be new.
 *
 * @throws KeelError E_IMAGE_INVALID when a key to remove is not there, the epoch falls, or the result may not be
 */
export function rotateTrust(old: TrustFile, rotation: Rotation): TrustFile {
  const { add, remove, threshold = old.threshold, epoch = old.epoch } = rotation;
  if (epoch < old.epoch)
    refuse(`epoch ${epoch}`, `the trust file has ${old.epoch}, it never falls`);
  for (const wanted of remove) {
    const found = old.keys.filter(({ id, name }) => id === wanted || name === wanted);
    if (found.length !== 1) refuse(`key ${wanted}`, `${found.length} of that id or name are there`);
  }
  const added = new Set(add.map(({ id }) => id));
  const kept = old.keys.filter(
    ({ id, name }) => !added.has(id) && !remove.includes(id) && !remove.includes(name),
  );
  return makeTrust({ keys: [...kept, ...add], threshold, epoch });
}

/** Unix seconds of a date ("2027-06-30": its end, in UTC) or a time with its zone; undefined for anything else. */
export function parseNotAfter(text: string): number | undefined {
  const isDay = /^\d{4}-\d{2}-\d{2}$/.test(text);
  if (!isDay && !/^\d{4}-\d{2}-\d{2}T[\d:.]+(Z|[+-]\d{2}:\d{2})$/.test(text)) return undefined;
  const milliseconds = Date.parse(isDay ? `${text}T23:59:59Z` : text);
  return Number.isNaN(milliseconds) ? undefined : Math.floor(milliseconds / 1000);
}
