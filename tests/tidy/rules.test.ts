import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { ERRORS } from '@keelos/proto/errors.ts';
import { EXPECTED_FILES, errorCodes, expectedFiles, pageLinks } from './documents.ts';
import { FUNCTION_LINES_MAX, longFunctions } from './function-length.ts';
import { codeOnly, importsOf } from './imports.ts';
import { layerRule } from './layers.ts';
import {
  BINARY_BYTES_MAX,
  documentedExports,
  FILE_LINES_MAX,
  fileLength,
  forbiddenText,
  namedAfterContent,
  noLargeBinaries,
} from './limits.ts';
import {
  exactVersions,
  explainedDependencies,
  fittingLicences,
  lockWithoutAddresses,
  ownLicence,
  usedDependencies,
} from './packages.ts';
import type { Rule } from './tree.ts';
import { treeOf } from './tree.ts';

/** Joins halves that must not stand together in this file. */
const joined = (...parts: readonly string[]) => parts.join('');

const layers = layerRule([]);
const texts = forbiddenText([]);
const lock = (entry: object) =>
  JSON.stringify({
    packages: { 'node_modules/a': { integrity: 'sha512-x', license: 'MIT', ...entry } },
  });

/** Small trees: rule, file, content, and what the rule must say; nothing for a tree that keeps it. */
const cases: readonly (readonly [Rule, string, string, RegExp?])[] = [
  [layers, 'ts-init/src/core/a.ts', `import fs from 'node:fs';`, /pure code imports node:fs/],
  [layers, 'ts-init/src/core/a.ts', `import { x } from "../sys/b.ts";`, /core imports \.\.\/sys/],
  [layers, 'ts-init/src/core/a.ts', `import {\n  x,\n} from '../shell/b.ts';`, /:1: core imports/],
  [layers, 'ts-init/src/core/a.ts', `export { x } from '../sys/b.ts';`, /core imports/],
  [layers, 'ts-init/src/core/a.ts', `import type { X } from '../sys/b.ts';`, /core imports/],
  [layers, 'ts-init/src/core/a.ts', `const x = await import('koffi');`, /pure code imports koffi/],
  [layers, 'ts-init/src/core/a.ts', `import 'node:os';`, /pure code imports node:os/],
  [layers, 'ts-init/src/core/a.ts', `import { isIP, Socket } from 'node:net';`, /node:net/],
  [layers, 'ts-init/src/core/a.ts', `import { isIP } from 'node:net';`],
  [layers, 'ts-init/src/core/a.ts', `import { createHash } from 'node:crypto';`],
  [layers, 'ts-init/src/core/a.ts', `import { randomBytes } from 'node:crypto';`, /randomBytes/],
  [layers, 'ts-init/src/core/a.ts', 'const now = Date.now();', /pure code uses Date\.now/],
  [layers, 'ts-init/src/core/a.ts', 'const now = new Date();', /new Date/],
  [layers, 'ts-init/src/core/a.ts', 'const then = new Date(0);'],
  [layers, 'ts-init/src/core/a.ts', '\nconst x = process.env.X;', /:2: pure code uses process/],
  [layers, 'ts-init/src/core/a.ts', 'const x = Math.random();', /Math\.random/],
  [layers, 'ts-init/src/core/a.ts', 'setTimeout(f, 1);', /setTimeout/],
  [layers, 'ts-init/src/core/a.ts', '// Date.now() is for sys\n/* process.env */'],
  [layers, 'ts-init/src/core/a.ts', `const text = 'Date.now()';`],
  [
    layers,
    'ts-init/src/core/a.ts',
    `const url = 'a://b'; const x = Math.random();`,
    /Math\.random/,
  ],
  [layers, 'proto/src/a.ts', `import fs from 'node:fs';`, /pure code imports node:fs/],
  [layers, 'proto/src/tools/a.ts', `import fs from 'node:fs';`],
  [layers, 'proto/src/a.ts', `import { x } from '@keelos/as-core/y.ts';`, /proto imports as-core/],
  [layers, 'ts-agent/src/shell/a.ts', `import fs from 'node:fs/promises';`, /which is for sys/],
  [layers, 'ts-agent/src/shell/a.ts', `import koffi from 'koffi';`, /which is for sys/],
  [layers, 'ts-agent/src/shell/a.ts', `import { x } from '../sys/b.ts';`],
  [layers, 'ts-agent/src/shell/a.ts', `import { x } from '../services/b.ts';`, /shell imports/],
  [layers, 'ts-agent/src/sys/a.ts', `import fs from 'node:fs/promises';`],
  [layers, 'ts-agent/src/sys/a.ts', `import { x } from '../shell/b.ts';`, /sys imports/],
  [layers, 'ts-agent/src/services/a.ts', `import { x } from '../main.ts';`, /services imports/],
  [
    layers,
    'osctl/src/commands/a.ts',
    `import { x } from 'node:child_process';`,
    /which is for sys/,
  ],
  [layers, 'osctl/src/commands/a.ts', `import { x } from './b.ts';`, /a command imports \.\/b\.ts/],
  [layers, 'osctl/src/commands/a.ts', `import { x } from '../shell/b.ts';`],
  [layers, 'osctl/src/commands/tree.ts', `import { x } from './b.ts';`],
  [
    layers,
    'ts-agent/src/sys/a.ts',
    `import { x } from '@keelos/ts-init/core/y.ts';`,
    /ts-agent imports ts-init/,
  ],
  [
    layers,
    'ts-agent/src/sys/a.ts',
    `import { x } from '../../../ts-init/src/core/y.ts';`,
    /imports ts-init/,
  ],
  [
    layers,
    'ts-agent/src/sys/a.ts',
    `import { x } from '../../../scripts/lib/exec.mjs';`,
    /imports scripts/,
  ],
  [layers, 'ts-agent/src/sys/a.ts', `import { x } from '@keelos/proto/errors.ts';`],
  [layers, 'ts-agent/test/a.test.ts', `import { x } from '@keelos/image/vm.ts';`],
  [layers, 'kernel/src/a.ts', `import { x } from '../../scripts/lib/exec.mjs';`],
  [layers, 'kernel/src/a.ts', `import { x } from '@keelos/osctl/main.ts';`, /kernel imports osctl/],
  [layers, 'kernel/src/core/a.ts', `import fs from 'node:fs';`, /pure code/],
  [fileLength({}), 'a.ts', '\n'.repeat(FILE_LINES_MAX + 1), /401 lines/],
  [fileLength({}), 'a.ts', '\n'.repeat(FILE_LINES_MAX)],
  [fileLength({ 'a.ts': 'x' }), 'a.ts', '\n'.repeat(FILE_LINES_MAX + 1)],
  [fileLength({ 'a.ts': 'x' }), 'a.ts', '\n', /needs no exception/],
  [noLargeBinaries, 'a.bin', '\0'.repeat(BINARY_BYTES_MAX + 1), /binary file of 65537/],
  [noLargeBinaries, 'a.bin', '\0'.repeat(BINARY_BYTES_MAX)],
  [noLargeBinaries, 'a.txt', 'a'.repeat(BINARY_BYTES_MAX + 1)],
  [texts, 'a.md', joined('see TO', 'DO later'), /note to self/],
  [texts, 'a.ts', joined('// FIX', 'ME'), /note to self/],
  [texts, 'a.mjs', joined('https://reg', 'istry.example.org/a'), /registry or mirror/],
  [texts, 'a.json', joined('https:', '//deb.example.org'), /registry or mirror/],
  [texts, 'a.md', 'https://www.kernel.org/doc and https://example.org/registry'],
  [texts, 'a.sh', joined('cd /wo', 'rk/main'), /path of one machine/],
  [texts, 'a.ts', joined(`'/home/`, `alice/x'`), /path of one machine/],
  [texts, 'a.ts', `'/var/lib/work/x' + './work/' + 'home/a'`],
  [texts, 'a.test.ts', joined('it.on', `ly('x', f)`), /left out or alone/],
  [texts, 'a.test.ts', joined('describe.sk', `ip('x', f)`), /left out or alone/],
  [namedAfterContent, 'a/src/utils.ts', '', /says nothing/],
  [namedAfterContent, 'a/src/helpers/b.ts', '', /says nothing/],
  [namedAfterContent, 'a/src/index.ts', '', /says nothing/],
  [namedAfterContent, 'a/src/common-words.ts', ''],
  [documentedExports, 'a/src/b.ts', '\nexport function f() {}', /:2: an export without/],
  [documentedExports, 'a/src/b.ts', '/** Does f. */\nexport async function f() {}'],
  [documentedExports, 'a/src/b.ts', 'export const x = 1;', /without a docstring/],
  [documentedExports, 'a/src/b.ts', `export type { X } from './c.ts';`],
  [exactVersions, 'package.json', '{"dependencies":{"a":"^1.2.3"}}', /a has the version/],
  [exactVersions, 'b/package.json', '{"devDependencies":{"a":"latest"}}', /a has the version/],
  [exactVersions, 'package.json', '{"dependencies":{"a":"1.2.3","b":"1.0.0-alpha.6"}}'],
  [ownLicence, 'package.json', '{"license":"MIT"}', /not Apache/],
  [ownLicence, 'package.json', '{}', /not Apache/],
  [ownLicence, 'package.json', '{"license":"Apache-2.0"}'],
  [
    lockWithoutAddresses,
    'package-lock.json',
    lock({ resolved: 'https://example.org/a' }),
    /resolved to/,
  ],
  [lockWithoutAddresses, 'package-lock.json', lock({ integrity: undefined }), /no checksum/],
  [lockWithoutAddresses, 'package-lock.json', lock({})],
  [fittingLicences, 'package-lock.json', lock({ license: 'GPL-3.0' }), /the licence "GPL-3.0"/],
  [fittingLicences, 'package-lock.json', lock({ license: undefined }), /the licence "none"/],
  [fittingLicences, 'package-lock.json', lock({ license: 'GPL-3.0', dev: true })],
  [explainedDependencies, 'a/package.json', '{"dependencies":{"b":"1.0.0"}}', /says nothing of b/],
  [explainedDependencies, 'a/package.json', '{"dependencies":{"@keelos/proto":"0.1.0"}}'],
  [pageLinks, 'docs/a.md', 'see [b](../b.md#c)', /the link to \.\.\/b\.md/],
  [
    pageLinks,
    'docs/a.md',
    'see [itself](a.md), [folder](../docs/), [here](#x), [web](https://a.org)',
  ],
];

