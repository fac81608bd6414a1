import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readRecord, resetNode } from '../lib/local-node.mjs';

describe('the folder of the local node', () => {
  let dir = '';
  let before: string | undefined;

  beforeEach(async () => {
    dir = join(await mkdtemp(join(tmpdir(), 'keel-node-')), 'node');
    await mkdir(dir);
    before = process.env.KEEL_VM_DIR;
    process.env.KEEL_VM_DIR = dir;
  });
  afterEach(async () => {
    if (before === undefined) delete process.env.KEEL_VM_DIR;
    else process.env.KEEL_VM_DIR = before;
    await rm(join(dir, '..'), { recursive: true });
  });

  const write = async (...names: string[]) => {
    for (const name of names) await writeFile(join(dir, name), '');
  };

  it('goes with the node, and its absence is no error', async () => {
    await write('disk.raw', 'disk.raw.17.new', 'firmware-vars.fd', 'vm.json', 'node.json');
    await resetNode();
    assert.ok(!existsSync(dir));
    await resetNode();
  });

  it('stays with everything in it that is not of the node', async () => {
    await write('disk.raw', 'console.log', 'thesis.txt');
    await mkdir(join(dir, 'photographs'));
    await resetNode();
    assert.deepEqual((await readdir(dir)).sort(), ['photographs', 'thesis.txt']);
  });

  it('is not touched when it is no folder of a node', async () => {
    await write('thesis.txt');
    await assert.rejects(resetNode(), /holds no file of a node/);
    assert.deepEqual(await readdir(dir), ['thesis.txt']);
  });

  it('has no node in it when node.json is damaged', async () => {
    for (const text of ['', '{', 'null', '{"rootHash": 1}']) {
      await writeFile(join(dir, 'node.json'), text);
      assert.equal(await readRecord(), undefined, text);
    }
  });
});
