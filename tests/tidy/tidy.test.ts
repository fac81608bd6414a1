import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { errorCodes, expectedFiles, pageLinks } from './documents.ts';
import { LAYER_EXCEPTIONS, LONG_FILES, TEXT_EXCEPTIONS } from './exceptions.data.ts';
import { longFunctions } from './function-length.ts';
import { layerRule, PACKAGES } from './layers.ts';
import {
  documentedExports,
  fileLength,
  forbiddenText,
  namedAfterContent,
  noLargeBinaries,
} from './limits.ts';
import {
  exactVersions,
  explainedDependencies,
  fittingLicences,
  lockWithoutAddresses,
  ownLicence,
  usedDependencies,
} from './packages.ts';
import type { Rule, Tree } from './tree.ts';
import { trackedTree } from './tree.ts';

const CHECKOUT = resolve(import.meta.dirname, '../..');
const GENERATORS_TIMEOUT_MS = 120_000;

describe('the repository', () => {
  let tree: Tree;

  before(() => {
    tree = trackedTree(CHECKOUT);
    assert(tree.size > 100, 'git knows too few files here');
  });

  const rules: readonly (readonly [promise: string, rule: Rule])[] = [
    [
      'imports only from layer to layer and package to package as allowed',
      layerRule(LAYER_EXCEPTIONS),
    ],
    ['has no overlong file', fileLength(LONG_FILES)],
    ['has no large binary file', noLargeBinaries],
    [
      'has no note to self, registry host, path of one machine or test left out',
      forbiddenText(TEXT_EXCEPTIONS),
    ],
    ['names files after what they hold', namedAfterContent],
    ['says of every export what it guarantees', documentedExports],
    ['names exact versions', exactVersions],
    ['has one licence', ownLicence],
    ['has a lock file without addresses', lockWithoutAddresses],
    ['ships nothing with a licence that does not fit', fittingLicences],
    ['explains every run-time dependency', explainedDependencies],
    ['names no dependency that nothing imports', usedDependencies],
    ['has what readers look for', expectedFiles],
    ['documents and uses every error code', errorCodes],
    ['has no dead link between its pages', pageLinks],
  ];
  for (const [promise, rule] of rules) {
    it(promise, () => assert.deepEqual(rule(tree), []));
  }

  it('has no overlong function', async () => {
    const folders = PACKAGES.map((name) => (name === 'scripts' ? name : `${name}/src`));
    const found = await longFunctions(CHECKOUT, {
      biome: join(CHECKOUT, 'node_modules/.bin/biome'),
      folders: folders.filter((folder) => existsSync(join(CHECKOUT, folder))),
    });
    assert.deepEqual(found, []);
  }).timeout(GENERATORS_TIMEOUT_MS);

  it('has reference pages that say what the code says', async () => {
    const node = join(CHECKOUT, 'node_modules/.bin/node');
    await promisify(execFile)(node, ['scripts/docs.mjs', '--check'], { cwd: CHECKOUT });
  }).timeout(GENERATORS_TIMEOUT_MS);
});
