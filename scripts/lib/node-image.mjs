// Builds the kernel and the image of this checkout, or takes both from the cache. Runs on the pinned Node: the builders
// are TypeScript. As a program it prints where the image is.

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { buildImage } from '../../image/src/shell/build.ts';
import { IMAGE_FILES } from '../../image/src/shell/image-files.ts';
import { createProgress } from './progress.mjs';
import { testKeys } from './test-keys.mjs';

const CHECKOUT = resolve(import.meta.dirname, '../..');

/** Release of the checkout: the version in package.json. */
export async function checkoutVersion() {
  const { version } = JSON.parse(await readFile(join(CHECKOUT, 'package.json'), 'utf8'));
  return String(version);
}

/** A release that comes after the checkout's own: the same sources under the next minor version. */
export async function nextVersion() {
  const [major = '0', minor = '0'] = (await checkoutVersion()).split('.');
  return `${major}.${Number(minor) + 1}.0`;
}

/**
 * Builds what is not in the cache yet. The node trusts the keys of `testKeys()`.
 * @param {import('./progress.mjs').Progress} progress
 * @param {{ out?: string, version?: string }} [options] `out`: a folder that gets a copy; `version`: the checkout's
 *   own when absent
 */
export async function buildNode(progress, options = {}) {
  const { trustFile, channelTrustFile } = await testKeys();
  const [trust, channelTrust] = [await readFile(trustFile), await readFile(channelTrustFile)];
  const version = await checkoutVersion();
  return buildImage({ version, trust, channelTrust, progress, ...options });
}

/** Folder of the next version inside that of the checkout's own, when a run of tests has built both. */
const NEXT_DIR = 'next';

/**
 * The image for a test: the one whose folder `$KEEL_IMAGE_DIR` names (the test run sets it, so that all tests look at
 * the same image), else the same as `buildNode`, without a word.
 *
 * @returns {Promise<import('../../image/src/shell/build.ts').BuiltImage>}
 */
export async function findBuiltNode() {
  const dir = process.env.KEEL_IMAGE_DIR;
  return dir === undefined ? buildNode(createProgress({ write: () => {} })) : openBuilt(dir);
}

/**
 * The next version of the same sources, for a test that updates a node to it; found or built as in `findBuiltNode`.
 *
 * @returns {Promise<import('../../image/src/shell/build.ts').BuiltImage>}
 */
export async function findNextNode() {
  const dir = process.env.KEEL_IMAGE_DIR;
  if (dir !== undefined && existsSync(join(dir, NEXT_DIR))) return openBuilt(join(dir, NEXT_DIR));
  return buildNode(createProgress({ write: () => {} }), { version: await nextVersion() });
}

/** @param {string} dir @returns {Promise<import('../../image/src/shell/build.ts').BuiltImage>} */
export async function openBuilt(dir) {
  const path = (/** @type {keyof typeof IMAGE_FILES} */ name) => join(dir, IMAGE_FILES[name]);
  const manifest = JSON.parse(await readFile(path('manifest'), 'utf8'));
  return {
    ...{ dir, manifest, built: false, rootHash: manifest.rootHash },
    ...{ disk: path('disk'), uki: path('uki'), root: path('root'), sbom: path('sbom') },
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  // With a folder as argument the image is copied there: the cache keeps only the last few. "--next": the next version
  // as well, in a folder inside it.
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { next: { type: 'boolean', default: false } },
  });
  const [out] = positionals;
  const image = await buildNode(createProgress(), out === undefined ? {} : { out });
  if (values.next && out !== undefined) {
    const next = { out: join(out, NEXT_DIR), version: await nextVersion() };
    await buildNode(createProgress(), next);
  }
  process.stdout.write(`${image.dir}\n`);
}
