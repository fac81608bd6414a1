import assert from 'node:assert/strict';
import { KeelError } from '@keelos/proto/errors.ts';
import type { AnswerVerdict, Asked, Seen } from '@keelos/ts-agent/core/http-answer.ts';
import { judgeAnswer, rangeHeaders } from '@keelos/ts-agent/core/http-answer.ts';
import type { HttpStage } from '@keelos/ts-agent/core/http-failure.ts';
import { judgeFailure, plainReason, TIMED_OUT } from '@keelos/ts-agent/core/http-failure.ts';
import {
  afterFailure,
  FAILURES_IN_ROW_MAX,
  FAILURES_MAX,
  FRESH,
  PROGRESS_BYTES_MIN,
  WAIT_MS_MAX,
} from '@keelos/ts-agent/core/persistence.ts';
import {
  basicCredentials,
  parseSourceUrl,
  proxyFor,
  redirected,
  shownUrl,
} from '@keelos/ts-agent/core/source-address.ts';
import fc from 'fast-check';

const SEEN: Seen = { sizeBytes: 1000, etag: '"a"', lastModified: 'Mon' };

/** A verdict in one line. */
function told(verdict: AnswerVerdict): string {
  if (verdict.kind === 'bytes') return `to ${verdict.endBytes} of ${verdict.seen.sizeBytes}`;
  if (verdict.kind === 'redirect') return `-> ${verdict.location}`;
  const words = [verdict.code, verdict.isWorthRetry ? 'again' : '', verdict.isBusy ? 'busy' : ''];
  return words.filter((word) => word !== '').join(' ');
}

