import assert from 'node:assert/strict';
import { mergeFragments, parseFragment, renderAllConfig } from '../src/core/fragment.ts';

const SAMPLE = `# About disks,
# and more.

CONFIG_PLAIN=y

# Because of one.
CONFIG_ONE=n
# Because of two,
# at length.
CONFIG_TWO=64
CONFIG_THREE="a,b"

CONFIG_FOUR=-1
`;

describe('parseFragment', () => {
  it('gives each option the comment above it, up to an empty line or the next comment', () => {
    const { about, options } = parseFragment('disks', SAMPLE);
    assert.equal(about, 'About disks, and more.');
    assert.deepEqual(
      options.map(({ name, value, reason, line }) => [name, value, reason, line]),
      [
        ['CONFIG_PLAIN', 'y', '', 4],
        ['CONFIG_ONE', 'n', 'Because of one.', 7],
        ['CONFIG_TWO', '64', 'Because of two, at length.', 10],
        ['CONFIG_THREE', '"a,b"', 'Because of two, at length.', 11],
        ['CONFIG_FOUR', '-1', '', 13],
      ],
    );
  });

  const bad: readonly [string, string][] = [
    ['no value', 'CONFIG_A='],
    ['a module', 'CONFIG_A=m'],
    ['no prefix', 'A=y'],
    ['a space before the value', 'CONFIG_A= y'],
    ['an open string', 'CONFIG_A="x'],
    ['text behind the string', 'CONFIG_A="x" y'],
    ['an escape', 'CONFIG_A="\\n"'],
    ['lower case', 'CONFIG_a=y'],
    ['two on a line', 'CONFIG_A=y CONFIG_B=y'],
  ];
  for (const [what, line] of bad) {
    it(`refuses ${what} and names the place`, () => {
      assert.throws(() => parseFragment('x', `# About.\n\n${line}\n`), /x\.config line 3/);
    });
  }

  it('refuses a file that does not say what it is about', () => {
    assert.throws(() => parseFragment('x', 'CONFIG_A=y\n'), /does not open with a comment/);
    assert.throws(() => parseFragment('x', '# Reason.\nCONFIG_A=y\n'), /does not open/);
    assert.throws(() => parseFragment('x', ''), /does not open/);
  });
});

describe('mergeFragments', () => {
  it('refuses an option that two fragments set, and one that a fragment sets twice', () => {
    const a = parseFragment('a', '# A.\n\nCONFIG_X=y\n');
    const b = parseFragment('b', '# B.\n\nCONFIG_Y=y\nCONFIG_X=y\n');
    assert.throws(() => mergeFragments([a, b]), /CONFIG_X: a\.config:3 and b\.config:4/);
    const twice = parseFragment('c', '# C.\n\nCONFIG_Z=y\nCONFIG_Z=n\n');
    assert.throws(() => mergeFragments([twice]), /CONFIG_Z: c\.config:3 and c\.config:4/);
  });

  it('keeps the order and loses nothing', () => {
    const options = mergeFragments([parseFragment('disks', SAMPLE)]);
    assert.equal(
      renderAllConfig(options),
      'CONFIG_PLAIN=y\nCONFIG_ONE=n\nCONFIG_TWO=64\nCONFIG_THREE="a,b"\nCONFIG_FOUR=-1\n',
    );
  });
});
