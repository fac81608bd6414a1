// From the fragments to a bzImage. The same inputs give the same bytes, in any folder.

import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { cacheRoot, hashInputs, product } from '../../scripts/lib/cache.mjs';
import { exec } from '../../scripts/lib/exec.mjs';
import { renderAllConfig } from './core/fragment.ts';
import { describeLostOptions, findLostOptions, parseDotConfig } from './core/survival.ts';
import { type KernelInputs, readKernelInputs } from './inputs.ts';
import { fetchKernelSource, type KernelSource, unpackKernelSource } from './source.ts';

type Progress = ReturnType<typeof import('../../scripts/lib/progress.mjs').createProgress>;

/** Packs its standard input as the kernel in a kernel image. */
const PACKER = join(import.meta.dirname, 'pack-payload.ts');
const COMPILE_TIMEOUT_MS = 3 * 3600_000;
const CONFIGURE_TIMEOUT_MS = 10 * 60_000;
/** Processor time of a whole compilation (measured on the 2-core reference machine). */
const COMPILE_CPU_SECONDS = 1_400;
/** Lines that make writes for a whole compilation (measured): what tells how far it is. */
const COMPILE_STEPS = 3_050;

/** A built kernel. Paths are absolute and stay valid while the product is in the cache. */
export interface BuiltKernel {
  readonly bzImage: string;
  /** the finished `.config` */
  readonly config: string;
  /** what `uname -r` says, for example `6.12.117-keel` */
  readonly version: string;
  readonly source: Omit<KernelSource, 'deb'>;
  /** folder of the product; also holds `System.map`, `COPYING` and `kernel.json` */
  readonly dir: string;
  /** false when it came from the cache */
  readonly built: boolean;
}

/**
 * Everything in the environment that a kernel build reads is fixed or taken away: time, user and host would end up in
 * the image, the others change what is built.
 */
const BUILD_ENVIRONMENT: Readonly<Record<string, string | undefined>> = {
  KBUILD_BUILD_TIMESTAMP: 'Thu Jan 1 00:00:00 UTC 1970',
  KBUILD_BUILD_USER: 'keelos',
  KBUILD_BUILD_HOST: 'keelos',
  KBUILD_BUILD_VERSION: '1',
  LC_ALL: 'C',
  TZ: 'UTC',
  CCACHE_DISABLE: '1',
  ...Object.fromEntries(
    [
      ...['ARCH', 'SUBARCH', 'CROSS_COMPILE', 'CC', 'LD', 'HOSTCC', 'LLVM', 'KCFLAGS', 'KAFLAGS'],
      ...[
        'KCPPFLAGS',
        'CFLAGS',
        'LDFLAGS',
        'MAKEFLAGS',
        'MFLAGS',
        'MAKELEVEL',
        'O',
        'KBUILD_OUTPUT',
      ],
      ...['LOCALVERSION', 'KCONFIG_CONFIG', 'KCONFIG_ALLCONFIG', 'KBUILD_EXTRA_SYMBOLS', 'V', 'W'],
    ].map((name) => [name, undefined]),
  ),
};

/** First line of each tool's version: another compiler makes another kernel. */
async function readToolVersions(): Promise<Record<string, string>> {
  const versions: Record<string, string> = {};
  for (const tool of ['gcc', 'ld', 'bison', 'flex']) {
    const { stdout } = await exec(tool, ['--version']);
    versions[tool] = stdout.split('\n')[0]?.trim() ?? '';
  }
  return { ...versions, zstd: process.versions.zstd ?? '' };
}

/**
 * Makes `.config` in an unpacked tree and checks that every line of every fragment is in it.
 *
 * @returns the text of `.config`
 * @throws {Error} with a list, when lines were lost
 */
async function configureTree(tree: string, inputs: KernelInputs, logFile: string): Promise<string> {
  const merged = join(tree, 'keel.allconfig');
  await writeFile(merged, renderAllConfig(inputs.options));
  await exec('make', [`KCONFIG_ALLCONFIG=${merged}`, 'allnoconfig'], {
    cwd: tree,
    env: BUILD_ENVIRONMENT,
    logFile,
    timeoutMs: CONFIGURE_TIMEOUT_MS,
  });
  const config = await readFile(join(tree, '.config'), 'utf8');
  const lost = findLostOptions(inputs.options, parseDotConfig(config));
  if (lost.length > 0) throw new Error(describeLostOptions(lost));
  return config;
}

/** A path as a word of a recipe, for make and for the shell that make starts. */
function inMake(path: string): string {
  return `'${path.replaceAll("'", "'\\''").replaceAll('$', '$$$$')}'`;
}

