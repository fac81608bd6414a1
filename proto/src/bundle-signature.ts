/**
 * Signatures of bundles: Ed25519 (RFC 8032) over {@link SIGNATURE_CONTEXT} and the bytes of the manifest. Pure. What else
 * is signed with such keys has a context of its own.
 *
 * Used by keel-image, which signs, and by the agent, which judges.
 */
import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import type { BundleSignature, BundleTail, TrustedKey, TrustFile } from './bundle.ts';
import { SIGNATURE_CONTEXT } from './bundle.ts';
import { keyIdOf } from './bundle-writer.ts';
import { KeelError } from './errors.ts';

const RAW_KEY_BYTES = 32;
/** SubjectPublicKeyInfo of an Ed25519 key up to its raw bytes (RFC 8410 section 4). */
const SPKI_HEAD = Buffer.from('302a300506032b6570032100', 'hex');

/** The 32 raw bytes of an Ed25519 key's public half. @throws KeelError E_IMAGE_INVALID for another kind of key */
export function rawPublicKey(key: KeyObject): Buffer {
  if (key.asymmetricKeyType !== 'ed25519') {
    const kind = key.asymmetricKeyType ?? key.type;
    throw new KeelError('E_IMAGE_INVALID', `Cannot use key: it is ${kind}, expected ed25519`);
  }
  const half = key.type === 'private' ? createPublicKey(key) : key;
  return half.export({ format: 'der', type: 'spki' }).subarray(-RAW_KEY_BYTES);
}

/** The key with these raw bytes. */
export function publicKeyOf(raw: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([SPKI_HEAD, raw]), format: 'der', type: 'spki' });
}

function signedBytes(manifestBytes: Uint8Array, context: string): Buffer {
  return Buffer.concat([Buffer.from(context, 'latin1'), manifestBytes]);
}

/** The signature of a private Ed25519 key. @throws KeelError E_IMAGE_INVALID for another kind of key */
export function signManifest(
  manifestBytes: Uint8Array,
  privateKey: KeyObject,
  context: string = SIGNATURE_CONTEXT,
): BundleSignature {
  const keyId = keyIdOf(rawPublicKey(privateKey));
  const bytes = signedBytes(manifestBytes, context);
  return { keyId, signature: sign(null, bytes, privateKey).toString('hex') };
}

/** What one signature is worth. */
export type SignatureVerdict = 'good' | 'expired' | 'wrong' | 'unknown';

/** Judges each signature by itself, in the order of the list. A key that the trust file does not have is "unknown". */
export function judgeEach(of: {
  readonly tail: Pick<BundleTail, 'manifestBytes' | 'signatures'>;
  readonly trust: TrustFile;
  readonly nowMs: number;
  readonly context?: string;
}): { readonly keyId: string; readonly name: string; readonly verdict: SignatureVerdict }[] {
  const { tail, trust, nowMs, context = SIGNATURE_CONTEXT } = of;
  const bytes = signedBytes(tail.manifestBytes, context);
  return tail.signatures.map(({ keyId, signature }) => {
    const key = trust.keys.find(({ id }) => id === keyId);
    if (key === undefined) return { keyId, name: '', verdict: 'unknown' };
    const raw = Buffer.from(key.publicKey, 'hex');
    const isRight = verify(null, bytes, publicKeyOf(raw), Buffer.from(signature, 'hex'));
    const verdict = isRight ? (isExpired(key, nowMs) ? 'expired' : 'good') : 'wrong';
    return { keyId, name: key.name, verdict };
  });
}

function isExpired({ notAfter }: TrustedKey, nowMs: number): boolean {
  return notAfter !== 0 && nowMs > notAfter * 1000;
}

/**
 * Judges the signatures of a bundle. Those of unknown keys count nothing; one that names a trusted key and is not right
 * refuses the bundle, whatever the others are.
 *
 * @param of.nowMs the time that is believed, Unix milliseconds
 * @returns names of the keys that count
 * @throws KeelError E_NO_TRUST, E_SIGNATURE_WRONG, E_SIGNATURES_TOO_FEW, E_KEY_EXPIRED
 */
export function judgeSignatures(of: {
  readonly tail: Pick<BundleTail, 'manifest' | 'manifestBytes' | 'signatures'>;
  readonly trust: TrustFile;
  readonly nowMs: number;
}): { readonly signers: string[] } {
  return judgeSigned({ ...of, subject: `bundle ${of.tail.manifest.version}` });
}

/**
 * The same for anything that is signed like a bundle's manifest, under a context of its own.
 *
 * @param of.subject what it is, for messages
 * @throws KeelError E_NO_TRUST, E_SIGNATURE_WRONG, E_SIGNATURES_TOO_FEW, E_KEY_EXPIRED
 */
export function judgeSigned(of: {
  readonly subject: string;
  readonly tail: Pick<BundleTail, 'manifestBytes' | 'signatures'>;
  readonly trust: TrustFile;
  readonly nowMs: number;
  readonly context?: string;
}): { readonly signers: string[] } {
  const { trust } = of;
  const subject = `Cannot accept ${of.subject}`;
  if (trust.keys.length === 0) {
    throw new KeelError('E_NO_TRUST', `${subject}: the trust file names no key`);
  }
  const judged = judgeEach(of);
  const having = (verdict: SignatureVerdict) => judged.filter((each) => each.verdict === verdict);
  const named = (verdict: SignatureVerdict) =>
    having(verdict)
      .map(({ name, keyId }) => (name === '' ? keyId : `${name} (${keyId})`))
      .join(', ');
  const [good, expired] = [having('good').length, having('expired').length];
  if (having('wrong').length > 0) {
    const reason = `not the signature of ${named('wrong')}`;
    throw new KeelError('E_SIGNATURE_WRONG', `${subject}: ${reason}`);
  }
  if (good >= trust.threshold) return { signers: having('good').map(({ name }) => name) };
  if (good + expired === 0) {
    const others = judged.length === 0 ? 'nobody' : `unknown keys only: ${named('unknown')}`;
    throw new KeelError('E_SIGNATURE_WRONG', `${subject}: signed by ${others}`);
  }
  if (good + expired >= trust.threshold) {
    const reason = `${trust.threshold} keys must have signed, and these have expired: ${named('expired')}`;
    throw new KeelError('E_KEY_EXPIRED', `${subject}: ${reason}`);
  }
  throw new KeelError(
    'E_SIGNATURES_TOO_FEW',
    `${subject}: ${trust.threshold} trusted keys must have signed, ${good + expired} did`,
  );
}
