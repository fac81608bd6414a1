/** docs/reference/squashfs-verifier.md says of every status what the code says. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Status } from '../src/status.ts';
import { refusal } from './status-refusal.ts';

const PAGE = new URL('../../docs/reference/squashfs-verifier.md', import.meta.url);
const ASSEMBLY = new URL('../assembly/status.ts', import.meta.url);
const ROW = /^\| `([a-z-]+)` \| (\d+) \| (.+) \| (.+) \|$/;

describe('the page about the SquashFS verifier', () => {
  const statuses = Object.entries(Status).filter(([name]) => name.startsWith('squashfs'));
  const rows = readFileSync(PAGE, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, code = '', status = '', what = ''] = ROW.exec(line) ?? [];
      return code === '' ? [] : [{ code, status: Number(status), what }];
    });

  it('has one row for each status, with its message', () => {
    const expected = statuses.map(([, status]) => {
      const { code, message } = refusal(status);
      return { code, status, what: message.replace('Cannot read: ', '') };
    });
    assert.ok(expected.length > 60);
    assert.deepEqual(rows, expected);
  });

  it('knows the same numbers as the module', () => {
    const text = readFileSync(ASSEMBLY, 'utf8');
    const found = [...text.matchAll(/STATUS_(SQUASHFS_\w+): i32 = (\d+);/g)].map(
      ([, name = '', status]) => {
        const code = name.toLowerCase().replaceAll('_', '-');
        return { code, status: Number(status) };
      },
    );
    assert.deepEqual(
      found,
      rows.map(({ code, status }) => ({ code, status })),
    );
  });
});