async function compileTree(
  tree: string,
  options: { logFile: string; detail: (text: string) => void },
): Promise<void> {
  let steps = 0;
  // Where the kernel's makefiles run zstd, they run what a node packs a kernel with (docs/decisions/0016-kernel-in-deltas.md).
  const packer = `ZSTD=${inMake(process.execPath)} ${inMake(PACKER)}`;
  await exec('nice', ['-n', '5', 'make', `-j${availableParallelism()}`, packer, 'bzImage'], {
    cwd: tree,
    env: BUILD_ENVIRONMENT,
    logFile: options.logFile,
    timeoutMs: COMPILE_TIMEOUT_MS,
    onOutput: (text) => {
      steps += text.split('\n').length - 1;
      options.detail(`step ${steps} of about ${COMPILE_STEPS}`);
    },
  });
}

async function buildInto(
  dir: string,
  context: { inputs: KernelInputs; source: KernelSource; progress: Progress; logFile: string },
): Promise<void> {
  const { inputs, source, progress, logFile } = context;
  const tree = join(dir, 'tree');
  await progress.step('unpack kernel source', { estimateSeconds: 20 }, () =>
    unpackKernelSource(source, tree),
  );
  const config = await progress.step('configure kernel', { estimateSeconds: 15 }, () =>
    configureTree(tree, inputs, logFile),
  );
  const estimateSeconds = Math.round(COMPILE_CPU_SECONDS / availableParallelism());
  await progress.step('compile kernel', { estimateSeconds }, ({ detail }) =>
    compileTree(tree, { logFile, detail }),
  );
  const release = await readFile(join(tree, 'include/config/kernel.release'), 'utf8');
  await copyFile(join(tree, 'arch/x86/boot/bzImage'), join(dir, 'bzImage'));
  await copyFile(join(tree, 'System.map'), join(dir, 'System.map'));
  await copyFile(join(tree, 'COPYING'), join(dir, 'COPYING'));
  await writeFile(join(dir, 'config'), config);
  const bytes = await readFile(join(dir, 'bzImage'));
  const { deb: _deb, ...sourceFacts } = source;
  const facts = {
    version: release.trim(),
    source: sourceFacts,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    sizeBytes: bytes.length,
  };
  await writeFile(join(dir, 'kernel.json'), `${JSON.stringify(facts, null, 2)}\n`);
  await rm(tree, { recursive: true });
}

/** The key of a kernel: options, source, tools, and the code of this folder that builds. */
async function hashKernel(inputs: KernelInputs, source: KernelSource): Promise<string> {
  return hashInputs({
    files: inputs.code,
    // Of the fragments only the options count: a better comment is no other kernel.
    values: {
      options: renderAllConfig(inputs.options),
      source: source.sha256,
      tools: await readToolVersions(),
    },
  });
}

async function openLog(name: string): Promise<string> {
  const folder = join(cacheRoot(), 'logs');
  await mkdir(folder, { recursive: true });
  const logFile = join(folder, `${name}.log`);
  await rm(logFile, { force: true });
  return logFile;
}

/**
 * The kernel of this checkout: from the cache, or built. Building takes about ten minutes on two cores and 3 GB.
 *
 * @throws {Error} when the source cannot be had, a line of a fragment is lost, or the build fails (names the log file)
 */
export async function buildKernel(options: { progress: Progress }): Promise<BuiltKernel> {
  const { progress } = options;
  const inputs = await readKernelInputs();
  const source = await progress.step('fetch kernel source', { estimateSeconds: 30 }, () =>
    fetchKernelSource(inputs.lock),
  );
  const { dir, built } = await product({
    name: 'kernel',
    inputs: await hashKernel(inputs, source),
    build: async (folder) => {
      const logFile = await openLog('kernel');
      await buildInto(folder, { inputs, source, progress, logFile });
    },
  });
  const facts = JSON.parse(await readFile(join(dir, 'kernel.json'), 'utf8')) as {
    version: string;
    source: Omit<KernelSource, 'deb'>;
  };
  return {
    bzImage: join(dir, 'bzImage'),
    config: join(dir, 'config'),
    version: facts.version,
    source: facts.source,
    dir,
    built,
  };
}

/**
 * Configures without compiling: does every line of every fragment survive? A configuration that passed is remembered.
 *
 * @returns how many options the fragments set
 * @throws {Error} like `buildKernel`
 */
export async function checkKernel(options: { progress: Progress }): Promise<{ count: number }> {
  const { progress } = options;
  const inputs = await readKernelInputs();
  const source = await progress.step('fetch kernel source', { estimateSeconds: 30 }, () =>
    fetchKernelSource(inputs.lock),
  );
  await product({
    name: 'kernel-config',
    inputs: await hashKernel(inputs, source),
    build: async (dir) => {
      const tree = join(dir, 'tree');
      const logFile = await openLog('kernel-config');
      await progress.step('unpack kernel source', { estimateSeconds: 20 }, () =>
        unpackKernelSource(source, tree),
      );
      const config = await progress.step('configure kernel', { estimateSeconds: 15 }, () =>
        configureTree(tree, inputs, logFile),
      );
      await writeFile(join(dir, 'config'), config);
      await rm(tree, { recursive: true });
    },
  });
  return { count: inputs.options.length };
}
