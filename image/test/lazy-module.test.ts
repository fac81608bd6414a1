import assert from 'node:assert/strict';
import * as crypto from 'node:crypto';
import { createRequire } from 'node:module';
import { lazyModule } from '@keelos/image/entry/lazy-module.ts';

const require = createRequire(import.meta.url);

describe('lazy module', () => {
  it('loads nothing until something is used, and then once', () => {
    let loads = 0;
    const module = lazyModule(() => {
      loads += 1;
      return { one: 1 };
    }) as { one: number };
    assert.equal(loads, 0);
    assert.equal(module.one, 1);
    assert.equal(module.one, 1);
    assert.equal(loads, 1);
  });

  it('looks like the module in every way that a bundler looks at one', () => {
    const real = require('node:crypto');
    const lazy = lazyModule(() => real) as typeof crypto;
    assert.deepEqual(Object.getOwnPropertyNames(lazy), Object.getOwnPropertyNames(real));
    assert.equal('createHash' in lazy, true);
    assert.equal('nothing' in lazy, false);
    // What esbuild does with a default import: every own property becomes a getter of a new object.
    const copy = Object.fromEntries(
      Object.getOwnPropertyNames(lazy).map((name) => [
        name,
        Object.getOwnPropertyDescriptor(lazy, name)?.enumerable,
      ]),
    );
    assert.equal(copy.createHash, true);
    const digest = lazy.createHash('sha256').update('x').digest('hex');
    assert.equal(digest, crypto.createHash('sha256').update('x').digest('hex'));
  });
});
