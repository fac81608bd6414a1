/** docs/reference/delta-format.md says what the code says. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { FOOTER_BYTES } from '@keelos/proto/bundle.ts';
import { FOOTER_FIELDS } from '@keelos/proto/bundle-writer.ts';
import {
  APPLY_MEMORY_BYTES_MAX,
  DELTA_MAGIC,
  DELTA_SIGNATURE_CONTEXT,
  PIECES_MAX,
  PlanKind,
  RUN_BYTES_MAX,
} from '@keelos/proto/delta.ts';
import { CANARY_BYTES, canaryBlock } from '@keelos/proto/delta-canary.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { deltaError } from '../src/delta.ts';
import { Status } from '../src/status.ts';
import { refusal } from './status-refusal.ts';

const PAGE = readFileSync(new URL('../../docs/reference/delta-format.md', import.meta.url), 'utf8');

describe('the page about the delta', () => {
  it('has one row for each status, with its message and its error', () => {
    const rows = [
      ...PAGE.matchAll(/^\| `(delta-[a-z-]+)` \| (\d+) \| (.+) \| `(E_\w+)` \|$/gm),
    ].map(([, code, status, what, error]) => [code, Number(status), what, error]);
    const expected = Object.entries(Status)
      .filter(([name]) => name.startsWith('delta'))
      .map(([, status]) => {
        const { code, message } = refusal(status);
        const error = deltaError(status);
        const name = error instanceof KeelError ? error.code : '';
        return [code, status, message.replace('Cannot read: ', ''), name];
      });
    const errors = (list: typeof rows) => list.map(([code]) => code);
    assert.deepEqual(errors(rows), errors(expected));
    assert.deepEqual(rows, expected);
  });

  it('has the fields of the footer, without a gap', () => {
    const rows = [...PAGE.matchAll(/^\| (\d+) \| (\d+) \| (\w+) \|/gm)].map(
      ([, at, size, name]) => ({
        ...{ at: Number(at), size: Number(size) },
        name: name === 'deltaBytes' ? 'bundleBytes' : name,
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

  it('has the kinds of steps', () => {
    const kinds = [...PAGE.matchAll(/^\| (\d) \| (\w+) \| `/gm)].map(([, number, name]) => [
      name,
      Number(number),
    ]);
    assert.deepEqual(kinds, Object.entries(PlanKind));
  });

  it('has the numbers of the code', () => {
    for (const text of [
      `\`${DELTA_MAGIC}\``,
      DELTA_SIGNATURE_CONTEXT.slice(0, -1),
      `\`memoryBytes\`, at most ${APPLY_MEMORY_BYTES_MAX}`,
      `\`runBytes\`, at most ${RUN_BYTES_MAX}`,
      `${PIECES_MAX.toLocaleString('en')} pieces`,
      `${CANARY_BYTES.toLocaleString('en')} bytes that everybody can make`,
    ]) {
      assert.ok(PAGE.includes(text), text);
    }
  });
});

describe('the canary', () => {
  it('is one block, the same each time', () => {
    assert.equal(canaryBlock().length, CANARY_BYTES);
    assert.ok(canaryBlock().equals(canaryBlock()));
  });
});
