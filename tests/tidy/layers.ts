/** Who may import whom: core decides, shell does, sys touches; packages meet in proto and as-core only. */
import { posix } from 'node:path';
import { codeOnly, type Import, importsOf } from './imports.ts';
import { isTest, lineAt, type Rule, sources } from './tree.ts';

/** Packages of the project. */
export const PACKAGES = [
  ...[
    'as-core',
    'bench',
    'image',
    'kernel',
    'osctl',
    'proto',
    'scripts',
    'tests',
    'ts-agent',
    'ts-init',
  ],
] as const;

/** Packages that run on the node or with the operator: the layers hold in full. The others build and test. */
const PRODUCT_PACKAGES: readonly string[] = ['as-core', 'osctl', 'proto', 'ts-agent', 'ts-init'];

/** What builds and tests, and may lean on each other. */
const WORKSHOP: readonly string[] = ['image', 'kernel', 'scripts', 'tests'];

/** A layer and the layers of its own package that it may import. "top" is what lies directly in src/. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  core: ['core'],
  sys: ['core', 'sys', 'ports'],
  shell: ['core', 'sys', 'shell', 'ports'],
  services: ['core', 'sys', 'shell', 'services', 'ports', 'node'],
  commands: ['core', 'sys', 'shell', 'commands', 'ports'],
};

/** Modules of Node that only compute; of node:net the two that read an address. */
const PURE_NODE_MODULES: readonly string[] = [
  ...['node:assert', 'node:assert/strict', 'node:buffer', 'node:crypto', 'node:util', 'node:zlib'],
  ...['node:path', 'node:path/posix'],
];
const PURE_NET_NAMES: readonly string[] = ['isIP', 'isIPv4', 'isIPv6'];

/** Packages that only compute. */
const PURE_PACKAGES =
  /^(@bufbuild\/protobuf|@peculiar\/x509|@peculiar\/asn1-[a-z0-9-]+|typebox|yaml)(\/|$)/;

/** What reaches out of the process, in a product package: for sys alone. */
const TOUCHING =
  /^(node:(fs|child_process|dgram|net|tls|http2?|https|os|dns|worker_threads|readline)(\/|$)|koffi$)/;

/** Time, randomness and the process, which a core takes as arguments. */
const IMPURE_CODE: readonly RegExp[] = [
  /\bDate\.now\b/g,
  /\bnew Date\(\)/g,
  /\bMath\.random\b/g,
  /\bprocess\./g,
  /\bperformance\./g,
  /\b(setTimeout|setInterval|setImmediate)\(/g,
  /\b(randomBytes|randomInt|randomUUID|randomFillSync|getRandomValues|generateKeyPair(Sync)?)\b/g,
];

/** A module that may break one rule, and why. */
export interface Exception {
  readonly path: string;
  /** Beginning of what it may import. */
  readonly imports: string;
  readonly reason: string;
}

/** Breaches of the layers in `tree`, but for `exceptions`. An exception that nothing needs is a breach too. */
export function layerRule(exceptions: readonly Exception[]): Rule {
  return (tree) => {
    const used = new Set<Exception>();
    const problems: string[] = [];
    for (const { path, text } of sources(tree)) {
      const place = placeOf(path);
      if (place === undefined) continue;
      for (const each of importsOf(text)) {
        const problem = importProblem(place, each);
        if (problem === undefined) continue;
        const exception = exceptions.find(
          (candidate) => candidate.path === path && each.specifier.startsWith(candidate.imports),
        );
        if (exception === undefined) problems.push(`${path}:${each.line}: ${problem}`);
        else used.add(exception);
      }
      if (place.isPure) problems.push(...impureCode(path, text));
    }
    for (const exception of exceptions) {
      if (used.has(exception) || !tree.has(exception.path)) continue;
      problems.push(`${exception.path}: needs no exception for ${exception.imports} any more`);
    }
    return problems;
  };
}

interface Place {
  readonly path: string;
  readonly package: string;
  readonly layer: string;
  /** Part of a program that ships, not of a test. */
  readonly isProduct: boolean;
  readonly isPure: boolean;
}

function placeOf(path: string): Place | undefined {
  const [name = '', folder = '', third = '', ...more] = path.split('/');
  if (!(PACKAGES as readonly string[]).includes(name)) return undefined;
  const isSource = folder === 'src' && !isTest(path) && name !== 'tests';
  const layer = isSource ? (more.length > 0 ? third : third.replace(/\.ts$/, '')) : '';
  const isContract = name === 'proto' || name === 'as-core';
  return {
    path,
    package: name,
    layer,
    isProduct: isSource && PRODUCT_PACKAGES.includes(name),
    isPure: isSource && (isContract ? layer !== 'tools' : layer === 'core'),
  };
}

function importProblem(place: Place, { specifier, names }: Import): string | undefined {
  const target = packageOf(place.path, specifier);
  if (target !== undefined && target.package !== place.package)
    return sideways(place, target.package);
  if (target !== undefined) return deeper(place, target.path, specifier);
  const isPureNet =
    specifier === 'node:net' &&
    names.length > 0 &&
    names.every((name) => PURE_NET_NAMES.includes(name));
  if (isPureNet) return undefined;
  if (place.isPure) {
    const isPure = PURE_NODE_MODULES.includes(specifier) || PURE_PACKAGES.test(specifier);
    return isPure ? undefined : `pure code imports ${specifier}`;
  }
  const mayTouch = place.layer === 'sys' || !(place.layer in LAYERS);
  if (place.isProduct && !mayTouch && TOUCHING.test(specifier)) {
    return `${place.layer} imports ${specifier}, which is for sys`;
  }
  return undefined;
}

/** Package and path that an import of the project's own code leads to; undefined for everything else. */
function packageOf(path: string, specifier: string): { package: string; path: string } | undefined {
  const own = /^@keelos\/([^/]+)\/(.*)$/.exec(specifier);
  if (own !== null) {
    const [, name = '', rest = ''] = own;
    return {
      package: name,
      path: rest.startsWith('gen/') ? `${name}/${rest}` : `${name}/src/${rest}`,
    };
  }
  if (!specifier.startsWith('.')) return undefined;
  const resolved = posix.join(posix.dirname(path), specifier);
  return { package: resolved.split('/')[0] ?? '', path: resolved };
}

function sideways(place: Place, target: string): string | undefined {
  if (target === 'proto' || (target === 'as-core' && place.package !== 'proto')) return undefined;
  const isBuildSide = !place.isProduct && place.package !== 'as-core';
  if (isBuildSide && WORKSHOP.includes(target)) return undefined;
  if (place.package === 'tests') return undefined;
  return `${place.package} imports ${target}`;
}

function deeper(place: Place, target: string, specifier: string): string | undefined {
  const allowed = LAYERS[place.layer];
  const [, folder, third = '', ...more] = target.split('/');
  if (allowed === undefined || folder !== 'src') return undefined;
  const layer = more.length > 0 ? third : third.replace(/\.ts$/, '');
  // A command is told from another by its file; what two of them need is for shell. tree.ts lists them all.
  const isFellow = layer === 'commands' && place.layer === 'commands';
  if (isFellow && !place.path.endsWith('/commands/tree.ts'))
    return `a command imports ${specifier}`;
  return allowed.includes(layer) ? undefined : `${place.layer} imports ${specifier}`;
}

function impureCode(path: string, text: string): string[] {
  const code = codeOnly(text);
  return IMPURE_CODE.flatMap((pattern) =>
    [...code.matchAll(pattern)].map(
      ({ 0: found, index }) => `${path}:${lineAt(code, index)}: pure code uses ${found}`,
    ),
  );
}