describe('answers to a question for a range', () => {
  const first: Asked = { offsetBytes: 0, lengthBytes: 1, seen: undefined };
  const later: Asked = { offsetBytes: 100, lengthBytes: 50, seen: SEEN };
  const blind: Asked = { ...later, seen: { sizeBytes: 1000, etag: '', lastModified: '' } };
  const dated: Asked = { ...later, seen: { ...SEEN, etag: '' } };
  const same = { etag: '"a"', 'last-modified': 'Mon' };
  const part = { ...same, 'content-range': 'bytes 100-149/1000' };
  const rows: readonly (readonly [
    name: string,
    asked: Asked,
    status: number,
    headers: Record<string, string>,
    expected: string,
  ])[] = [
    ['the first byte', first, 206, { 'content-range': 'bytes 0-0/1000' }, 'to 1 of 1000'],
    [
      'its length',
      first,
      206,
      { 'content-range': 'bytes 0-0/9', 'content-length': '1' },
      'to 1 of 9',
    ],
    ['no size', first, 206, { 'content-range': 'bytes 0-0/*' }, 'E_SOURCE_WITHOUT_RANGES'],
    ['the whole file', first, 200, {}, 'E_SOURCE_WITHOUT_RANGES'],
    ['an empty file', first, 416, { 'content-range': 'bytes */0' }, 'E_BUNDLE_TRUNCATED'],
    ['no range named', first, 206, {}, 'E_SOURCE_ANSWER'],
    [
      'many ranges',
      first,
      206,
      { 'content-type': 'multipart/byteranges; boundary=x' },
      'E_SOURCE_ANSWER',
    ],
    ['another unit', first, 206, { 'content-range': 'lines 0-0/1000' }, 'E_SOURCE_ANSWER'],
    ['a range beyond the size', first, 206, { 'content-range': 'bytes 0-0/0' }, 'E_SOURCE_ANSWER'],
    [
      'a number too large',
      first,
      206,
      { 'content-range': `bytes 0-0/${'9'.repeat(16)}` },
      'E_SOURCE_ANSWER',
    ],
    [
      'compressed',
      first,
      206,
      { 'content-range': 'bytes 0-0/9', 'content-encoding': 'gzip' },
      'E_SOURCE_ANSWER',
    ],
    ['a range', later, 206, part, 'to 150 of 1000'],
    [
      'a part of the range',
      later,
      206,
      { ...same, 'content-range': 'bytes 100-119/1000' },
      'to 120 of 1000',
    ],
    [
      'more than the range',
      later,
      206,
      { ...same, 'content-range': 'bytes 100-150/1000' },
      'E_SOURCE_LONG',
    ],
    ['a longer body', later, 206, { ...part, 'content-length': '51' }, 'E_SOURCE_LONG'],
    ['a shorter body', later, 206, { ...part, 'content-length': '49' }, 'E_SOURCE_ANSWER'],
    ['a body of no length', later, 206, { ...part, 'content-length': '-' }, 'E_SOURCE_ANSWER'],
    [
      'another beginning',
      later,
      206,
      { ...same, 'content-range': 'bytes 99-149/1000' },
      'E_SOURCE_ANSWER',
    ],
    [
      'an upside-down range',
      later,
      206,
      { ...same, 'content-range': 'bytes 100-98/1000' },
      'E_SOURCE_ANSWER',
    ],
    [
      'another size',
      later,
      206,
      { ...same, 'content-range': 'bytes 100-149/1001' },
      'E_SOURCE_CHANGED',
    ],
    ['another tag', later, 206, { ...part, etag: '"b"' }, 'E_SOURCE_CHANGED'],
    ['no tag any more', later, 206, { 'content-range': 'bytes 100-149/1000' }, 'E_SOURCE_CHANGED'],
    ['another date, same tag', later, 206, { ...part, 'last-modified': 'Tue' }, 'to 150 of 1000'],
    [
      'another date, no tag',
      dated,
      206,
      { 'content-range': 'bytes 100-149/1000', 'last-modified': 'Tue' },
      'E_SOURCE_CHANGED',
    ],
    ['no date any more', dated, 206, { 'content-range': 'bytes 100-149/1000' }, 'to 150 of 1000'],
    ['the whole of another file', later, 200, {}, 'E_SOURCE_CHANGED'],
    ['the whole file, unasked', blind, 200, {}, 'E_SOURCE_WITHOUT_RANGES'],
    ['a file that has shrunk', later, 416, {}, 'E_SOURCE_CHANGED'],
    ['a failed condition', later, 412, {}, 'E_SOURCE_CHANGED'],
    ['no content', later, 204, {}, 'E_SOURCE_ANSWER'],
    ['not modified', later, 304, {}, 'E_SOURCE_ANSWER'],
    ['a choice', later, 300, {}, 'E_SOURCE_ANSWER'],
    ['moved', first, 301, { location: '/b' }, '-> /b'],
    ['moved for now', first, 302, { location: '/b' }, '-> /b'],
    ['see other', first, 303, { location: '/b' }, '-> /b'],
    ['moved, same method', first, 307, { location: '/b' }, '-> /b'],
    ['moved for good', first, 308, { location: '/b' }, '-> /b'],
    ['moved nowhere', first, 302, {}, 'E_SOURCE_REDIRECT'],
    ['not authorised', first, 401, {}, 'E_SOURCE_REFUSED'],
    ['forbidden', first, 403, {}, 'E_SOURCE_REFUSED'],
    ['no file', first, 404, {}, 'E_SOURCE_NOT_FOUND'],
    ['gone', first, 410, {}, 'E_SOURCE_NOT_FOUND'],
    ['a proxy that wants to know who', first, 407, {}, 'E_SOURCE_REFUSED'],
    ['request timeout', first, 408, {}, 'E_SOURCE_FAULT again'],
    ['too many requests', first, 429, {}, 'E_SOURCE_FAULT again'],
    ['a fault', first, 500, {}, 'E_SOURCE_FAULT again'],
    ['not available', later, 503, {}, 'E_SOURCE_FAULT again'],
    ['at work on it', later, 503, { 'retry-after': '15' }, 'E_SOURCE_FAULT again busy'],
    ['no status at all', first, 0, {}, 'E_SOURCE_ANSWER'],
  ];
  for (const [name, asked, status, headers, expected] of rows) {
    it(`${status}: ${name}`, () =>
      assert.equal(told(judgeAnswer({ status, headers }, asked)), expected));
  }

  it('the question has the condition that the validators allow', () => {
    const condition = (seen: Seen | undefined) =>
      rangeHeaders({ offsetBytes: 5, lengthBytes: 10, seen })['if-range'];
    assert.equal(rangeHeaders(later).range, 'bytes=100-149');
    assert.equal(condition(undefined), undefined);
    assert.equal(condition(SEEN), '"a"');
    assert.equal(condition({ ...SEEN, etag: '' }), 'Mon');
    assert.equal(condition({ ...SEEN, etag: 'W/"a"' }), undefined, 'a weak tag is no condition');
    assert.equal(condition({ ...SEEN, etag: '', lastModified: '' }), undefined);
  });

  it('never takes bytes that were not asked for, whatever the headers say', () => {
    const range = fc.tuple(fc.nat(200), fc.nat(200), fc.nat(200));
    fc.assert(
      fc.property(range, fc.option(fc.nat(200)), ([from, to, size], length) => {
        const headers = {
          'content-range': `bytes ${from}-${to}/${size}`,
          ...(length === null ? {} : { 'content-length': String(length) }),
        };
        const asked = { offsetBytes: 50, lengthBytes: 50, seen: undefined };
        const verdict = judgeAnswer({ status: 206, headers }, asked);
        if (verdict.kind !== 'bytes') return;
        assert.ok(from === 50 && verdict.endBytes > 50 && verdict.endBytes <= 100);
        assert.ok(verdict.endBytes <= size && (length ?? to + 1 - from) === to + 1 - from);
      }),
    );
  });
});

