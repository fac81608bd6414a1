import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatBytes } from '@keelos/proto/byte-text.ts';
import { ERRORS, KeelError } from '@keelos/proto/errors.ts';
import fc from 'fast-check';
import { commandTree } from '../src/commands/tree.ts';
import { isGroup, optionNames, walk } from '../src/core/command-spec.ts';
import { completionScript, SHELLS, type Shell } from '../src/core/completion.ts';
import {
  type ContextsFile,
  freeName,
  parseContexts,
  serialiseContexts,
  withoutContext,
} from '../src/core/contexts.ts';
import { formatDuration, parseDuration } from '../src/core/duration.ts';
import { formatEndpoint, parseEndpoint } from '../src/core/endpoint.ts';
import { errorOfCall, failureOf, failureText } from '../src/core/failure.ts';
import { normaliseToken, parseFingerprint } from '../src/core/fingerprint.ts';
import { referencePage } from '../src/core/reference.ts';
import { printable, tableLines } from '../src/core/render.ts';
import { skewWarning } from '../src/core/version-skew.ts';

const usage = { code: 'E_USAGE' };

describe('core of osctl', () => {
  it('reads durations', () => {
    const good: [string, number][] = [
      ['500ms', 500],
      ['30s', 30_000],
      ['2m', 120_000],
      ['1h30m', 5_400_000],
      ['1.5s', 1500],
    ];
    for (const [text, ms] of good) assert.equal(parseDuration(text), ms, text);
    for (const text of ['', '5', 's', '-1s', '1 s', '1e3s', '0s', '31d', '5 minutes']) {
      assert.throws(() => parseDuration(text), usage, text);
    }
  });

  it('writes durations with their two largest units', () => {
    const table: [number, string][] = [
      [0, '0 ms'],
      [999, '999 ms'],
      [1000, '1 s'],
      [3_600_000, '1 h'],
      [3_661_000, '1 h 1 min'],
      [-90_000, '1 min 30 s'],
      [90_061_000, '1 d 1 h'],
    ];
    for (const [ms, text] of table) assert.equal(formatDuration(ms), text);
  });

  it('reads endpoints', () => {
    const good: [string, string][] = [
      ['node', 'node:50051'],
      ['node:1', 'node:1'],
      ['192.0.2.1', '192.0.2.1:50051'],
      ['2001:db8::1', '[2001:db8::1]:50051'],
      ['[2001:db8::1]', '[2001:db8::1]:50051'],
      ['[fe80::1%eth0]:7', '[fe80::1%eth0]:7'],
    ];
    for (const [text, written] of good) assert.equal(formatEndpoint(parseEndpoint(text)), written);
    for (const text of ['', ':1', 'a:0', 'a:65536', 'a:b', 'https://a', 'a b', '[::1', '[a]:1x']) {
      assert.throws(() => parseEndpoint(text), usage, text);
    }
  });

  it('reads back every endpoint that it writes', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain()),
        fc.integer({ min: 1, max: 65_535 }),
        (host, port) => {
          const endpoint = { host, port };
          assert.deepEqual(parseEndpoint(formatEndpoint(endpoint)), endpoint);
        },
      ),
    );
  });

  it('reads fingerprints and tokens as people copy them, and never repeats a token', () => {
    const digits = '0f'.repeat(32);
    for (const text of [
      digits,
      digits.toUpperCase(),
      digits.replace(/..(?=.)/g, '$&:'),
      `SHA256:${digits}\n`,
    ]) {
      assert.equal(parseFingerprint(text), digits);
    }
    assert.throws(() => parseFingerprint(digits.slice(1)), /63 hexadecimal digits, expected 64/);
    assert.throws(() => parseFingerprint('zz'), /not hexadecimal/);
    assert.equal(normaliseToken(' abcd-EFGH 2345 6789 wxyz\n'), 'ABCDEFGH23456789WXYZ');
    assert.throws(
      () => normaliseToken('geheim!geheim!'),
      (error: KeelError) => !error.message.includes('geheim'),
    );
  });

  it('writes bytes with binary units', () => {
    const table: [number | bigint, string][] = [
      [0, '0 B'],
      [1023, '1023 B'],
      [1024, '1.0 KiB'],
      [1536n, '1.5 KiB'],
      [2n ** 40n, '1.0 TiB'],
    ];
    for (const [bytes, text] of table) assert.equal(formatBytes(bytes), text);
  });

  it('lines tables up and shows no control character', () => {
    const lines = tableLines(
      [
        { header: 'n', value: (row: { n: string; v: string }) => row.n, align: 'right' },
        { header: 'value', value: (row) => row.v },
      ],
      [
        { n: '1', v: 'a' },
        { n: '100', v: '' },
      ],
    );
    assert.deepEqual(lines, ['  N  VALUE', '  1  a', '100  -']);
    assert.equal(printable('a\u001b[31m\u009b\r\tb'), 'a\\x1b[31m\\x9b\\x0d\tb');
  });

  it('reads back every contexts file that it writes', () => {
    const context = fc.record(
      {
        endpoint: fc.string(),
        serverCertificate: fc.string({ unit: 'grapheme' }),
        certificate: fc.constant('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'),
        key: fc.string(),
      },
      { noNullPrototype: true },
    );
    const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/);
    fc.assert(
      fc.property(fc.dictionary(name, context, { noNullPrototype: true }), (contexts) => {
        const file: ContextsFile = { currentContext: 'x', contexts };
        assert.deepEqual(parseContexts(serialiseContexts(file), 'p'), file);
      }),
    );
  });

  it('refuses what is no contexts file', () => {
    const wrong = [
      '[]',
      'x',
      'contexts: []',
      'contexts: {a: {}}',
      'currentContext: 1',
      '{',
      'contexts: {"../a": {}}',
    ];
    for (const text of wrong)
      assert.throws(() => parseContexts(text, 'p'), { code: 'E_CONTEXT_FILE' }, text);
    assert.deepEqual(parseContexts('', 'p'), { contexts: {} });
  });

  it('forgets that a removed context was current, and finds free names', () => {
    const one = { endpoint: 'e', serverCertificate: 's', certificate: 'c', key: 'k' };
    const file = { currentContext: 'a', contexts: { a: one, 'a-2': one } };
    assert.deepEqual(withoutContext(file, 'a'), { contexts: { 'a-2': one } });
    assert.throws(() => withoutContext(file, 'constructor'), { code: 'E_CONTEXT_MISSING' });
    assert.equal(freeName(file, { wanted: 'a', mayReplace: () => false }), 'a-3');
    assert.equal(freeName(file, { wanted: 'a', mayReplace: () => true }), 'a');
    assert.equal(freeName(file, { wanted: '../x', mayReplace: () => false }), 'node');
  });

  it("lets the node's code, hint and details win over the gRPC status", () => {
    const detail = { code: 'E_TOKEN_USED', hint: 'h', details: { a: 'b' } };
    const known = errorOfCall({ status: 2, message: 'm', detail }, 'Enrol');
    assert.deepEqual(
      [known.code, known.message, known.hint, known.details],
      ['E_TOKEN_USED', 'm', 'h', { a: 'b' }],
    );
    const newer = errorOfCall(
      { status: 5, message: 'm', detail: { ...detail, code: 'E_FROM_2099' } },
      'X',
    );
    assert.deepEqual(
      [newer.code, newer.hint, newer.details.nodeCode],
      ['E_NOT_FOUND', 'h', 'E_FROM_2099'],
    );
    assert.equal(errorOfCall({ status: 12, message: 'm' }, 'X').code, 'E_UNIMPLEMENTED');
    assert.equal(errorOfCall({ status: 99, message: 'm' }, 'X').code, 'E_INTERNAL');
  });

  it('gives every error of the table its exit code and two lines', () => {
    for (const code of Object.keys(ERRORS) as (keyof typeof ERRORS)[]) {
      const failure = failureOf(new KeelError(code, 'Cannot x: y'));
      assert.equal(failure.exitCode, ERRORS[code].exit);
      assert.equal(
        failureText(failure, 'table'),
        `osctl: Cannot x: y\nhint: ${ERRORS[code].hint}\n`,
      );
      assert.equal(JSON.parse(failureText(failure, 'json')).error.code, code);
    }
    assert.equal(failureOf(new TypeError('bug')).exitCode, 1);
  });

  it('finds releases that are too far apart', () => {
    const table: [string, string, boolean][] = [
      ['0.1.0', '0.1.9', false],
      ['0.1.0', '0.2.0', false],
      ['0.1.0', '0.3.0', true],
      ['1.0.0', '2.0.0', true],
      ['1.0.0', 'built-by-hand', false],
    ];
    for (const [client, version, warns] of table) {
      assert.equal(skewWarning(client, { version, api: 'keel.v1' }) !== undefined, warns, version);
    }
    assert.match(skewWarning('0.1.0', { version: '0.1.0', api: 'keel.v2' }) ?? '', /keel\.v2/);
  });

  it('gives every command a summary, one to three examples, and options that can be taken apart', () => {
    for (const { path, spec } of walk(commandTree)) {
      assert.ok(spec.summary.length > 0 && !spec.summary.endsWith('.'), path.join(' '));
      if (isGroup(spec)) continue;
      assert.ok(spec.examples.length >= 1 && spec.examples.length <= 3, path.join(' '));
      for (const option of spec.options ?? []) optionNames(option.flags);
    }
  });

  it('names every command in the reference page, which is the one in docs', async () => {
    const page = referencePage(commandTree);
    const path = new URL('../../docs/reference/osctl.md', import.meta.url);
    assert.equal(await readFile(path, 'utf8'), page, 'run node osctl/src/reference-doc.ts');
    for (const { path, spec } of walk(commandTree)) {
      if (!isGroup(spec)) assert.ok(page.includes(`\n### ${path.join(' ')}\n`), path.join(' '));
    }
  });
});

