/** What an image depends on: source files and tools. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findCommand } from '../../../scripts/lib/apt.mjs';
import { exec } from '../../../scripts/lib/exec.mjs';

const REPOSITORY = fileURLToPath(new URL('../../..', import.meta.url));

/** Folders whose files end up in an image or decide about its bytes. */
const FOLDERS = [
  'as-core/assembly',
  'as-core/src',
  'image/rootfs',
  'image/src/core',
  'image/src/entry',
  'image/src/sys',
  // The messages as they are bundled (not committed), and what they are made of (for the time of the last commit).
  'proto/gen',
  'proto/grpc',
  'proto/keel',
  'proto/src',
  'ts-agent/src',
  'ts-init/src',
];

const FILES = [
  'as-core/asconfig.json',
  'as-core/build.mjs',
  'image/debian.lock.json',
  'image/src/shell/build.ts',
  'image/src/shell/squashfs.ts',
  'package-lock.json',
  'proto/buf.gen.yaml',
  'proto/buf.yaml',
  'scripts/generate.mjs',
];

/** The virtual machine harness does not change an image. */
const NOT_AN_INPUT = /^image\/src\/sys\/(kvm|qemu|qmp|vm)[^/]*$/;

/** Reproducible bytes need one version of each; the fourth line for people who miss a tool. */
const TOOLS = [
  { command: 'mke2fs', args: ['-V'], package: 'e2fsprogs' },
  { command: 'strip', args: ['--version'], package: 'binutils' },
] as const;

/** What a build needs beside Node, in the form that `ensureTools` takes. */
export const BUILD_TOOLS = [
  ...TOOLS.map(({ command, package: name }) => ({ command, package: name, why: 'image build' })),
  { command: 'dpkg-deb', package: 'dpkg', why: 'unpacking of packages for the image' },
];

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(join(REPOSITORY, folder), {
    withFileTypes: true,
    recursive: true,
  }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []; // a package without sources yet
    throw error;
  });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Absolute paths of every source file that an image depends on. */
export async function imageSources(): Promise<string[]> {
  const found = await Promise.all(FOLDERS.map(filesBelow));
  const files = [...found.flat(), ...FILES.map((file) => join(REPOSITORY, file))];
  return files.filter((file) => !NOT_AN_INPUT.test(file.slice(REPOSITORY.length))).sort();
}

/** Command to the first line in which it names its version. */
export async function toolVersions(): Promise<Record<string, string>> {
  const versions = TOOLS.map(async ({ command, args }) => {
    // Some name their version and exit with 1.
    const run = exec(findCommand(command) ?? command, args);
    const text = await run.then(
      ({ stdout, stderr }) => stdout + stderr,
      (error: Error) => error.message,
    );
    const line = text.split('\n').find((candidate) => /\d+\.\d+/.test(candidate));
    if (line === undefined) throw new Error(`Cannot find the version of ${command}: ${text}`);
    return [command, line.trim()] as const;
  });
  return Object.fromEntries(await Promise.all(versions));
}

/**
 * Time that everything in an image carries: $SOURCE_DATE_EPOCH, else the last commit that touched an input, else (no
 * git history) a fixed time. Unix seconds.
 */
export async function buildEpochSeconds(): Promise<number> {
  const given = process.env.SOURCE_DATE_EPOCH;
  if (given !== undefined && /^\d{1,10}$/.test(given)) return Number(given);
  const paths = ['--', ...FOLDERS, ...FILES, 'kernel'];
  const args = ['log', '-1', '--format=%ct', ...paths];
  const text = await exec('git', args, { cwd: REPOSITORY }).then(
    ({ stdout }) => stdout.trim(),
    () => '', // no git, or not a checkout
  );
  return /^\d+$/.test(text) ? Number(text) : FALLBACK_EPOCH_SECONDS;
}

/** 2026-11-01: a clock that says less is wrong. */
const FALLBACK_EPOCH_SECONDS = 1_793_491_200;