describe('failures of a connection', () => {
  const rows: readonly (readonly [code: string, stage: HttpStage, expected: string])[] = [
    ['ECONNREFUSED', 'connect', 'E_SOURCE_UNREACHABLE again'],
    ['ENOTFOUND', 'connect', 'E_SOURCE_UNREACHABLE again'],
    ['ECONNRESET', 'connect', 'E_SOURCE_UNREACHABLE again'],
    ['ECONNRESET', 'answer', 'E_SOURCE_UNREACHABLE again'],
    ['ECONNRESET', 'body', 'E_SOURCE_SHORT again'],
    ['', 'body', 'E_SOURCE_SHORT again'],
    [TIMED_OUT, 'connect', 'E_SOURCE_TIMEOUT again'],
    [TIMED_OUT, 'body', 'E_SOURCE_TIMEOUT again'],
    ['CERT_HAS_EXPIRED', 'connect', 'E_SOURCE_UNTRUSTED'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'connect', 'E_SOURCE_UNTRUSTED'],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'connect', 'E_SOURCE_UNTRUSTED'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'connect', 'E_SOURCE_UNTRUSTED'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'connect', 'E_SOURCE_ANSWER'],
    ['EPROTO', 'connect', 'E_SOURCE_ANSWER'],
    ['HPE_INVALID_CONSTANT', 'answer', 'E_SOURCE_ANSWER'],
    ['HPE_HEADER_OVERFLOW', 'answer', 'E_SOURCE_ANSWER'],
    ['HPE_INVALID_EOF_STATE', 'answer', 'E_SOURCE_UNREACHABLE again'],
    ['ERR_SSL_BAD_RECORD_TYPE', 'body', 'E_SOURCE_SHORT again'],
  ];
  for (const [code, stage, expected] of rows) {
    it(`${code === '' ? '(none)' : code} while waiting for the ${stage}`, () => {
      const verdict = judgeFailure(code, stage);
      assert.equal(`${verdict.code}${verdict.isWorthRetry ? ' again' : ''}`, expected);
    });
  }
});

describe('what is said of a failure', () => {
  const rows: readonly (readonly [message: string, said: string])[] = [
    ['connect ECONNREFUSED 127.0.0.1:1', 'connect ECONNREFUSED 127.0.0.1:1'],
    [
      'self-signed certificate; if the root CA is installed locally, try running Node.js with x',
      'self-signed certificate',
    ],
    [
      '405D:error:0A00010B:SSL routines:tls_validate_record_header:wrong version number:a.c:77:\n',
      'TLS: wrong version number',
    ],
    ['queryAaaa ENOTFOUND h.invalid', 'the name servers give no address of h.invalid (ENOTFOUND)'],
    ['one\ntwo', 'one'],
    ['', ''],
  ];
  for (const [message, said] of rows) {
    it(JSON.stringify(said), () => assert.equal(plainReason(message), said));
  }
});

describe('persistence', () => {
  const inRowMax = FAILURES_IN_ROW_MAX;

  it('waits longer each time, and gives up', () => {
    const waits: number[] = [];
    let persistence = FRESH;
    for (;;) {
      const next = afterFailure(persistence, { gainedBytes: 0, inRowMax });
      if (next.kind === 'give-up') break;
      waits.push(next.waitMs);
      persistence = next.persistence;
    }
    assert.equal(waits.length, FAILURES_IN_ROW_MAX - 1);
    assert.deepEqual(waits.slice(0, 4), [500, 1_000, 2_000, 4_000]);
    assert.equal(waits.at(-1), WAIT_MS_MAX);
  });

  it('begins anew after progress, and yet not for ever', () => {
    const after = (gainedBytes: number) =>
      afterFailure({ inRow: 5, all: 5 }, { gainedBytes, inRowMax });
    const waitOf = (gainedBytes: number) => {
      const next = after(gainedBytes);
      return next.kind === 'again' ? next.waitMs : 'none';
    };
    assert.equal(waitOf(PROGRESS_BYTES_MIN), 500);
    assert.equal(waitOf(PROGRESS_BYTES_MIN - 1), 16_000);
    let persistence = FRESH;
    let failures = 1;
    for (; failures <= 2 * FAILURES_MAX; failures += 1) {
      const next = afterFailure(persistence, { gainedBytes: PROGRESS_BYTES_MIN, inRowMax });
      if (next.kind === 'give-up') break;
      persistence = next.persistence;
    }
    assert.equal(failures, FAILURES_MAX);
  });
});

