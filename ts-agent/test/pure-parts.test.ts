import assert from 'node:assert/strict';
import { KeelError } from '@keelos/proto/errors.ts';
import { decideAccess, ENROL_METHOD } from '@keelos/ts-agent/core/access.ts';
import { admitProven, connectionToClose } from '@keelos/ts-agent/core/admission.ts';
import { failedCall } from '@keelos/ts-agent/core/error-status.ts';
import { fatShape } from '@keelos/ts-agent/core/fat-shape.ts';
import { parseKmsgRecord } from '@keelos/ts-agent/core/kmsg-record.ts';
import type { Operator } from '@keelos/ts-agent/core/operators.ts';
import { OPERATORS_MAX, operatorsFrom, withOperator } from '@keelos/ts-agent/core/operators.ts';
import {
  chosenWord,
  parseCommandLine,
  parseKilobytes,
  parseMountinfo,
  parseStat,
  rootHashOf,
} from '@keelos/ts-agent/core/proc-text.ts';
import { parseSntpAnswer, sntpRequest } from '@keelos/ts-agent/core/sntp.ts';
import type { Buckets } from '@keelos/ts-agent/core/token-bucket.ts';
import { takeToken } from '@keelos/ts-agent/core/token-bucket.ts';
import fc from 'fast-check';

const HASH = 'ab'.repeat(32);

describe('access', () => {
  const operator: Operator = {
    fingerprint: 'aa',
    certificate: '',
    subject: 'CN=ann',
    notBeforeMs: 1_000,
    notAfterMs: 2_000,
    enrolledAtMs: 1_000,
    enrolledBy: 'token',
  };
  const shown = { fingerprint: 'aa', subject: 'CN=ann' };
  const other = '/keel.v1.SystemService/GetVersion';
  const cases = [
    ['enrolled', other, shown, operator, 1_500, 'operator'],
    ['enrolled, last moment', other, shown, operator, 2_000, 'operator'],
    ['enrolled, not valid yet', other, shown, operator, 0, 'operator'],
    ['expired', other, shown, operator, 2_001, 'E_CERTIFICATE_EXPIRED'],
    ['expired, enrols again', ENROL_METHOD, shown, operator, 2_001, 'nobody'],
    ['unknown', other, shown, undefined, 1_500, 'E_NOT_ENROLLED'],
    ['unknown, enrols', ENROL_METHOD, shown, undefined, 1_500, 'nobody'],
    ['no certificate', other, undefined, undefined, 1_500, 'E_NO_CLIENT_CERTIFICATE'],
    [
      'no certificate, renews',
      '/keel.v1.EnrolmentService/Renew',
      undefined,
      undefined,
      0,
      'E_NO_CLIENT_CERTIFICATE',
    ],
    [
      'no certificate, reflects',
      '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
      undefined,
      undefined,
      0,
      'E_NO_CLIENT_CERTIFICATE',
    ],
  ] as const;
  for (const [name, method, cert, entry, nowMs, expected] of cases) {
    it(`${name}: ${expected}`, () => {
      const found = decideAccess({ method, shown: cert, operator: entry, nowMs });
      assert.equal(found instanceof KeelError ? found.code : found.kind, expected);
    });
  }

  it("names the certificate, its end and the node's time", () => {
    const error = decideAccess({ method: other, shown, operator, nowMs: 3_000 });
    assert.ok(error instanceof KeelError);
    assert.match(
      error.message,
      /"CN=ann" \(SHA-256 aa\) expired at 1970-01-01T00:00:02.000Z, the node's time is 1970-01-01T00:00:03/,
    );
    assert.match(error.hint, /osctl init bootstrap/);
  });
});

describe('operators', () => {
  const entry = (fingerprint: string): Operator => ({
    fingerprint,
    certificate: '',
    subject: '',
    notBeforeMs: 0,
    notAfterMs: 1,
    enrolledAtMs: 0,
    enrolledBy: 'token',
  });

  it('are at most 64, and one certificate counts once', () => {
    const full = Array.from({ length: OPERATORS_MAX }, (_, index) => entry(String(index)));
    assert.equal(withOperator(full, entry('new')), undefined);
    assert.equal(withOperator(full, entry('5'))?.length, OPERATORS_MAX);
  });

  it('are not read from anything else', () => {
    const empty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
    assert.equal(operatorsFrom({ operators: [entry(empty)] })?.length, 1);
    for (const wrong of [
      null,
      [],
      {},
      { operators: {} },
      { operators: [null] },
      { operators: [entry('ff')] },
      { operators: [{ ...entry(empty), notAfterMs: 'x' }] },
    ]) {
      assert.equal(operatorsFrom(wrong), undefined);
    }
  });
});

