// keel-kernel: build, check and document the kernel.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { createProgress } from '../../scripts/lib/progress.mjs';
import { buildKernel, checkKernel } from './build.ts';
import { renderReferencePage } from './core/reference-page.ts';
import { readKernelInputs } from './inputs.ts';

const PAGE = resolve(import.meta.dirname, '../../docs/reference/kernel.md');

const USAGE = `keel-kernel build [--json]   build the kernel, or take it from the cache; prints where it is
keel-kernel check            does every line of kernel/config survive Kconfig?
keel-kernel doc [--check]    write docs/reference/kernel.md; with --check exit 1 when it is stale
`;

async function build(json: boolean): Promise<number> {
  const kernel = await buildKernel({ progress: createProgress() });
  const text = `${kernel.version} ${kernel.built ? 'built' : 'from the cache'}\n${kernel.bzImage}\n`;
  process.stdout.write(json ? `${JSON.stringify(kernel)}\n` : text);
  return 0;
}

async function check(): Promise<number> {
  const { count } = await checkKernel({ progress: createProgress() });
  process.stdout.write(`All ${count} options survive.\n`);
  return 0;
}

async function doc(checkOnly: boolean): Promise<number> {
  const { fragments, kspp, lock } = await readKernelInputs();
  const wanted = renderReferencePage(fragments, kspp, lock);
  if (!checkOnly) {
    await mkdir(dirname(PAGE), { recursive: true });
    await writeFile(PAGE, wanted);
    return 0;
  }
  const found = await readFile(PAGE, 'utf8').catch(() => ''); // an absent page is a stale one
  if (found === wanted) return 0;
  process.stderr.write('docs/reference/kernel.md is stale: run `keel-kernel doc`\n');
  return 1;
}

async function main(args: readonly string[]): Promise<number> {
  const [command, flag, ...rest] = args;
  const accepts = (name?: string) => (flag === undefined || flag === name) && rest.length === 0;
  if (command === 'build' && accepts('--json')) return build(flag === '--json');
  if (command === 'check' && accepts()) return check();
  if (command === 'doc' && accepts('--check')) return doc(flag === '--check');
  if (command === '--help' && accepts()) {
    process.stdout.write(USAGE);
    return 0;
  }
  process.stderr.write(USAGE);
  return 2;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
