/**
 * Deltas between releases of KeelOS itself, against what others make of the same bundles, and how long a node takes to
 * install by one against the whole bundle. The kernel of the pairs is the same build with one message changed, packed
 * again: a build of another one takes half an hour, and is measured on two bundles of the caller's own
 * (`delta --old FILE --new FILE`).
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BundleFactory, TestBundle } from '@keelos/tests/bundle-factory.ts';
import { CheckoutCopy } from '@keelos/tests/checkout-copy.ts';
import { withOtherKernel } from '@keelos/tests/kernel-image-edit.ts';
import { CHECKOUT } from '@keelos/tests/test-node.ts';
import { KERNEL_DELTA_NODE, UPDATE_TIMEOUT_MS, UpdateLab } from '@keelos/tests/update-lab.ts';
import { nextVersion, openBuilt } from '../scripts/lib/node-image.mjs';
import { compareDeltas, OWN_DELTA } from './delta.ts';
import { type Figure, figure } from './report.ts';

const BENCH = 'release-delta';

/** One text in one file that is another one. */
interface Edit {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

const COMMAND_LINE: Edit = {
  file: 'image/src/core/command-line.ts',
  from: 'softdog.soft_margin=120',
  to: 'softdog.soft_margin=180',
};
const TYPESCRIPT: Edit = {
  file: 'ts-agent/src/shell/health.ts',
  from: 'The API answers.',
  to: 'The API answers who calls it.',
};

/** What differs beside the version. */
interface Difference {
  readonly edits: readonly Edit[];
  readonly isKernelOther?: true;
}

/** Name of a pair to what differs in its newer release. */
const DIFFERENCES: Readonly<Record<string, Difference>> = {
  'version-alone': { edits: [] },
  'command-line': { edits: [COMMAND_LINE] },
  typescript: { edits: [TYPESCRIPT] },
  kernel: { edits: [], isKernelOther: true },
  everything: { edits: [COMMAND_LINE, TYPESCRIPT], isKernelOther: true },
};

/** The pairs that are installed on a node as well. */
const INSTALLED: ReadonlySet<string> = new Set(['typescript', 'everything']);

/** A bundle of this checkout's sources with a difference, under the next version. */
async function changedBundle(
  factory: BundleFactory,
  of: { readonly name: string; readonly difference: Difference; readonly scratch: string },
): Promise<TestBundle> {
  const folder = join(of.scratch, of.name);
  await mkdir(folder);
  const copy = await CheckoutCopy.make(folder);
  for (const { file, from, to } of of.difference.edits) await copy.edit(file, from, to);
  const out = join(folder, 'image');
  const { exitCode, stderr } = await copy.build(out, { version: await nextVersion() });
  if (exitCode !== 0) throw new Error(stderr);
  const image = await openBuilt(out);
  if (of.difference.isKernelOther !== true) return factory.ofImage(of.name, image);
  const uki = join(folder, 'kernel-image');
  await writeFile(uki, await withOtherKernel(await readFile(image.uki)));
  return factory.ofImage(of.name, { ...image, uki });
}

/** Seconds until the release is armed; afterwards it is given up. */
async function installSeconds(lab: UpdateLab, ...source: readonly string[]): Promise<number> {
  const startMs = performance.now();
  const run = async (...args: readonly string[]) => {
    const { exitCode, stderr } = await lab.node.osctlWithin(UPDATE_TIMEOUT_MS, 'update', ...args);
    if (exitCode !== 0) throw new Error(stderr);
  };
  await run(...source, '--no-reboot', '--timeout', '9m');
  const seconds = (performance.now() - startMs) / 1000;
  await run('--cancel');
  return seconds;
}

/** Figures of each pair, and of one node. */
export async function releaseDelta(): Promise<Figure[]> {
  await mkdir(join(CHECKOUT, '.vm'), { recursive: true });
  const scratch = await mkdtemp(join(CHECKOUT, '.vm', 'bench-'));
  const lab = await UpdateLab.open('bench-release-delta', KERNEL_DELTA_NODE);
  try {
    const { path: older } = await lab.factory.beginning();
    const figures: Figure[] = [];
    for (const [name, difference] of Object.entries(DIFFERENCES)) {
      const { path: newer } = await changedBundle(lab.factory, { name, difference, scratch });
      const folder = join(scratch, `${name}-delta`);
      await mkdir(folder);
      const labels = { bench: BENCH, prefix: `${name}-` };
      const pair = { older, newer };
      figures.push(...(await compareDeltas(labels, { pair, scratch: folder })));
      const delta = join(folder, OWN_DELTA);
      if (INSTALLED.has(name)) figures.push(await installed(lab, { name, delta, bundle: newer }));
    }
    return figures;
  } finally {
    await lab.close();
    await rm(scratch, { recursive: true, force: true });
  }
}

async function installed(
  lab: UpdateLab,
  of: { readonly name: string; readonly delta: string; readonly bundle: string },
): Promise<Figure> {
  const byDelta = await installSeconds(lab, '--source', lab.server.add(of.delta), '--delta');
  const byBundle = await installSeconds(lab, '--source', lab.server.add(of.bundle));
  return figure({
    ...{
      bench: BENCH,
      name: `${of.name}-install-on-a-node`,
      unit: 's',
      better: 'lower',
      values: [byDelta],
    },
    rival: { name: 'the whole bundle', values: [byBundle] },
  });
}
