import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readPage } from './docs/fences.ts';
import { readPages } from './docs/pages.ts';

const CHECKOUT = resolve(import.meta.dirname, '..');

const page = (...lines: string[]) => readPage('p.md', lines.join('\n'));

describe('docs: reading the commands of a page', () => {
  it('takes sh fences and leaves output and other languages alone', () => {
    const { blocks, problems } = page(
      '# x',
      '```sh',
      'osctl version',
      '```',
      '```text',
      'out',
      '```',
    );
    assert.deepEqual(problems, []);
    assert.equal(blocks.length, 1);
    assert.deepEqual(
      [blocks[0]?.line, blocks[0]?.kind, blocks[0]?.text, blocks[0]?.exit],
      [2, 'run', 'osctl version', 0],
    );
  });

  it('reads the words behind sh', () => {
    const { blocks, problems } = page(
      ...['```sh exit=7 last', 'a', '```', '```sh follow', 'b', '```'],
      ...['```sh norun=not-yet', 'c', '```', '```yaml file=n.yaml', 'k: v', '```'],
    );
    assert.deepEqual(problems, []);
    assert.deepEqual(
      blocks.map((block) => [block.kind, block.text, block.exit, block.isLast, block.file]),
      [
        ['run', 'a', 7, true, ''],
        ['follow', 'b', 0, false, ''],
        ['file', 'k: v', 0, false, 'n.yaml'],
      ],
    );
  });

  it('leaves out what another test runs, and says which', () => {
    const { blocks, claims, problems } = page('```sh tested-by=tests/x.test.ts', 'a', '```');
    assert.deepEqual([blocks, problems], [[], []]);
    assert.deepEqual(claims, [{ where: 'p.md:1', test: 'tests/x.test.ts', text: 'a' }]);
  });

  it('takes the indentation of a list item away', () => {
    const { blocks } = page('1. do', '   ```sh', '   a \\', '     b', '   ```');
    assert.equal(blocks[0]?.text, 'a \\\n  b');
  });

  it('does not end at a shorter fence', () => {
    const { blocks } = page('````sh', 'a', '```', 'b', '````');
    assert.equal(blocks[0]?.text, 'a\n```\nb');
  });

  it('reports what a writer got wrong, with the line', () => {
    const table: [string[], RegExp][] = [
      [['```bash', 'x', '```'], /p\.md:1: .*called sh/],
      [['', '```sh norun', 'x', '```'], /p\.md:2: "norun"/],
      [['```sh norun=because', 'x', '```'], /"norun=because"/],
      [['```sh', '$ x', '```'], /prompt/],
      [['```yaml file=../x', 'x', '```'], /plain file name/],
      [['```sh', 'x'], /not closed/],
    ];
    for (const [lines, expected] of table)
      assert.match(page(...lines).problems.join('\n'), expected);
  });
});

describe('docs: the pages of this checkout', () => {
  it('follow the convention, and the tests that they name exist', async () => {
    const pages = await readPages();
    assert.ok(pages.length > 5);
    assert.deepEqual(
      pages.flatMap(({ problems }) => problems),
      [],
    );
    const claims = pages.flatMap((each) => each.claims);
    assert.ok(claims.length > 0);
    for (const { where, test } of claims) {
      assert.match(test, /\.test\.ts$/, where);
      assert.ok(existsSync(join(CHECKOUT, test)), `${where}: there is no ${test}`);
    }
  });
});
