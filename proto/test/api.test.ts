import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkApi } from '@keelos/proto/tools/api-lock.ts';
import { buildApi, CHECKOUT } from '@keelos/proto/tools/buf.ts';

const PROTO = join(CHECKOUT, 'proto');

describe('the API', () => {
  let copy: string;

  beforeEach(async () => {
    copy = await mkdtemp(join(tmpdir(), 'keel-api-'));
    for (const name of ['buf.yaml', 'keel', 'grpc']) {
      await cp(join(PROTO, name), join(copy, name), { recursive: true });
    }
  });

  afterEach(() => rm(copy, { recursive: true }));

  async function edit(file: string, from: string | RegExp, to: string): Promise<void> {
    const path = join(copy, 'keel/v1', file);
    const before = await readFile(path, 'utf8');
    const after = before.replace(from, to);
    assert.notEqual(after, before);
    await writeFile(path, after);
  }

  it('is clean, and compatible with what was promised', async () => {
    assert.deepEqual(await checkApi(copy), []);
  });

  const broken: readonly (readonly [
    name: string,
    file: string,
    RegExp,
    string,
    finding: RegExp,
  ])[] = [
    ['a field that is gone', 'health.proto', / *\/\/ What to do.*\n.*remedy = 5;\n/, '', /remedy/],
    ['a field with another number', 'health.proto', 'remedy = 5', 'remedy = 6', /remedy/],
    ['a field of another type', 'health.proto', 'string remedy', 'bytes remedy', /remedy/],
    ['a renamed field', 'health.proto', 'string remedy', 'string cure', /remedy/],
    [
      'a method that is gone',
      'lifecycle.proto',
      / *\/\/ Shutdown.*\n *rpc Shutdown.*\n/,
      '',
      /Shutdown/,
    ],
    [
      'an enum value that is gone',
      'health.proto',
      / *\/\/ Does not work.*\n.*FAILING = 3;\n/,
      '',
      /enum value "3"/,
    ],
    ['a field without a comment', 'health.proto', / *\/\/ What to do.*\n/, '', /non-empty comment/],
    [
      'a field in camel case',
      'health.proto',
      'string remedy = 5;',
      'string remedy = 5;\n  // New.\n  string newField = 6;',
      /newField/,
    ],
    ['a file that does not compile', 'health.proto', 'string remedy', 'strong remedy', /strong/],
  ].map((row) => row as [string, string, RegExp, string, RegExp]);
  for (const [name, file, from, to, finding] of broken) {
    it(`is not accepted with ${name}`, async () => {
      await edit(file, from, to);
      assert.match((await checkApi(copy)).join('\n'), finding);
    });
  }

  it('may grow', async () => {
    await edit(
      'health.proto',
      'string remedy = 5;',
      'string remedy = 5;\n  // New.\n  string fresh = 6;',
    );
    assert.deepEqual(await checkApi(copy), []);
  });

  it('has every file of it in the lock', async () => {
    const lock = JSON.parse(await readFile(join(PROTO, 'api.lock.json'), 'utf8'));
    const api = await buildApi({ withComments: false });
    const names = (file: { package: string; name: string }) => file.name;
    assert.deepEqual(api.file.map(names), lock.file.map(names));
  });
});