describe('rules of the repository', () => {
  for (const [index, [rule, path, content, problem]] of cases.entries()) {
    const shown = content.length > 60 ? `${content.length} characters` : JSON.stringify(content);
    it(`${index}: ${problem === undefined ? 'accepts' : 'finds'} ${shown} in ${path}`, () => {
      const found = rule(treeOf({ [path]: content }));
      if (problem === undefined) assert.deepEqual(found, []);
      else assert.match(found.join('\n'), problem);
    });
  }

  it('misses a file that readers look for', () => {
    const all = Object.fromEntries(EXPECTED_FILES.map((path) => [path, '']));
    assert.deepEqual(expectedFiles(treeOf(all)), []);
    assert.equal(expectedFiles(treeOf({ ...all, LICENSE: '' })).length, 0);
    const { LICENSE: _, ...rest } = all;
    assert.deepEqual(expectedFiles(treeOf(rest)), ['LICENSE: is not there']);
  });

  it('misses an error code in the docs, and one that nothing reports', () => {
    const codes = Object.keys(ERRORS);
    const [first = ''] = codes;
    const page = codes.map((code) => `\n### ${code}\n`).join('');
    const code = codes.map((each) => `'${each}'`).join();
    const all = { 'docs/reference/errors.md': page, 'a/src/b.ts': code };
    assert.deepEqual(errorCodes(treeOf(all)), []);
    const undocumented = { ...all, 'docs/reference/errors.md': page.replace(first, 'E_OTHER') };
    assert.deepEqual(errorCodes(treeOf(undocumented)), [
      `docs/reference/errors.md: says nothing of ${first}`,
    ]);
    const unused = {
      ...all,
      'a/src/b.ts': code.replace(`'${first}'`, ''),
      'a/test/c.ts': `'${first}'`,
    };
    assert.deepEqual(errorCodes(treeOf(unused)), [`proto/src/errors.ts: nothing reports ${first}`]);
  });

  it('finds a dependency that nothing imports', () => {
    const manifest = '{"dependencies":{"b":"1.0.0"}}';
    const found = (text: string, path = 'a/src/x.ts') =>
      usedDependencies(treeOf({ 'a/package.json': manifest, [path]: text }));
    assert.deepEqual(found(`import b from 'b';`), []);
    assert.deepEqual(found(`import b from 'b/part.js';`), []);
    assert.deepEqual(found(`import b from 'bb';`), ['a/package.json: nothing in a/src imports b']);
    assert.equal(found(`import b from 'b';`, 'a/test/x.ts').length, 1);
  });

  it('takes an exception, and complains about one that nothing needs', () => {
    const exception = { path: 'ts-init/src/core/a.ts', imports: 'node:fs', reason: 'x' };
    const rule = layerRule([exception]);
    assert.deepEqual(rule(treeOf({ [exception.path]: `import fs from 'node:fs';` })), []);
    assert.deepEqual(rule(treeOf({ [exception.path]: '' })), [
      'ts-init/src/core/a.ts: needs no exception for node:fs any more',
    ]);
    const words = forbiddenText([{ path: 'a.md', text: joined('TO', 'DO'), reason: 'x' }]);
    assert.deepEqual(words(treeOf({ 'a.md': joined('TO', 'DO') })), []);
    assert.match(words(treeOf({ 'a.md': '' })).join(), /needs no exception/);
  });

  it('measures functions', async () => {
    const root = await mkdtemp(join(tmpdir(), 'keel-tidy-'));
    try {
      const biome = resolve(import.meta.dirname, '../../node_modules/.bin/biome');
      const body = (lines: number) => `function f(a) {\n${'  a();\n'.repeat(lines)}}\n`;
      await mkdir(join(root, 'src'));
      await writeFile(join(root, 'src/short.ts'), body(FUNCTION_LINES_MAX));
      assert.deepEqual(await longFunctions(root, { biome, folders: ['src'] }), []);
      await writeFile(join(root, 'src/long.ts'), `\n${body(FUNCTION_LINES_MAX + 1)}`);
      assert.match(
        (await longFunctions(root, { biome, folders: ['src'] })).join(),
        /^src\/long\.ts:2: /,
      );
      await mkdir(join(root, 'none'));
      await assert.rejects(longFunctions(root, { biome, folders: ['none'] }));
    } finally {
      await rm(root, { recursive: true });
    }
  }).timeout(30_000);
});

describe('reading of imports', () => {
  it('finds every kind, on the right line', () => {
    const text = [
      `import a, { type B, c as d } from 'one';`,
      `import * as e from "two";`,
      `import 'three';`,
      `export * from 'four';`,
      'import {',
      '  f,',
      `} from 'five';`,
      `const g = await import('six');`,
      `const h = require('seven');`,
      `// import i from 'eight';`,
      `/* import j from 'nine'; */`,
      `const k = "import l from 'ten'";`,
    ].join('\n');
    assert.deepEqual(
      importsOf(text).map(({ specifier, line }) => `${line} ${specifier}`),
      ['1 one', '2 two', '3 three', '4 four', '5 five', '8 six', '9 seven'],
    );
    assert.deepEqual(importsOf(text)[0]?.names, ['B', 'c']);
  });

  it('keeps code and lines, and blanks comments and strings', () => {
    assert.equal(codeOnly(`a('x//y'); // z\nb`), `a(      );     \nb`);
  });
});
