/** Certificates made by openssl, the oracle for everything that reads or judges certificates. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What openssl is asked for. */
export interface CertificateWish {
  readonly subject?: string;
  /** Argument of openssl -newkey and its -pkeyopt. */
  readonly key?: readonly string[];
  /** Validity, Unix milliseconds. */
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
  readonly extensions?: readonly string[];
  readonly digest?: string;
  readonly serial?: string;
}

/** A key pair with its certificate. */
export interface MadeCertificate {
  readonly keyPem: string;
  readonly certPem: string;
  readonly der: Uint8Array;
}

export const P256 = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
export const CLIENT_EXTENSIONS = [
  'basicConstraints=critical,CA:FALSE',
  'keyUsage=critical,digitalSignature',
  'extendedKeyUsage=clientAuth',
];

/** openssl's form of a time: YYYYMMDDHHMMSSZ. */
export function opensslTime(ms: number): string {
  return `${new Date(ms).toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`;
}

/** Runs openssl with files in a directory of its own. */
export function openssl<T>(run: (call: (...args: string[]) => string, directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'keel-openssl-'));
  try {
    const call = (...args: string[]) =>
      execFileSync('openssl', args, { cwd: directory, encoding: 'utf8', stdio: 'pipe' });
    return run(call, directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Makes a self-signed certificate. Dates need `openssl ca`, because `openssl req` of version 3.0 takes days only. */
export function makeCertificate(wish: CertificateWish = {}): MadeCertificate {
  const nowMs = Math.floor(Date.now() / 1000) * 1000;
  const {
    subject = '/O=admin/CN=operator',
    key = P256,
    notBeforeMs = nowMs - 60_000,
    notAfterMs = nowMs + 23 * 3_600_000,
    extensions = CLIENT_EXTENSIONS,
    digest = 'sha256',
    serial = '1234',
  } = wish;
  return openssl((call, directory) => {
    const write = (name: string, text: string) =>
      execFileSync('tee', [join(directory, name)], {
        input: text,
        stdio: ['pipe', 'ignore', 'pipe'],
      });
    const section =
      extensions.length === 0 ? '' : `x509_extensions=ext\n[ext]\n${extensions.join('\n')}\n`;
    write('index.txt', '');
    write('serial', serial);
    write(
      'ca.conf',
      `[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\npolicy=p\nunique_subject=no\ndefault_md=${digest === '' ? 'default' : digest}\nemail_in_dn=no\npreserve=yes\n${section}[p]\nO=optional\nCN=optional\nOU=optional\n`,
    );
    call(
      'req',
      '-new',
      '-newkey',
      ...key,
      '-nodes',
      '-keyout',
      'key.pem',
      '-out',
      'csr.pem',
      '-subj',
      subject,
      '-utf8',
    );
    call(
      ...[
        'ca',
        '-batch',
        '-config',
        'ca.conf',
        '-selfsign',
        '-keyfile',
        'key.pem',
        '-in',
        'csr.pem',
      ],
      ...['-out', 'cert.pem', '-notext', '-utf8'],
      ...['-startdate', opensslTime(notBeforeMs), '-enddate', opensslTime(notAfterMs)],
    );
    call('x509', '-in', 'cert.pem', '-outform', 'DER', '-out', 'cert.der');
    const read = (name: string) => readFileSync(join(directory, name));
    return {
      keyPem: read('key.pem').toString(),
      certPem: read('cert.pem').toString(),
      der: read('cert.der'),
    };
  });
}