describe('rates and connections', () => {
  it('a caller gets its burst, then its rate, and never more', () => {
    const shape = { capacity: 3, refillPerSecond: 2, keysMax: 4 };
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 900 }), { maxLength: 80 }), (waits) => {
        let buckets: Buckets = new Map();
        let nowMs = 0;
        let taken = 0;
        for (const wait of waits) {
          nowMs += wait;
          const result = takeToken(buckets, shape, { key: 'a', nowMs });
          buckets = result.buckets;
          if (result.isTaken) taken += 1;
        }
        assert.ok(taken <= 3 + (nowMs * 2) / 1000 + 1e-6);
        assert.ok(taken >= Math.min(3, waits.length));
      }),
    );
  });

  it('remembers a bounded number of callers', () => {
    const shape = { capacity: 1, refillPerSecond: 1, keysMax: 4 };
    let buckets: Buckets = new Map();
    for (let index = 0; index < 50; index += 1) {
      buckets = takeToken(buckets, shape, { key: `k${index}`, nowMs: 0 }).buckets;
    }
    assert.deepEqual([...buckets.keys()], ['k46', 'k47', 'k48', 'k49']);
  });

  it('of the proven, the one with the most gives way, and one alone is bounded', () => {
    const limits = { provenPerCertificateMax: 3, provenMax: 4 };
    const open = ['a', 'b', 'b', 'b'].map((fingerprint, id) => ({ fingerprint, id }));
    assert.equal(admitProven(open, 'a', limits).toClose?.id, 1);
    assert.equal(admitProven(open, 'b', limits).isAdmitted, false);
    assert.deepEqual(admitProven(open.slice(1), 'a', limits), { isAdmitted: true });
  });

  it('the oldest connection that proved nothing goes', () => {
    const limits = { unprovenPerAddressMax: 2, unprovenMax: 3 };
    const open = (...list: readonly [string, boolean][]) =>
      list.map(([address, isProven], id) => ({ id, address, isProven }));
    const goes = (list: ReturnType<typeof open>, address: string) =>
      connectionToClose(list, address, limits)?.id;
    assert.equal(goes(open(['a', false]), 'a'), undefined);
    assert.equal(goes(open(['b', false], ['a', true], ['a', false], ['a', false]), 'a'), 2);
    assert.equal(goes(open(['a', false], ['b', false], ['c', false]), 'd'), 0);
    assert.equal(goes(open(['a', true], ['a', true], ['a', true]), 'a'), undefined);
  });
});

describe('error mapper', () => {
  it('passes on what KeelOS says and hides what it does not', () => {
    const known = failedCall(new KeelError('E_NOT_FOUND', 'Cannot find x: no'), 'id');
    assert.deepEqual(
      [known.code, known.status, known.message, known.logged],
      ['E_NOT_FOUND', 5, 'Cannot find x: no', undefined],
    );
    const unknown = failedCall(new Error('secret path /x'), 'c0ffee');
    assert.equal(unknown.code, 'E_INTERNAL');
    assert.doesNotMatch(JSON.stringify({ ...unknown, logged: '' }), /secret/);
    assert.match(unknown.message, /c0ffee/);
    assert.match(unknown.logged ?? '', /c0ffee.*secret path/);
    assert.equal(failedCall(AbortSignal.abort().reason, '').code, 'E_CANCELLED');
  });
});

