/**
 * The node's own key and certificate: made on the first boot, kept on the state partition, never a reason not to start.
 */
import { createPrivateKey, generateKeyPairSync, sign, X509Certificate } from 'node:crypto';
import { KeelError } from '@keelos/proto/errors.ts';
import { NODE_PATHS } from '@keelos/proto/node-paths.ts';
import { fingerprintOf } from '../core/client-certificate.ts';
import type { StateStore } from '../sys/state-store.ts';

/** Private key, PKCS #8 in PEM. */
export const SERVER_KEY_PATH = `${NODE_PATHS.trustDir}/server-key.pem`;
/** Certificate, PEM. */
export const SERVER_CERTIFICATE_PATH = `${NODE_PATHS.trustDir}/server-certificate.pem`;

/** Key and certificate of the API. */
export interface ServerIdentity {
  readonly keyPem: string;
  readonly certificatePem: string;
  /** SHA-256 of the certificate, 64 lower-case hexadecimal digits. */
  readonly fingerprint: string;
  /** What was wrong with the stored ones; empty when they are in use or were never there. */
  readonly problem: string;
}

/** What a new certificate says. */
export interface NewIdentity {
  readonly random: (count: number) => Uint8Array;
  readonly hostname: string;
  /** Without prefix length. */
  readonly addresses: readonly string[];
  readonly notBeforeMs: number;
}

/** What the state partition says of the identity. */
export type IdentityOrigin = 'stored' | 'absent' | 'damaged' | 'unreadable';

/**
 * The stored identity, or a new one. A new one still has to be stored: {@link storeIdentity}, before anybody is told its
 * fingerprint; the port need not wait for the disk. One that could not be read may be good: nothing is written over it.
 */
export async function serverIdentity(
  store: StateStore,
  fresh: () => NewIdentity,
): Promise<{ readonly identity: ServerIdentity; readonly origin: IdentityOrigin }> {
  const stored = readIdentity(store);
  if (stored.kind === 'usable') {
    return {
      identity: { ...stored.pems, ...described(stored.pems), problem: '' },
      origin: 'stored',
    };
  }
  const pems = await newIdentity(fresh());
  return {
    identity: { ...pems, ...described(pems), problem: problemOf(stored) },
    origin: stored.kind,
  };
}

function problemOf(stored: Exclude<Stored, { kind: 'usable' }>): string {
  switch (stored.kind) {
    case 'absent':
      return '';
    case 'damaged':
      return `The node's key was replaced: ${stored.reason}.`;
    case 'unreadable':
      return `The node's key could not be read and stays on the disk; another one is in use until the next boot: ${stored.reason}.`;
  }
}

/** Stores a new identity. One that cannot be stored is used until the next boot, and says so. */
export function storeIdentity(
  store: StateStore,
  identity: ServerIdentity,
  origin: IdentityOrigin,
): ServerIdentity {
  if (origin === 'stored' || origin === 'unreadable') return identity;
  try {
    if (origin === 'damaged') {
      store.setAside(SERVER_KEY_PATH);
      store.setAside(SERVER_CERTIFICATE_PATH);
    }
    // The key first: a certificate without its key is of no use, a key without a certificate is replaced.
    store.replace(SERVER_KEY_PATH, Buffer.from(identity.keyPem));
    store.replace(SERVER_CERTIFICATE_PATH, Buffer.from(identity.certificatePem));
    return identity;
  } catch (cause) {
    if (!(cause instanceof KeelError)) throw cause;
    const lost = `The node's key could not be stored and lasts until the next boot: ${cause.message}.`;
    return { ...identity, problem: `${identity.problem} ${lost}`.trim() };
  }
}

interface Pems {
  readonly keyPem: string;
  readonly certificatePem: string;
}

type Stored =
  | { readonly kind: 'usable'; readonly pems: Pems }
  | { readonly kind: 'absent' }
  | { readonly kind: 'damaged' | 'unreadable'; readonly reason: string };

function readIdentity(store: StateStore): Stored {
  try {
    const key = store.read(SERVER_KEY_PATH);
    const certificate = store.read(SERVER_CERTIFICATE_PATH);
    if (key === undefined && certificate === undefined) return { kind: 'absent' };
    if (key === undefined || certificate === undefined) {
      return {
        kind: 'damaged',
        reason: `its ${key === undefined ? 'key' : 'certificate'} was gone`,
      };
    }
    const pems = {
      keyPem: Buffer.from(key).toString('latin1'),
      certificatePem: Buffer.from(certificate).toString('latin1'),
    };
    const matches = new X509Certificate(pems.certificatePem).checkPrivateKey(
      createPrivateKey(pems.keyPem),
    );
    return matches
      ? { kind: 'usable', pems }
      : { kind: 'damaged', reason: 'key and certificate did not belong together' };
  } catch (cause) {
    if (cause instanceof KeelError && cause.code !== 'E_RECORD_DAMAGED') {
      return { kind: 'unreadable', reason: cause.message };
    }
    // Whatever is wrong with the content, the way on is the same, and the parser's words help nobody.
    return { kind: 'damaged', reason: 'the stored one could not be read' };
  }
}

function described(pems: Pems): { fingerprint: string } {
  return { fingerprint: fingerprintOf(new X509Certificate(pems.certificatePem).raw) };
}

async function newIdentity(wanted: NewIdentity): Promise<Pems> {
  // Needed on the first boot only.
  const { serverCertificate, serverCertificateToSign } = await import(
    '../core/server-certificate.ts'
  );
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const toSign = serverCertificateToSign({
    publicKey: publicKey.export({ type: 'spki', format: 'der' }),
    serial: wanted.random(16),
    hostname: wanted.hostname,
    addresses: wanted.addresses,
    notBeforeMs: wanted.notBeforeMs,
  });
  const der = serverCertificate(toSign, sign('sha256', toSign, privateKey));
  return {
    keyPem: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    certificatePem: new X509Certificate(der).toString(),
  };
}
