import assert from 'node:assert/strict';
import { wholeSetting } from '@keelos/tests/whole-setting.ts';

describe('a number from the environment', () => {
  it('is what was given, and the default when nothing was', () => {
    assert.equal(wholeSetting('KEEL_CUTS', 50, {}), 50);
    assert.equal(wholeSetting('KEEL_CUTS', 50, { KEEL_CUTS: '7' }), 7);
  });

  for (const given of ['', ' ', '0', '-1', '1.5', '1e3', '0x10', '5O', '007', '9'.repeat(20)]) {
    it(`is refused as ${JSON.stringify(given)}`, () => {
      assert.throws(
        () => wholeSetting('KEEL_CUTS', 50, { KEEL_CUTS: given }),
        (error) => error instanceof RangeError && error.message.includes('KEEL_CUTS'),
      );
    });
  }
});
