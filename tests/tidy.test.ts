/**
 * What keeps the code in its place: directions of imports, purity of `core`, sizes, and that every error is documented.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { dirname, join, normalize, resolve } from 'node:path';
import { ERRORS } from '@keelos/proto/errors.ts';
import { importsOf, type SourceFile, sourceFiles } from '@keelos/tests/source-files.ts';

const CHECKOUT = resolve(import.meta.dirname, '..');
/** What runs on a node or at an operator's. */
const PRODUCT = ['proto', 'as-core', 'ts-init', 'ts-agent', 'osctl'];
/** What builds and tests: may use the tools in scripts/ and the image's harness. */
const WORKSHOP = ['kernel', 'image', 'bench', 'tests'];
const LAYERED = ['ts-init', 'ts-agent', 'osctl', 'image', 'kernel'];
const LINES_MAX = 300;

/** Parts of Node that only compute. */
const PURE_MODULES = new Set([
  'node:assert',
  'node:assert/strict',
  'node:buffer',
  'node:crypto',
  'node:path',
  'node:path/posix',
  'node:util',
  'node:zlib',
]);
const IMPURE: readonly [RegExp, string][] = [
  [/\bDate\.now\(|\bnew Date\(\)/, 'the time'],
  [/\bperformance\.now\(/, 'the time'],
  [/\bMath\.random\(|\brandomBytes\(|\brandomUUID\(/, 'randomness'],
  [/\bprocess\.(env|argv|exit|cwd|stdout|stderr|hrtime)\b/, 'the process'],
  [/\b(setTimeout|setInterval|fetch)\(/, 'timers or the network'],
];

/** Files that reach for what `core` must be given as arguments. */
function impurities(file: SourceFile): string[] {
  const code = file.text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
  const used = IMPURE.filter(([pattern]) => pattern.test(code)).map(
    ([, what]) => `${file.path}: reaches for ${what}`,
  );
  const imported = file.imports
    .filter(({ specifier }) => specifier.startsWith('node:') && !PURE_MODULES.has(specifier))
    .map(({ specifier, line }) => `${file.path}:${line}: core imports ${specifier}`);
  return [...used, ...imported];
}

const layerOf = (path: string) => /^[^/]+\/src\/(core|shell|sys)\//.exec(path)?.[1];
/** Which layers a layer may import. */
const MAY: Readonly<Record<string, readonly string[]>> = {
  core: ['core'],
  sys: ['core', 'sys'],
  shell: ['core', 'sys', 'shell'],
};

/** Imports against the direction main -> service or command -> shell -> core | sys. */
function wrongLayers(file: SourceFile): string[] {
  const own = layerOf(file.path);
  if (own === undefined) return [];
  return file.imports.flatMap(({ specifier, line }) => {
    if (specifier === 'koffi' && own !== 'sys') return [`${file.path}:${line}: koffi outside sys`];
    if (!specifier.startsWith('.')) return [];
    const target = normalize(join(dirname(file.path), specifier));
    const layer = layerOf(target) ?? /\/src\/(services|commands)\//.exec(target)?.[1] ?? own;
    return MAY[own]?.includes(layer) === true
      ? []
      : [`${file.path}:${line}: ${own} imports ${target}`];
  });
}

/** Imports that leave a package for another one that is not a contract. */
function sideways(file: SourceFile, allowed: readonly string[]): string[] {
  const own = file.path.split('/')[0] ?? '';
  return file.imports.flatMap(({ specifier, line }) => {
    const named = /^@keelos\/([^/]+)\//.exec(specifier)?.[1];
    const reached = specifier.startsWith('.')
      ? normalize(join(dirname(file.path), specifier)).split('/')[0]
      : named;
    if (reached === undefined || reached === own || allowed.includes(reached)) return [];
    return [`${file.path}:${line}: imports ${specifier}`];
  });
}

describe('tidiness', () => {
  let product: SourceFile[];
  let workshop: SourceFile[];

  before(async () => {
    product = await sourceFiles(PRODUCT);
    workshop = await sourceFiles(WORKSHOP);
  });

  it('finds every way of importing', () => {
    const text = [
      `import a from 'one';`,
      `import type { B } from "two";`,
      `import 'three';`,
      'import {',
      '  c,',
      `} from 'four';`,
      `export { d } from 'five';`,
      `const e = await import('six');`,
      `const text = "from 'seven'";`,
    ].join('\n');
    assert.deepEqual(
      importsOf(text).map(({ specifier }) => specifier),
      ['one', 'two', 'three', 'four', 'five', 'six'],
    );
  });

  it('core is pure', () => {
    const core = [...product, ...workshop].filter(({ path }) => layerOf(path) === 'core');
    assert.ok(core.length > 20, `only ${core.length} files in core`);
    assert.deepEqual(core.flatMap(impurities), []);
  });

  it('imports go from shell to core and sys, never back', () => {
    const files = [...product, ...workshop].filter(({ path }) =>
      LAYERED.includes(path.split('/')[0] ?? ''),
    );
    assert.deepEqual(files.flatMap(wrongLayers), []);
  });

  it('packages meet in proto and as-core only; the workshop may use scripts and the harness too', () => {
    const contracts = ['proto', 'as-core'];
    assert.deepEqual(
      [
        ...product.flatMap((file) => sideways(file, contracts)),
        ...workshop
          .filter(({ path }) => !path.startsWith('tests/'))
          .flatMap((file) =>
            sideways(file, [...contracts, 'scripts', 'image', 'kernel', 'ts-init', 'ts-agent']),
          ),
      ].filter((line) => !/^proto\/src\/(doc|buf|pages|api-lock)/.test(line)),
      [],
    );
  });

  it(`no source file has more than ${LINES_MAX} lines, data apart`, async () => {
    const scripts = await sourceFiles(['scripts'], ['', 'lib']);
    const long = [...product, ...workshop, ...scripts]
      .filter(({ path }) => !/\.data\.(ts|mjs)$|\/assembly\//.test(path))
      .map(({ path, text }) => [path, text.trimEnd().split('\n').length] as const)
      .filter(([, lines]) => lines > LINES_MAX);
    assert.deepEqual(long, []);
  });

  it('every error code is in docs/reference/errors.md', async () => {
    const page = await readFile(join(CHECKOUT, 'docs/reference/errors.md'), 'utf8');
    assert.deepEqual(
      Object.keys(ERRORS).filter((code) => !page.includes(code)),
      [],
    );
  });

  it('there is no folder or file of leftovers: utils, helpers, common', () => {
    const names = [...product, ...workshop].filter(({ path }) =>
      /\b(utils?|helpers?|common)\b/.test(path),
    );
    assert.deepEqual(
      names.map(({ path }) => path),
      [],
    );
  });
});
