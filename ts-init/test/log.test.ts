import assert from 'node:assert/strict';
import type { LogLine } from '@keelos/proto/init-control.ts';
import fc from 'fast-check';
import { createLineSplitter, cutBytes } from '../src/core/line-splitter.ts';
import { createLogRing } from '../src/core/log-ring.ts';
import { kernelRecord } from '../src/sys/kmsg.ts';

function split(chunks: readonly Uint8Array[], lineBytesMax: number): string[] {
  const splitter = createLineSplitter(lineBytesMax);
  return [...chunks.flatMap((chunk) => splitter.push(chunk)), ...splitter.end()];
}

describe('a record of the kernel log', () => {
  const cases: readonly [text: string, bytesMax: number, cut: string][] = [
    ['abc', 3, 'abc'],
    ['abcd', 3, 'abc'],
    ['ééé', 6, 'ééé'],
    ['ééé', 5, 'éé'],
    ['a\u{1f600}b', 4, 'a'],
    ['a\u{1f600}b', 5, 'a\u{1f600}'],
  ];
  for (const [text, bytesMax, cut] of cases) {
    it(`"${text}" in ${bytesMax} bytes is "${cut}"`, () => {
      assert.equal(cutBytes(text, bytesMax), cut);
    });
  }

  it('is cut by bytes where the kernel counts bytes', () => {
    assert.equal(Buffer.byteLength(kernelRecord(3, 'ü'.repeat(2000))), 3 + 11 + 900 + 1);
  });
});

describe('line splitter', () => {
  const cases: readonly (readonly [bytes: string, lines: readonly string[]])[] = [
    ['', []],
    ['a', ['a']],
    ['a\n', ['a']],
    ['a\n\nb', ['a', '', 'b']],
    ['\n', ['']],
    ['12345678\n', ['12345678']],
    ['123456789\n', ['12345678', '9']],
    ['1234567812345678', ['12345678', '12345678']],
    ['1234567é9\n', ['1234567', 'é9']],
    ['12345€\n', ['12345€']],
    ['123456€\n', ['123456', '€']],
  ];
  for (const [bytes, lines] of cases) {
    it(`cuts ${JSON.stringify(bytes)} into ${JSON.stringify(lines)}`, () => {
      assert.deepEqual(split([Buffer.from(bytes)], 8), lines);
    });
  }

  it('gives the same lines at every split point', () => {
    const bytes = Buffer.from('one\ntwo €uro and longer\r\n\nx\xff1234567890123é\n\nlast');
    const whole = split([bytes], 8);
    for (let at = 0; at <= bytes.length; at += 1) {
      for (let then = at; then <= bytes.length; then += 1) {
        const chunks = [bytes.subarray(0, at), bytes.subarray(at, then), bytes.subarray(then)];
        assert.deepEqual(split(chunks, 8), whole, `split at ${at} and ${then}`);
      }
    }
  });

  it('property: no line exceeds the limit, whatever the bytes', () => {
    const chunk = fc.uint8Array({ maxLength: 200 });
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 10 }), (chunks) => {
        const all = Buffer.concat(chunks);
        const lines = split(chunks, 16);
        assert.deepEqual(lines, split([all], 16));
        for (const line of lines) assert.ok([...line].length <= 16);
      }),
    );
  });
});

describe('log ring', () => {
  const line = (text: string): LogLine => ({ timeMs: 1, stream: 'stdout', line: text });
  const texts = (lines: readonly LogLine[]) => lines.map((one) => one.line);

  it('keeps the last lines and gives a tail', () => {
    const ring = createLogRing({ linesMax: 3, bytesMax: 10_000 });
    for (const text of ['a', 'b', 'c', 'd']) ring.push(line(text));
    assert.deepEqual(texts(ring.tail()), ['b', 'c', 'd']);
    assert.deepEqual(texts(ring.tail(2)), ['c', 'd']);
    assert.deepEqual(texts(ring.tail(0)), []);
    assert.deepEqual(texts(ring.tail(99)), ['b', 'c', 'd']);
  });

  it('does not keep a line that is larger than the whole ring', () => {
    const ring = createLogRing({ linesMax: 3, bytesMax: 100 });
    ring.push(line('x'.repeat(200)));
    assert.deepEqual(ring.size(), { lines: 0, bytes: 0 });
    ring.push(line('y'));
    assert.deepEqual(texts(ring.tail()), ['y']);
  });

  it('property: stays within both bounds and holds the newest lines', () => {
    const limits = { linesMax: 7, bytesMax: 700 };
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 150 }), { maxLength: 60 }), (pushed) => {
        const ring = createLogRing(limits);
        for (const text of pushed) {
          ring.push(line(text));
          const { lines, bytes } = ring.size();
          assert.ok(lines <= limits.linesMax && bytes <= limits.bytesMax && bytes >= 0);
        }
        const kept = texts(ring.tail());
        assert.deepEqual(kept, kept.length === 0 ? [] : pushed.slice(-kept.length));
      }),
    );
  });
});