describe('addresses of bundles', () => {
  it('only http and https, and no secret in what is said', () => {
    const wrong = [
      '',
      'bundle',
      'ftp://h/x',
      'file:///etc/passwd',
      'http://',
      'https://u:geheim@:1/',
    ];
    for (const text of [...wrong, `http://h/${'x'.repeat(5_000)}`]) {
      assert.throws(
        () => parseSourceUrl(text),
        (error: unknown) =>
          error instanceof KeelError &&
          error.code === 'E_INVALID_ARGUMENT' &&
          !error.message.includes('geheim') &&
          error.cause === undefined,
        text,
      );
    }
    const url = parseSourceUrl('https://u:geheim@h.example:8443/a/b?token=geheim#x');
    assert.equal(shownUrl(url), 'https://h.example:8443/a/b');
  });

  const redirects: readonly (readonly [from: string, to: string, expected: string])[] = [
    ['http://a/x', '/y', 'http://a/y'],
    ['http://a/x', 'https://b/y', 'https://b/y'],
    ['http://u:p@a/x', 'y', 'http://u:p@a/y'],
    ['http://u:p@a/x', 'http://a/y', 'http://u:p@a/y'],
    ['http://u:p@a/x', 'http://a:81/y', 'http://a:81/y'],
    ['http://u:p@a/x', 'https://a/y', 'https://a/y'],
    ['http://u:p@a/x', 'http://b/y', 'http://b/y'],
    ['https://a/x', 'http://a/y', 'E_SOURCE_REDIRECT'],
    ['http://a/x', 'ftp://a/y', 'E_SOURCE_REDIRECT'],
    ['http://a/x', 'http://[/', 'E_SOURCE_REDIRECT'],
    ['http://a/x', `/${'y'.repeat(5_000)}`, 'E_SOURCE_REDIRECT'],
  ];
  for (const [from, to, expected] of redirects) {
    it(`redirected from ${from} to ${to.slice(0, 20)}`, () => {
      const follow = () => redirected(new URL(from), to).href;
      if (expected.startsWith('http')) assert.equal(follow(), expected);
      else
        assert.throws(
          follow,
          (error: unknown) => error instanceof KeelError && error.code === expected,
        );
    });
  }

  it('credentials as RFC 7617 has them', () => {
    const header = (text: string) => basicCredentials(new URL(text));
    assert.equal(header('http://h/'), undefined);
    assert.equal(header('http://Aladdin:open%20sesame@h/'), 'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==');
    assert.equal(header('http://a%:b@h/'), `Basic ${Buffer.from('a%:b').toString('base64')}`);
  });

  const proxied: readonly (readonly [
    url: string,
    noProxy: readonly string[],
    isProxied: boolean,
  ])[] = [
    ['http://example.org/', [], true],
    ['http://example.org/', ['example.org'], false],
    ['http://EXAMPLE.org/', ['Example.ORG'], false],
    ['http://a.example.org/', ['example.org'], false],
    ['http://a.example.org/', ['.example.org'], false],
    ['http://badexample.org/', ['example.org'], true],
    ['http://192.0.2.7/', ['192.0.2.0/24'], false],
    ['http://192.0.3.7/', ['192.0.2.0/24'], true],
    ['http://192.0.2.7/', ['192.0.2.7'], false],
    ['http://192.0.2.7/', ['2.7'], true],
    ['http://[2001:db8::1]/', ['2001:DB8:0::1'], false],
    ['http://[2001:db8::1]/', ['2001:db8::/32'], false],
    ['http://[2001:db9::1]/', ['2001:db8::/32'], true],
  ];
  for (const [url, noProxy, isProxied] of proxied) {
    it(`${url} ${isProxied ? 'through' : 'without'} the proxy, exceptions ${noProxy.join(' ')}`, () => {
      const proxy = proxyFor(new URL(url), { proxy: 'http://p:3128', noProxy });
      assert.equal(proxy?.href, isProxied ? 'http://p:3128/' : undefined);
    });
  }
});
