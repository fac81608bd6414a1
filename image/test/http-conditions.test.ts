import assert from 'node:assert/strict';
import type { Decision, RequestHeaders } from '@keelos/image/core/http-conditions.ts';
import { decide, pathOf, takesGzip } from '@keelos/image/core/http-conditions.ts';
import fc from 'fast-check';

const ETAG = '"abc"';
const entity = { etag: ETAG, sizeBytes: 1000 };
const WHOLE: Decision = { status: 200 };
const part = (first: number, last: number): Decision => ({ status: 206, first, last });

describe('conditions and ranges of a request', () => {
  const rows: readonly (readonly [RequestHeaders, Decision])[] = [
    [{}, WHOLE],
    [{ range: 'bytes=0-0' }, part(0, 0)],
    [{ range: 'bytes=0-999' }, part(0, 999)],
    [{ range: 'bytes=0-1000' }, part(0, 999)],
    [{ range: 'bytes=999-' }, part(999, 999)],
    [{ range: 'bytes=-1' }, part(999, 999)],
    [{ range: 'bytes=-5000' }, part(0, 999)],
    [{ range: `bytes=0-${'9'.repeat(400)}` }, part(0, 999)],
    [{ range: 'BYTES = 1 - 2 ' }, part(1, 2)],
    [{ range: 'bytes=1000-' }, { status: 416 }],
    [{ range: `bytes=${'9'.repeat(400)}-` }, { status: 416 }],
    [{ range: 'bytes=-0' }, { status: 416 }],
    [{ range: 'bytes=5-4' }, WHOLE],
    [{ range: 'bytes=-' }, WHOLE],
    [{ range: 'bytes=0-1,5-6' }, WHOLE],
    [{ range: 'lines=0-1' }, WHOLE],
    [{ range: 'bytes=0x1-2' }, WHOLE],
    [{ range: 'bytes=0-1', 'if-range': ETAG }, part(0, 1)],
    [{ range: 'bytes=0-1', 'if-range': '"other"' }, WHOLE],
    [{ range: 'bytes=0-1', 'if-range': `W/${ETAG}` }, WHOLE],
    [{ range: 'bytes=0-1', 'if-range': 'Sat, 29 Oct 1994 19:43:31 GMT' }, WHOLE],
    [{ 'if-none-match': ETAG }, { status: 304 }],
    [{ 'if-none-match': `"x", W/${ETAG}` }, { status: 304 }],
    [{ 'if-none-match': '*' }, { status: 304 }],
    [{ 'if-none-match': '"x"' }, WHOLE],
    [{ 'if-none-match': ETAG, range: 'bytes=0-1' }, { status: 304 }],
    [{ 'if-match': '"x"' }, { status: 412 }],
    [{ 'if-match': `W/${ETAG}` }, { status: 412 }],
    [{ 'if-match': `"x", ${ETAG}`, range: 'bytes=0-1' }, part(0, 1)],
    [{ 'if-match': '*' }, WHOLE],
  ];
  for (const [headers, expected] of rows) {
    it(`${JSON.stringify(headers).slice(0, 70)}: ${expected.status}`, () => {
      assert.deepEqual(decide('GET', headers, entity), expected);
    });
  }

  it('know no range of a question for the head, and none of an empty file', () => {
    assert.deepEqual(decide('HEAD', { range: 'bytes=0-1' }, entity), WHOLE);
    const empty = { etag: ETAG, sizeBytes: 0 };
    assert.deepEqual(decide('GET', { range: 'bytes=0-' }, empty), { status: 416 });
    assert.deepEqual(decide('GET', { range: 'bytes=-5' }, empty), { status: 416 });
  });

  it('never lead out of the file, whatever is asked for', () => {
    const text = fc.string({ unit: fc.constantFrom(...'bytes=0123456789-, '), maxLength: 24 });
    const asked = fc.oneof(
      text,
      text.map((rest) => `bytes=${rest}`),
    );
    fc.assert(
      fc.property(asked, fc.integer({ min: 0, max: 100 }), (range, sizeBytes) => {
        const decision = decide('GET', { range }, { etag: ETAG, sizeBytes });
        if (decision.status !== 206) return;
        assert.ok(0 <= decision.first && decision.first <= decision.last);
        assert.ok(decision.last < sizeBytes);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('other parts of a request', () => {
  it('take gzip when the client does', () => {
    const rows: readonly (readonly [string | undefined, boolean])[] = [
      [undefined, false],
      ['', false],
      ['identity', false],
      ['gzip', true],
      ['br, GZIP;q=0.5', true],
      ['gzip;q=0', false],
      ['*', true],
      ['*;q=0', false],
      ['gzip;q=0, *', false],
      ['gzip;q=x', false],
    ];
    for (const [text, expected] of rows) {
      assert.equal(takesGzip({ 'accept-encoding': text }), expected, text);
    }
  });

  it('have a path, decoded and without a query', () => {
    const rows: readonly (readonly [string, string | undefined])[] = [
      ['/', '/'],
      ['/a%2Bb?x=/y#z', '/a+b'],
      ['http://host:80/a', '/a'],
      ['HTTPS://host/a?b', '/a'],
      ['*', undefined],
      ['host:443', undefined],
      ['/%zz', undefined],
      ['', undefined],
      ['/%2e%2e/x', '/../x'],
    ];
    for (const [target, expected] of rows) assert.equal(pathOf(target), expected, target);
  });
});
