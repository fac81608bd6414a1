import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { JudgeOptions } from '@keelos/ts-agent/core/client-certificate.ts';
import { judgeClientCertificate } from '@keelos/ts-agent/core/client-certificate.ts';
import type { CertificateWish } from './openssl-certificates.ts';
import { CLIENT_EXTENSIONS, makeCertificate, openssl, P256 } from './openssl-certificates.ts';

const HOUR_MS = 3_600_000;
const nowMs = Math.floor(Date.now() / 1000) * 1000;
const options: JudgeOptions = { nowMs, notBeforeMsMax: nowMs + 10 * 365 * 24 * HOUR_MS };
const P384 = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384'];
const [CONSTRAINTS = '', USAGE = '', PURPOSE = ''] = CLIENT_EXTENSIONS;

const CASES: readonly (readonly [
  name: string,
  wish: CertificateWish,
  expected: string | RegExp,
])[] = [
  ['P-256, one day, client authentication', {}, 'acceptable'],
  ['P-384 with SHA-384', { key: P384, digest: 'sha384' }, 'acceptable'],
  ['without basic constraints', { extensions: [USAGE, PURPOSE] }, 'acceptable'],
  [
    'begins tomorrow',
    { notBeforeMs: nowMs + 24 * HOUR_MS, notAfterMs: nowMs + 47 * HOUR_MS },
    'acceptable',
  ],
  [
    'exactly one day and the skew',
    { notBeforeMs: nowMs - 600_000, notAfterMs: nowMs + 24 * HOUR_MS },
    'acceptable',
  ],
  [
    'one second more',
    { notBeforeMs: nowMs - 601_000, notAfterMs: nowMs + 24 * HOUR_MS },
    /25 hours/,
  ],
  ['a year', { notAfterMs: nowMs + 365 * 24 * HOUR_MS }, /hours, at most 24/],
  [
    'expired an hour ago',
    { notBeforeMs: nowMs - 20 * HOUR_MS, notAfterMs: nowMs - HOUR_MS },
    'expired',
  ],
  [
    'begins in 2060',
    { notBeforeMs: Date.UTC(2060, 0), notAfterMs: Date.UTC(2060, 0) + HOUR_MS },
    /too far/,
  ],
  ['RSA', { key: ['rsa:2048'] }, /not an ECDSA key/],
  ['Ed25519', { key: ['ed25519'], digest: '' }, /not an ECDSA key/],
  ['P-521', { key: ['ec', '-pkeyopt', 'ec_paramgen_curve:P-521'] }, /another curve/],
  ['secp256k1', { key: ['ec', '-pkeyopt', 'ec_paramgen_curve:secp256k1'] }, /another curve/],
  ['SHA-1', { digest: 'sha1' }, /not ECDSA with SHA-256/],
  ['authority', { extensions: ['basicConstraints=critical,CA:TRUE', USAGE, PURPOSE] }, /authority/],
  ['no extensions', { extensions: [] }, /version 1|digitalSignature/],
  ['no key usage', { extensions: [CONSTRAINTS, PURPOSE] }, /digitalSignature/],
  ['key agreement only', { extensions: ['keyUsage=keyAgreement', PURPOSE] }, /digitalSignature/],
  ['server authentication', { extensions: [USAGE, 'extendedKeyUsage=serverAuth'] }, /clientAuth/],
  ['no purpose', { extensions: [USAGE] }, /clientAuth/],
  [
    'unknown critical extension',
    { extensions: [USAGE, PURPOSE, '1.2.3.4=critical,ASN1:UTF8:x'] },
    /1\.2\.3\.4/,
  ],
  [
    'name constraints, critical',
    { extensions: [USAGE, PURPOSE, 'nameConstraints=critical,permitted;DNS:a'] },
    /unknown critical/,
  ],
  ['serial of 21 bytes', { serial: '7f'.repeat(21) }, /longer than 20 bytes|cannot be read/],
];

function outcome(der: Uint8Array): string {
  const verdict = judgeClientCertificate(der, options);
  return verdict.kind === 'unacceptable' ? verdict.reason : verdict.kind;
}

