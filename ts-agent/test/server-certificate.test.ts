import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes, sign, X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  addressBytes,
  serverCertificate,
  serverCertificateToSign,
} from '@keelos/ts-agent/core/server-certificate.ts';
import { readCertificate } from '@keelos/ts-agent/core/x509.ts';
import { openssl } from './openssl-certificates.ts';

function make(notBeforeMs: number, serial: Uint8Array = randomBytes(16)): Uint8Array {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const toSign = serverCertificateToSign({
    publicKey: publicKey.export({ type: 'spki', format: 'der' }),
    serial,
    hostname: 'keel-1',
    addresses: ['10.0.2.15', 'fe80::1:2', 'not an address'],
    notBeforeMs,
  });
  return serverCertificate(toSign, sign('sha256', toSign, privateKey));
}

describe('server certificate', () => {
  it('is what openssl expects of a server', () => {
    openssl((call, directory) => {
      const der = make(Date.UTC(2026, 0, 2, 3, 4, 5));
      writeFileSync(join(directory, 'c.pem'), new X509Certificate(der).toString());
      assert.match(
        call(
          'verify',
          '-x509_strict',
          '-purpose',
          'sslserver',
          '-CAfile',
          'c.pem',
          '-attime',
          '1800000000',
          '-verify_ip',
          '10.0.2.15',
          'c.pem',
        ),
        /OK/,
      );
      assert.match(
        call(
          'verify',
          '-CAfile',
          'c.pem',
          '-attime',
          '1800000000',
          '-verify_hostname',
          'keelos-node',
          'c.pem',
        ),
        /OK/,
      );
      const text = call('x509', '-in', 'c.pem', '-noout', '-text');
      assert.match(text, /Not Before: Jan {2}2 03:04:05 2026 GMT/);
      assert.match(text, /Not After : Jan {2}2 03:04:05 2051 GMT/);
      assert.match(
        text,
        /DNS:keelos-node, DNS:keel-1, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, IP Address:10.0.2.15, IP Address:FE80:0:0:0:0:0:1:2/i,
      );
      assert.match(text, /Subject: O = KeelOS, CN = keel-1/);
    });
  });

  it('is read back by our own reader, whatever the serial number begins with', () => {
    for (const first of [0, 0x7f, 0x80, 0xff]) {
      const serial = Uint8Array.from({ length: 16 }, (_, index) => (index < 2 ? first : 7));
      const der = make(Date.UTC(2026, 0), serial);
      const facts = readCertificate(der);
      assert.equal(facts.version, 3);
      assert.equal(facts.selfIssued, true);
      assert.equal(facts.notAfterMs, Date.UTC(2051, 0));
      const parsed = new X509Certificate(der);
      assert.equal(parsed.verify(parsed.publicKey), true);
    }
  });

  it('takes addresses that are addresses', () => {
    const hex = (address: string) => Buffer.from(addressBytes(address) ?? []).toString('hex');
    const cases: readonly (readonly [string, string])[] = [
      ['1.2.3.4', '01020304'],
      ['256.2.3.4', ''],
      ['::', '0'.repeat(32)],
      ['::1', `${'0'.repeat(31)}1`],
      ['2001:db8::ff00:42:8329', '20010db8000000000000ff0000428329'],
      ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
      ['1:2:3:4:5:6:7', ''],
      ['1::2::3', ''],
      ['1:2:3:4:5:6:7:8:9', ''],
      ['fe80::1%eth0', ''],
    ];
    for (const [address, expected] of cases) assert.equal(hex(address), expected, address);
  });
});
