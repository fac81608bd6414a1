import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseFragment } from '../src/core/fragment.ts';
import { describeLostOptions, findLostOptions, parseDotConfig } from '../src/core/survival.ts';

const options = parseFragment(
  's',
  '# About.\n\nCONFIG_ON=y\nCONFIG_OFF=n\nCONFIG_NUMBER=10\nCONFIG_TEXT="a=b"\n',
).options;
const GOOD =
  'CONFIG_ON=y\n# CONFIG_OFF is not set\nCONFIG_NUMBER=10\nCONFIG_TEXT="a=b"\nCONFIG_OTHER=y\n';

describe('findLostOptions', () => {
  it('finds nothing when every line survived, whether an option is off or unknown', () => {
    assert.deepEqual(findLostOptions(options, parseDotConfig(GOOD)), []);
    const withoutOff = GOOD.replace('# CONFIG_OFF is not set\n', '');
    assert.deepEqual(findLostOptions(options, parseDotConfig(withoutOff)), []);
  });

  const broken: readonly [string, string, string, string][] = [
    [
      'an option that was turned off',
      'CONFIG_ON=y',
      '# CONFIG_ON is not set',
      'CONFIG_ON=y became not set',
    ],
    ['an option that vanished', 'CONFIG_ON=y\n', '', 'CONFIG_ON=y became not set'],
    ['an option that became a module', 'CONFIG_ON=y', 'CONFIG_ON=m', 'CONFIG_ON=y became m'],
    [
      'an option that something selected',
      '# CONFIG_OFF is not set',
      'CONFIG_OFF=y',
      'CONFIG_OFF=n became y',
    ],
    ['another number', 'CONFIG_NUMBER=10', 'CONFIG_NUMBER=100', 'CONFIG_NUMBER=10 became 100'],
    ['another text', '"a=b"', '"a"', 'CONFIG_TEXT="a=b" became "a"'],
  ];
  for (const [what, from, to, message] of broken) {
    it(`finds ${what}`, () => {
      const lost = findLostOptions(options, parseDotConfig(GOOD.replace(from, to)));
      assert.equal(lost.length, 1);
      assert.ok(describeLostOptions(lost).includes(message), describeLostOptions(lost));
      assert.match(describeLostOptions(lost), /s\.config:\d/);
    });
  }

  it('finds exactly the lines that were taken out, whichever they are', () => {
    const on = Array.from({ length: 20 }, (_, index) => `CONFIG_N${index}=y`);
    const many = parseFragment('m', `# About.\n\n${on.join('\n')}\n`).options;
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(19)), (taken) => {
        const kept = on.filter((_, index) => !taken.includes(index));
        const lost = findLostOptions(many, parseDotConfig(kept.join('\n')));
        const names = lost.map(({ option }) => option.name).sort();
        assert.deepEqual(names, taken.map((index) => `CONFIG_N${index}`).sort());
      }),
    );
  });
});