describe('client certificate', () => {
  for (const [name, wish, expected] of CASES) {
    it(`${name}: ${expected}`, () => {
      const found = outcome(makeCertificate(wish).der);
      if (typeof expected === 'string') assert.equal(found, expected);
      else assert.match(found, expected);
    });
  }

  it('is what openssl and node:crypto say it is', () => {
    const { der } = makeCertificate({ subject: '/O=admin/CN=Ann, of the "night" shift' });
    const verdict = judgeClientCertificate(der, options);
    assert.equal(verdict.kind, 'acceptable');
    if (verdict.kind !== 'acceptable') return;
    const node = new X509Certificate(der);
    assert.equal(
      verdict.certificate.fingerprint,
      node.fingerprint256.replaceAll(':', '').toLowerCase(),
    );
    assert.equal(verdict.certificate.notBeforeMs, node.validFromDate.getTime());
    assert.equal(verdict.certificate.notAfterMs, node.validToDate.getTime());
    assert.match(verdict.certificate.subject, /^CN=Ann\\, of the \\"night\\" shift,O=admin$/);
  });

  it('issued by another key under the same name is refused', () => {
    const forged = openssl((call, directory) => {
      const key = (name: string) =>
        call(
          'req',
          '-x509',
          '-newkey',
          ...P256,
          '-nodes',
          '-keyout',
          `${name}.key`,
          '-out',
          `${name}.pem`,
          '-subj',
          '/O=admin',
          '-days',
          '1',
        );
      key('real');
      call(
        'req',
        '-new',
        '-newkey',
        ...P256,
        '-nodes',
        '-keyout',
        'other.key',
        '-out',
        'other.csr',
        '-subj',
        '/O=admin',
      );
      execFileSync('tee', ['ext'], {
        cwd: directory,
        input: CLIENT_EXTENSIONS.join('\n'),
        stdio: ['pipe', 'ignore', 'pipe'],
      });
      call(
        'x509',
        '-req',
        '-in',
        'other.csr',
        '-CA',
        'real.pem',
        '-CAkey',
        'real.key',
        '-CAcreateserial',
        '-days',
        '1',
        '-extfile',
        'ext',
        '-out',
        'forged.pem',
      );
      return new X509Certificate(call('x509', '-in', 'forged.pem')).raw;
    });
    assert.match(outcome(forged), /not self-signed/);
  });

  it('signed by its own key under another name is refused', () => {
    const renamed = openssl((call, directory) => {
      const key = ['-newkey', ...P256, '-nodes', '-keyout', 'k.key'];
      call('req', '-x509', ...key, '-out', 'ca.pem', '-subj', '/O=someone', '-days', '1');
      call('req', '-new', '-key', 'k.key', '-out', 'k.csr', '-subj', '/O=admin');
      writeFileSync(join(directory, 'ext'), CLIENT_EXTENSIONS.join('\n'));
      const signing = ['-CA', 'ca.pem', '-CAkey', 'k.key', '-CAcreateserial', '-days', '1'];
      call('x509', '-req', '-in', 'k.csr', ...signing, '-extfile', 'ext', '-out', 'renamed.pem');
      return new X509Certificate(call('x509', '-in', 'renamed.pem')).raw;
    });
    assert.match(outcome(renamed), /issuer and subject differ/);
  });

  it('cut at any byte is refused and never throws', () => {
    const { der } = makeCertificate();
    for (let length = 0; length < der.length; length += 1) {
      assert.match(outcome(der.subarray(0, length)), /cannot be read/);
    }
  });

  it('with trailing bytes or too large is refused', () => {
    const { der } = makeCertificate();
    assert.match(outcome(Buffer.concat([der, Buffer.of(0)])), /cannot be read/);
    assert.match(outcome(Buffer.alloc(8_193)), /at most 8192/);
  });

  it('with any one bit flipped is never accepted as it was', () => {
    const { der } = makeCertificate();
    const original = judgeClientCertificate(der, options);
    assert.equal(original.kind, 'acceptable');
    for (let bit = 0; bit < der.length * 8; bit += 3) {
      const changed = Uint8Array.from(der);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.notEqual(outcome(changed), 'acceptable', `bit ${bit}`);
    }
  });
});
