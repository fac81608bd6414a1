// Builds the kernel and the image of this checkout, or takes both from the cache. Runs on the pinned Node: the builders
// are TypeScript. As a program it prints where the image is.

import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { buildImage } from '../../image/src/shell/build.ts';
import { createProgress } from './progress.mjs';

const CHECKOUT = resolve(import.meta.dirname, '../..');

/** Release of the checkout: the version in package.json. */
export async function checkoutVersion() {
  const { version } = JSON.parse(await readFile(join(CHECKOUT, 'package.json'), 'utf8'));
  return String(version);
}

/**
 * Builds what is not in the cache yet.
 * @param {import('./progress.mjs').Progress} progress
 */
export async function buildNode(progress) {
  return buildImage({ version: await checkoutVersion(), progress });
}

/** The same without a word: for tests, which run after the build. */
export function findBuiltNode() {
  return buildNode(createProgress({ write: () => {} }));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const image = await buildNode(createProgress());
  process.stdout.write(`${image.dir}\n`);
}