describe('kernel texts', () => {
  it('kmsg records, with dictionary, escapes and nonsense', () => {
    const read = (text: string) => parseKmsgRecord(Buffer.from(text));
    assert.deepEqual(
      read('30,7,1234567,-,caller=T1;tab \\x09 and \\xc3\\xa9 end\n SUBSYSTEM=x\n'),
      {
        sequence: 7n,
        monotonicUs: 1234567n,
        priority: 6,
        facility: 3,
        message: 'tab \t and é end',
      },
    );
    assert.equal(read('6,1,2,-;')?.message, '');
    for (const wrong of ['', ';', '6,1,2', 'x,1,2,-;a', '6,1,2,-'])
      assert.equal(read(wrong), undefined);
  });

  it('mountinfo', () => {
    const [root, space] = parseMountinfo(
      '21 1 254:0 / / ro,relatime - squashfs /dev/root ro,errors=continue\n40 21 0:30 / /a\\040b rw,nosuid shared:1 - tmpfs tmpfs rw\nbroken\n',
    );
    assert.deepEqual(root, {
      mountPoint: '/',
      device: '254:0',
      type: 'squashfs',
      source: '/dev/root',
      options: ['ro', 'relatime'],
      superOptions: ['ro', 'errors=continue'],
    });
    assert.equal(space?.mountPoint, '/a b');
  });

  it('meminfo, stat, lockdown, command line', () => {
    assert.equal(
      parseKilobytes('MemTotal:       2048 kB\nHugePages_Total:       0\n').get('MemTotal'),
      2_097_152,
    );
    assert.deepEqual(parseStat('12 (a) b)) S 7 12 12'), { parentPid: 7 });
    assert.equal(parseStat('nonsense'), undefined);
    assert.equal(chosenWord('none [integrity] confidentiality\n'), 'integrity');
    const line = `ro dm-mod.create="root,,,ro,0 8 verity 1 PARTUUID=a PARTUUID=a 4096 4096 1 1 sha256 ${HASH} salt 1 x" init=/sbin/init`;
    assert.equal(parseCommandLine(line).get('init'), '/sbin/init');
    assert.equal(rootHashOf(line), HASH);
    assert.equal(rootHashOf(`keel.slot-hash=${'cd'.repeat(32)} ${line}`), 'cd'.repeat(32));
    assert.equal(rootHashOf('quiet'), '');
  });

  it('boot sectors', () => {
    const sector = Buffer.alloc(512);
    const refused = (reason: RegExp) => assert.throws(() => fatShape(sector), reason);
    refused(/no boot sector/);
    sector.writeUInt16LE(0xaa55, 510);
    refused(/sectors of 0 bytes/);
    sector.writeUInt16LE(512, 11);
    sector[13] = 3;
    refused(/clusters of 1536/);
    sector[13] = 8;
    // FAT16 keeps the size of its table elsewhere.
    refused(/a table of 0 bytes/);
    sector.writeUInt32LE(8193, 36);
    refused(/a table of 4194816 bytes/);
    sector.writeUInt32LE(64, 36);
    sector[16] = 3;
    refused(/3 allocation tables/);
    sector[16] = 2;
    refused(/0 bytes in all/);
    sector.writeUInt32LE(65_536, 32);
    assert.equal(fatShape(sector).clusterBytes, 4096);
    assert.throws(() => fatShape(sector.subarray(0, 100)), /no boot sector/);
  });
});

describe('SNTP', () => {
  const nonce = Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8]);
  const timeMs = Date.UTC(2026, 5, 1, 12, 0, 0, 500);
  const answer = (change: (message: Buffer) => void = () => undefined): Buffer => {
    const message = Buffer.alloc(48);
    message[0] = (4 << 3) | 4;
    message[1] = 2;
    message.set(nonce, 24);
    message.writeUInt32BE((Math.floor(timeMs / 1000) + 2_208_988_800) % 2 ** 32, 40);
    message.writeUInt32BE(0x8000_0000, 44);
    change(message);
    return message;
  };
  const verdict = (message: Uint8Array, roundTripMs = 100) => {
    const found = parseSntpAnswer(message, { nonce, roundTripMs, notBeforeMs: Date.UTC(2026, 0) });
    return found.kind === 'time' ? found.timeMs : found.reason;
  };

  it('asks without telling the time', () => {
    assert.equal(
      Buffer.from(sntpRequest(nonce)).toString('hex'),
      `23${'00'.repeat(39)}0102030405060708`,
    );
  });

  it('believes a good answer, half a round trip later', () => {
    assert.equal(verdict(answer()), timeMs + 50);
  });

  it('reads the era after 2036', () => {
    const late = Date.UTC(2040, 0);
    const message = answer((bytes) => {
      bytes.writeUInt32BE((late / 1000 + 2_208_988_800) % 2 ** 32, 40);
      bytes.writeUInt32BE(0, 44);
    });
    assert.equal(verdict(message, 0), late);
  });

  const refused: readonly (readonly [string, (message: Buffer) => void, RegExp])[] = [
    [
      'client mode',
      (m) => {
        m[0] = 0x23;
      },
      /not a server/,
    ],
    [
      'version 2',
      (m) => {
        m[0] = (2 << 3) | 4;
      },
      /version/,
    ],
    [
      'other nonce',
      (m) => {
        m[24] = 9;
      },
      /another question/,
    ],
    [
      'alarm',
      (m) => {
        m[0] = 0xc0 | (4 << 3) | 4;
      },
      /not synchronised/,
    ],
    [
      'kiss of death',
      (m) => {
        m[1] = 0;
        m.write('RATE', 12);
      },
      /kiss of death RATE/,
    ],
    [
      'stratum 16',
      (m) => {
        m[1] = 16;
      },
      /stratum 16/,
    ],
    [
      'no time',
      (m) => {
        m.writeUInt32BE(0, 40);
      },
      /no transmit/,
    ],
    [
      'before the build',
      (m) => {
        m.writeUInt32BE(3_900_000_000, 40);
      },
      /before the image/,
    ],
  ];
  for (const [name, change, reason] of refused) {
    it(`refuses ${name}`, () => assert.match(String(verdict(answer(change))), reason));
  }
  it('refuses a slow or a short answer', () => {
    assert.match(String(verdict(answer(), 2_001)), /round trip/);
    assert.match(String(verdict(answer().subarray(0, 47))), /47 bytes/);
  });
});
