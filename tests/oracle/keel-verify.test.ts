/** Every command of docs/reference/keel-verify.md on the built image, and what the two WASI hosts say of it. */
import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Ended, runProgram } from '@keelos/tests/program.ts';
import { CHECKOUT } from '@keelos/tests/test-node.ts';
import { findBuiltNode } from '../../scripts/lib/node-image.mjs';
import { installWasmtime } from '../../scripts/lib/wasmtime.mjs';
import { readPage } from '../docs/fences.ts';

const PAGE = 'docs/reference/keel-verify.md';
const TIMEOUT_MS = 120_000;
const FLIPPED_BLOCK = 700;
const BLOCK_BYTES = 4096;

describe('keel-verify on the built image', function () {
  this.timeout(TIMEOUT_MS);
  let folder: string;
  let root: string;
  let python: string;

  before(async () => {
    root = (await findBuiltNode()).root;
    python = await installWasmtime();
    await mkdir(join(CHECKOUT, '.vm'), { recursive: true });
    folder = await mkdtemp(join(CHECKOUT, '.vm', 'keel-verify-'));
    // Copies: a WASI host follows no link out of the folder that it was told to open.
    await mkdir(join(folder, 'dist/0.1.0'), { recursive: true });
    for (const [from, name] of [
      [root, 'root.squashfs'],
      [join(dirname(root), 'manifest.json'), 'manifest.json'],
    ] as const) {
      await copyFile(from, join(folder, 'dist/0.1.0', name));
    }
    await symlink(join(CHECKOUT, 'as-core'), join(folder, 'as-core'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const shell = (script: string): Promise<Ended> =>
    runProgram('bash', ['-euo', 'pipefail', '-c', script], {
      cwd: folder,
      env: { PYTHONPATH: python },
      timeoutMs: TIMEOUT_MS,
    });

  it('the page shows commands that work', async () => {
    const { blocks, problems } = readPage(PAGE, await readFile(join(CHECKOUT, PAGE), 'utf8'));
    assert.deepEqual(problems, []);
    assert.equal(blocks.length, 3);
    for (const { text, line } of blocks) {
      const { exitCode, stderr } = await shell(text);
      assert.equal(exitCode, 0, `${PAGE}:${line}: ${stderr}`);
    }
  });

  it('both hosts verify and list it alike', async () => {
    const image = 'dist/0.1.0/root.squashfs';
    for (const command of ['verify', 'list', 'sha256', 'verity']) {
      const node = await shell(`npm run --silent keel-verify -- ${command} ${image} || echo $?`);
      const other = await shell(
        `python3 as-core/wasi/wasmtime-host.py as-core/build/keel-verify.wasm ${command} ${image} || echo $?`,
      );
      assert.ok(node.stdout.length > 0);
      assert.equal(other.stdout, node.stdout, command);
    }
  });

  it('finds one flipped bit', async () => {
    const file = join(folder, 'flipped');
    const bytes = await readFile(root);
    const at = FLIPPED_BLOCK * BLOCK_BYTES + 1;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    await writeFile(file, bytes);
    const salt = '"$(jq -r .salt dist/0.1.0/manifest.json)"';
    const { exitCode, stdout } = await shell(
      `npm run --silent keel-verify -- verity flipped --salt ${salt}`,
    );
    assert.equal(exitCode, 1);
    assert.ok(stdout.startsWith(`bad block ${FLIPPED_BLOCK} of level 0\n`), stdout);
  });
});
