import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { imageSources } from '../src/sys/sources.ts';

const CHECKOUT = resolve(import.meta.dirname, '../..');

describe('the sources of an image', () => {
  it('have every message definition, the code made of them, and what makes it', async () => {
    const sources = new Set(await imageSources());
    const proto = await readdir(join(CHECKOUT, 'proto'), { recursive: true });
    const messages = proto.filter(
      (name) => !name.startsWith('node_modules') && /\.proto$|^gen\/.*\.js$/.test(name),
    );
    assert.ok(
      messages.some((name) => name === 'grpc/health/v1/health.proto'),
      messages.join(' '),
    );
    assert.ok(messages.some((name) => name === 'gen/grpc/health/v1/health_pb.js'));
    const wanted = [
      ...messages.map((name) => join('proto', name)),
      ...['proto/buf.gen.yaml', 'proto/buf.yaml', 'scripts/generate.mjs', 'package-lock.json'],
    ];
    const missing = wanted.filter((name) => !sources.has(join(CHECKOUT, name)));
    assert.deepEqual(missing, []);
  });
});
