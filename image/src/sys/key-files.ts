/** Signing keys on disk: `<name>.key` (PKCS #8 in PEM, for nobody else to read) and `<name>.pub` (JSON). */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdir, open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readTrustFile } from '@keelos/as-core/bundle.ts';
import type { TrustedKey, TrustFile } from '@keelos/proto/bundle.ts';
import { rawPublicKey } from '@keelos/proto/bundle-signature.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { parsePublicKey, publicKeyText, trustedKey } from '../core/trust.ts';
import { writeAll, writeSynced } from './synced-file.ts';

const PRIVATE_MODE = 0o600;
const PUBLIC_MODE = 0o644;
const DIRECTORY_MODE = 0o700;
/** Far more than any key's file has. */
const KEY_BYTES_MAX = 65_536;

/** A made pair of keys. */
export interface KeyFiles {
  readonly key: TrustedKey;
  readonly privatePath: string;
  readonly publicPath: string;
}

/**
 * Makes a key in `dir`, which is made when it is not there.
 *
 * @throws KeelError E_IMAGE_INVALID when a file of that name is there already: a key is never written over
 */
export async function makeKeyFiles(of: {
  readonly dir: string;
  readonly name: string;
  /** Unix seconds; 0: never. */
  readonly notAfter: number;
}): Promise<KeyFiles> {
  const { dir, name, notAfter } = of;
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(name) || name.startsWith('.')) {
    throw new KeelError(
      'E_IMAGE_INVALID',
      `Cannot make key ${JSON.stringify(name)}: a name has letters, digits and ". - _", 64 at most`,
    );
  }
  const { privateKey } = generateKeyPairSync('ed25519');
  const key = trustedKey({ name, notAfter, raw: rawPublicKey(privateKey) });
  await mkdir(dir, { recursive: true, mode: DIRECTORY_MODE });
  const [privatePath, publicPath] = [join(dir, `${name}.key`), join(dir, `${name}.pub`)];
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' });
  await writeNew(privatePath, pem, PRIVATE_MODE);
  await writeNew(publicPath, publicKeyText(key), PUBLIC_MODE);
  return { key, privatePath, publicPath };
}

async function writeNew(path: string, text: string | Buffer, mode: number): Promise<void> {
  const file = await open(path, 'wx', mode).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'EEXIST') throw cause;
    throw new KeelError('E_IMAGE_INVALID', `Cannot write ${path}: it is there already`, { cause });
  });
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A private key. @throws KeelError E_IMAGE_INVALID when it is none, is encrypted, or is not Ed25519 */
export async function readPrivateKey(path: string): Promise<KeyObject> {
  const pem = await readSmall(path);
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    throw new KeelError(
      'E_IMAGE_INVALID',
      `Cannot read private key ${path}: expected PKCS #8 in PEM without a passphrase`,
      { cause },
    );
  }
  // Refuses other kinds.
  rawPublicKey(key);
  return key;
}

/** A public key, from its own file or from that of its private half. */
export async function readPublicKey(path: string): Promise<TrustedKey> {
  const bytes = await readSmall(path);
  if (!bytes.includes('PRIVATE KEY')) return parsePublicKey(bytes.toString('utf8'), path);
  const name = path.replace(/^.*\//, '').replace(/\.key$/, '');
  return trustedKey({ name, notAfter: 0, raw: rawPublicKey(await readPrivateKey(path)) });
}

/** All keys in a file: of a trust file, or the one of a .pub or .key file. @throws KeelError E_IMAGE_INVALID */
export async function readKeys(path: string): Promise<readonly TrustedKey[]> {
  const isTrust = (await readSmall(path)).includes('"keelos-trust/');
  return isTrust ? (await readTrust(path)).keys : [await readPublicKey(path)];
}

/** A trust file. @throws KeelError E_IMAGE_INVALID when it is not in its one form */
export async function readTrust(path: string): Promise<TrustFile> {
  return readTrustFile(await readSmall(path));
}

/** Writes a trust file; its name appears when its bytes are on the disk. */
export async function writeTrust(path: string, bytes: Uint8Array): Promise<void> {
  await writeSynced(path, (file) => writeAll(file, bytes, 0));
}

async function readSmall(path: string): Promise<Buffer> {
  const { size } = await stat(path);
  if (size <= KEY_BYTES_MAX) return readFile(path);
  const reason = `${size} bytes, at most ${KEY_BYTES_MAX} expected`;
  throw new KeelError('E_IMAGE_INVALID', `Cannot read ${path}: ${reason}`);
}
