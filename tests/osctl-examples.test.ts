/**
 * The examples of docs/reference/osctl.md, as bash understands them, given to osctl's own parser.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { commandTree } from '@keelos/osctl/commands/tree.ts';
import { parseCommandLine } from '@keelos/osctl/shell/command-line.ts';
import { readPage } from './docs/fences.ts';

const PAGE = resolve(import.meta.dirname, '../docs/reference/osctl.md');
/** Stands for osctl: writes down with which words it was called. One write a call: two may run at a time. */
const RECORDER = `osctl() {
  local words=''
  (($# > 0)) && printf -v words '%s\\x1f' "$@"
  printf '%s\\x1e' "$words" >> "$RECORD"
}`;

/** The words of each call of osctl in a script, apart from the first. What the other programs say does not matter. */
function calls(script: string): string[][] {
  const folder = mkdtempSync(join(tmpdir(), 'keel-examples-'));
  const record = join(folder, 'record');
  try {
    execFileSync('bash', ['-c', `${RECORDER}\n${script}\nexit 0`], {
      cwd: folder, // some lines write files
      env: { ...process.env, RECORD: record },
      stdio: ['ignore', 'ignore', 'ignore'],
    });
    const lines = readFileSync(record, 'utf8').split('\x1e').slice(0, -1);
    return lines.map((line) => line.split('\x1f').slice(0, -1));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What osctl's parser finds in the words of one call. */
function parsed(args: readonly string[]) {
  return parseCommandLine({ root: commandTree, version: '0', args }, { out: () => undefined });
}

describe('the examples of the osctl reference', function () {
  this.timeout(20_000);

  it('are command lines that osctl takes', () => {
    const { blocks, problems } = readPage('osctl.md', readFileSync(PAGE, 'utf8'));
    assert.deepEqual(problems, []);
    const lines = blocks
      .flatMap(({ text }) => text.split('\n'))
      .filter((line) => !line.startsWith('#'));
    const found = calls(lines.join('\n'));
    const shown = lines.join('\n').match(/\bosctl (?=[a-z])/g) ?? [];
    assert.equal(found.length, shown.length, 'not every call was seen');
    assert.ok(found.length > 40, `only ${found.length} calls`);
    for (const args of found) {
      assert.doesNotThrow(() => assert.ok('run' in parsed(args)), `osctl ${args.join(' ')}`);
    }
  });

  it('would not pass with a word that osctl does not know', () => {
    const wrong = calls(
      "osctl get confg\nosctl health --wiat | cat\nosctl logs --tail 'x y' agent",
    );
    assert.deepEqual(wrong[2], ['logs', '--tail', 'x y', 'agent']);
    for (const args of wrong) assert.throws(() => parsed(args), { code: 'E_USAGE' });
  });
});
