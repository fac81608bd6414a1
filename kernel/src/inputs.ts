// Reads what a kernel is made from: fragments, exceptions, lock file.

import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import {
  type Fragment,
  type KernelOption,
  mergeFragments,
  parseFragment,
} from './core/fragment.ts';
import { ksppRecommendations } from './core/kspp.data.ts';
import { judgeKspp, type KsppVerdict, parseKsppExceptions } from './core/kspp.ts';
import type { SourceLock } from './core/reference-page.ts';

const KERNEL_FOLDER = resolve(import.meta.dirname, '..');

/** Everything that decides what the kernel will be, but for the compiler. */
export interface KernelInputs {
  readonly fragments: readonly Fragment[];
  readonly options: readonly KernelOption[];
  readonly kspp: KsppVerdict;
  readonly lock: SourceLock;
  /** absolute paths of the code that builds: with `options` and the source, all that decides the bytes */
  readonly code: readonly string[];
}

/** Order of the fragments in the merged file and on the reference page. */
const FRAGMENT_ORDER = [
  'platform',
  'virt',
  'storage',
  'network',
  'containers',
  'hardware',
  'security',
];

function readLock(text: string): SourceLock {
  const value: unknown = JSON.parse(text);
  const fields = ['suite', 'package', 'version', 'sha256'] as const;
  const record = value as Partial<Record<(typeof fields)[number], unknown>> | null;
  const wrong = fields.filter((field) => typeof record?.[field] !== 'string');
  if (wrong.length > 0) throw new Error(`kernel/source.lock.json lacks ${wrong.join(', ')}`);
  return value as SourceLock;
}

/**
 * Reads and judges the inputs.
 *
 * @throws {Error} when a fragment cannot be read, an option is set twice, a fragment has no place in the order, or a
 *   recommendation is neither followed nor excepted
 */
export async function readKernelInputs(): Promise<KernelInputs> {
  const configFolder = join(KERNEL_FOLDER, 'config');
  const names = (await readdir(configFolder))
    .filter((file) => file.endsWith('.config'))
    .map((file) => file.slice(0, -'.config'.length));
  const unknown = names.filter((name) => !FRAGMENT_ORDER.includes(name));
  if (unknown.length > 0) throw new Error(`Fragments without a place: ${unknown.join(', ')}`);

  const files = FRAGMENT_ORDER.map((name) => join(configFolder, `${name}.config`));
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')));
  const fragments = texts.map((text, index) => parseFragment(FRAGMENT_ORDER[index] ?? '', text));
  const options = mergeFragments(fragments);
  const exceptionsFile = join(configFolder, 'kspp-exceptions');
  const exceptions = parseKsppExceptions(await readFile(exceptionsFile, 'utf8'));
  const kspp = judgeKspp(ksppRecommendations, options, exceptions);
  if (kspp.problems.length > 0) {
    throw new Error(`Kernel Self Protection Project:\n  ${kspp.problems.join('\n  ')}`);
  }
  const lockFile = join(KERNEL_FOLDER, 'source.lock.json');
  const code = [
    ...['build.ts', 'source.ts', 'pack-payload.ts'].map((file) => join(import.meta.dirname, file)),
    resolve(KERNEL_FOLDER, '../as-core/src/kernel-packing.ts'),
  ];
  return {
    fragments,
    options,
    kspp,
    lock: readLock(await readFile(lockFile, 'utf8')),
    code,
  };
}
