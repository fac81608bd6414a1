/**
 * Deltas between releases of KeelOS itself: bytes against the whole bundle, the time to make and to apply each, and how
 * long a node takes to install by one against the whole bundle. A new kernel takes half an hour to build: it is measured
 * on two bundles of the caller's own (`delta --old FILE --new FILE`).
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BundleFactory, TestBundle } from '@keelos/tests/bundle-factory.ts';
import { CheckoutCopy } from '@keelos/tests/checkout-copy.ts';
import { CHECKOUT } from '@keelos/tests/test-node.ts';
import { UPDATE_TIMEOUT_MS, UpdateLab } from '@keelos/tests/update-lab.ts';
import { nextVersion, openBuilt } from '../scripts/lib/node-image.mjs';
import { OWN_DELTA, ownDelta } from './delta.ts';
import { type Figure, figure } from './report.ts';

const BENCH = 'release-delta';

/** What is changed beside the version: one text in one file. */
interface Edit {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** Name of a pair to what differs in its newer release. */
const EDITS: Readonly<Record<string, Edit | undefined>> = {
  'version-alone': undefined,
  'command-line': {
    file: 'image/src/core/command-line.ts',
    from: 'softdog.soft_margin=120',
    to: 'softdog.soft_margin=180',
  },
  typescript: {
    file: 'ts-agent/src/shell/health.ts',
    from: 'The API answers.',
    to: 'The API answers who calls it.',
  },
};

/** The pair that is installed on a node as well. */
const INSTALLED = 'typescript';

/** A bundle of this checkout's sources with an edit, under the next version. */
async function editedBundle(
  factory: BundleFactory,
  of: { readonly name: string; readonly edit: Edit | undefined; readonly scratch: string },
): Promise<TestBundle> {
  const folder = join(of.scratch, of.name);
  await mkdir(folder);
  const copy = await CheckoutCopy.make(folder);
  if (of.edit !== undefined) await copy.edit(of.edit.file, of.edit.from, of.edit.to);
  const out = join(folder, 'image');
  const { exitCode, stderr } = await copy.build(out, { version: await nextVersion() });
  if (exitCode !== 0) throw new Error(stderr);
  return factory.ofImage(of.name, await openBuilt(out));
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
  const lab = await UpdateLab.open('bench-release-delta');
  try {
    const older = await lab.factory.beginning();
    const figures: Figure[] = [];
    for (const [name, edit] of Object.entries(EDITS)) {
      const newer = await editedBundle(lab.factory, { name, edit, scratch });
      const folder = join(scratch, `${name}-delta`);
      await mkdir(folder);
      const mine = await ownDelta({ older: older.path, newer: newer.path, scratch: folder });
      const inSeconds = { bench: BENCH, unit: 's', better: 'lower' } as const;
      figures.push(
        figure({
          ...{ bench: BENCH, name: `${name}-bytes`, unit: 'bytes', better: 'lower' },
          values: [mine.bytes],
          rival: { name: 'the whole bundle', values: [newer.sizeBytes] },
        }),
        figure({ ...inSeconds, name: `${name}-generate`, values: [mine.seconds] }),
        figure({ ...inSeconds, name: `${name}-apply`, values: [mine.applySeconds] }),
      );
      const delta = join(folder, OWN_DELTA);
      if (name === INSTALLED) figures.push(await installed(lab, { delta, bundle: newer.path }));
    }
    return figures;
  } finally {
    await lab.close();
    await rm(scratch, { recursive: true, force: true });
  }
}

async function installed(
  lab: UpdateLab,
  { delta, bundle }: { readonly delta: string; readonly bundle: string },
): Promise<Figure> {
  const byDelta = await installSeconds(lab, '--source', lab.server.add(delta), '--delta');
  const byBundle = await installSeconds(lab, '--source', lab.server.add(bundle));
  return figure({
    ...{ bench: BENCH, name: 'install-on-a-node', unit: 's', better: 'lower', values: [byDelta] },
    rival: { name: 'the whole bundle', values: [byBundle] },
  });
}
