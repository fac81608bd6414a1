import assert from 'node:assert/strict';
import { parseFragment } from '../src/core/fragment.ts';
import { judgeKspp, parseKsppExceptions } from '../src/core/kspp.ts';

const recommendations = new Map([
  ['CONFIG_A', 'y'],
  ['CONFIG_B', 'n'],
  ['CONFIG_C', '7'],
]);
const judge = (lines: string, exceptions: string) =>
  judgeKspp(
    recommendations,
    parseFragment('k', `# About.\n\n${lines}\n`).options,
    parseKsppExceptions(exceptions),
  );

describe('judgeKspp', () => {
  it('is content when each recommendation is followed or has a reason', () => {
    const verdict = judge('CONFIG_A=y\nCONFIG_B=n', 'CONFIG_C=7\n  Costs too much,\n  twice.\n');
    assert.deepEqual(verdict.problems, []);
    assert.deepEqual(verdict.followed, ['CONFIG_A', 'CONFIG_B']);
    assert.equal(verdict.excepted[0]?.reason, 'Costs too much, twice.');
  });

  const wrong: readonly [string, string, string, RegExp][] = [
    ['one that nobody mentions', 'CONFIG_A=y\nCONFIG_C=7', '', /CONFIG_B=n is neither/],
    ['one with another value', 'CONFIG_A=y\nCONFIG_B=n\nCONFIG_C=8', '', /CONFIG_C=7 is neither/],
    [
      'a reason that has become idle',
      'CONFIG_A=y\nCONFIG_B=n\nCONFIG_C=7',
      'CONFIG_C=7\n  Old.\n',
      /CONFIG_C=7 is followed and excepted/,
    ],
    [
      'a reason for something else',
      'CONFIG_A=y\nCONFIG_B=n\nCONFIG_C=7',
      'CONFIG_D=y\n  What?\n',
      /CONFIG_D=y, which is not recommended/,
    ],
  ];
  for (const [what, lines, exceptions, problem] of wrong) {
    it(`finds ${what}`, () => {
      const { problems } = judge(lines, exceptions);
      assert.equal(problems.length, 1, problems.join('\n'));
      assert.match(problems[0] ?? '', problem);
    });
  }
});

describe('parseKsppExceptions', () => {
  it('refuses an exception without a reason, a reason without an exception, and anything else', () => {
    assert.throws(() => parseKsppExceptions('CONFIG_A=y\nCONFIG_B=y\n  Why.\n'), /CONFIG_A/);
    assert.throws(() => parseKsppExceptions('  Why.\nCONFIG_A=y\n'), /line 1/);
    assert.throws(() => parseKsppExceptions('CONFIG_A\n'), /line 1/);
  });
});