describe('completion scripts', () => {
  let folder: string;
  const scriptOf = (shell: Shell) => join(folder, `osctl.${shell}`);

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'osctl-completion-'));
    for (const shell of SHELLS) {
      await writeFile(scriptOf(shell), completionScript(commandTree, shell));
    }
  });
  after(() => rm(folder, { recursive: true }));

  for (const shell of SHELLS) {
    it(`are accepted by ${shell}`, function () {
      if (spawnSync(shell, ['-c', 'true']).error !== undefined) this.skip();
      const { status, stderr } = spawnSync(shell, ['-n', scriptOf(shell)], { encoding: 'utf8' });
      assert.equal(stderr, '');
      assert.equal(status, 0);
    });
  }

  it('complete commands, options and values in fish', function () {
    if (spawnSync('fish', ['-c', 'true']).error !== undefined) this.skip();
    const complete = (line: string) => {
      const script = `source ${scriptOf('fish')}; complete -C '${line}'`;
      const { stdout } = spawnSync('fish', ['--no-config', '-c', script], { encoding: 'utf8' });
      return stdout
        .trim()
        .split('\n')
        .map((one) => one.split('\t')[0]);
    };
    assert.deepEqual(complete('osctl he'), ['health']);
    assert.deepEqual(complete('osctl -o json get p'), ['processes']);
    assert.deepEqual(complete('osctl health -o j'), ['json']);
    assert.deepEqual(complete('osctl health --wa'), ['--wait']);
  });

  it('complete commands, options and values in bash', () => {
    const complete = (words: readonly string[]) => {
      const script = `${completionScript(commandTree, 'bash')}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}
_osctl; printf '%s\\n' "\${COMPREPLY[@]}"`;
      return spawnSync('bash', ['-c', script], { encoding: 'utf8' }).stdout.trim().split('\n');
    };
    assert.deepEqual(complete(['osctl', 'he']), ['health']);
    assert.deepEqual(complete(['osctl', '-o', 'json', 'get', 'p']), ['processes']);
    assert.deepEqual(complete(['osctl', 'health', '-o', 'j']), ['json']);
    assert.deepEqual(complete(['osctl', 'completion', 'z']), ['zsh']);
    assert.deepEqual(complete(['osctl', 'health', '--wa']), ['--wait']);
    assert.deepEqual(complete(['osctl', 'init', 'r']), ['renew']);
  });
});
