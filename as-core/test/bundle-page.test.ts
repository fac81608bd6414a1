/** docs/reference/bundle-format.md says what the code says. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { FOOTER_BYTES, SIGNATURE_CONTEXT, TAIL_BYTES_MAX } from '@keelos/proto/bundle.ts';
import { FOOTER_FIELDS } from '@keelos/proto/bundle-writer.ts';
import { Status } from '../src/status.ts';
import { refusal } from './status-refusal.ts';

const PAGE = readFileSync(
  new URL('../../docs/reference/bundle-format.md', import.meta.url),
  'utf8',
);

describe('the page about the bundle', () => {
  it('has one row for each status, with its message', () => {
    const rows = [...PAGE.matchAll(/^\| `(bundle-[a-z-]+)` \| (\d+) \| (.+) \| `E_/gm)].map(
      ([, code, status, what]) => [code, Number(status), what],
    );
    const expected = Object.entries(Status)
      .filter(([name]) => name.startsWith('bundle'))
      .map(([, status]) => {
        const { code, message } = refusal(status);
        return [code, status, message.replace('Cannot read: ', '')];
      });
    assert.deepEqual(rows, expected);
  });

  it('has the fields of the footer, without a gap', () => {
    const rows = [...PAGE.matchAll(/^\| (\d+) \| (\d+) \| (\w+) \|/gm)].map(
      ([, at, size, name]) => ({
        at: Number(at),
        size: Number(size),
        name,
      }),
    );
    assert.deepEqual(Object.fromEntries(rows.map(({ at, name }) => [name, at])), FOOTER_FIELDS);
    let end = 0;
    for (const { at, size } of rows) {
      assert.equal(at, end);
      end += size;
    }
    assert.equal(end, FOOTER_BYTES);
  });

  it('has the numbers of the code', () => {
    assert.ok(PAGE.includes(`at most ${TAIL_BYTES_MAX.toLocaleString('en')} bytes`));
    assert.ok(PAGE.includes(`the ${SIGNATURE_CONTEXT.length} bytes`));
  });
});
