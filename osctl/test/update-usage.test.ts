import assert from 'node:assert/strict';
import { UpdatePhase } from '@keelos/proto/gen/keel/v1/update_pb.js';
import { operatorOfEachTest } from './operator.ts';
import { updateState, watchNothing } from './updating-node.ts';

const SOURCE = ['--source', 'https://h.example/b.squashfs'];

describe('what osctl update is asked for', () => {
  const operator = operatorOfEachTest();
  const { given } = operator;
  const run = (...args: string[]) => operator.host.run(['update', ...args]);

  it('refuses what cannot be meant before it calls the node', async () => {
    const { calls } = await given({});
    const table: [string[], RegExp][] = [
      [[], /there is no source/],
      [[...SOURCE, '--watch'], /only one of/],
      [['--watch', '--cancel'], /only one of/],
      [['--source', 'ftp://h/a'], /does not speak ftp/],
      [['--source', '-'], /must be a file/],
      [[...SOURCE, '--sha256', 'ab'], /not 64 hexadecimal digits/],
      [[...SOURCE, '--wait', '--no-reboot'], /a reboot that is not made/],
      [[...SOURCE, '--wait', '--dry-run'], /not installed/],
      [['--cancel', '--wait'], /not installed/],
      [['--cancel', '--dry-run'], /Cannot use --dry-run with --cancel: it would have no effect/],
      [['--cancel', '--no-reboot'], /--no-reboot with --cancel/],
      [['--cancel', '--sha256', 'ab'.repeat(32)], /--sha256 with --cancel/],
      [['--cancel', '--source-ca', '-'], /--source-ca with --cancel/],
      [['--cancel', '--retry-failed'], /--retry-failed with --cancel/],
      [['--watch', '--dry-run'], /--dry-run with --watch/],
      [
        ['--watch', '--wait', '--enable-auto-rollback', '--min-healthy', '5'],
        /--enable-auto-rollback, --min-healthy with --watch/,
      ],
      [['--watch', '--health-check-timeout', '60'], /--health-check-timeout with --watch/],
      [[...SOURCE, '--health-check-timeout', '0'], /at least a second/],
      [[...SOURCE, '--health-check-timeout', '5m'], /not a number/],
      [[...SOURCE, '--min-healthy', '300', '--enable-auto-rollback'], /must pass within 300 s/],
      [[...SOURCE, '--health-check-timeout', '8', '--enable-auto-rollback'], /10 s .*within 8 s/],
      [[...SOURCE, '--health-check-timeout', '100000'], /at most 86400 s/],
      [[...SOURCE, '--min-healthy', '86401'], /at most 86400 s/],
      [['--source', 'http://h/a', '--source-ca', 'ca.pem'], /the source is not https/],
      [['--source', './b.squashfs', '--source-ca', 'ca.pem'], /the source is not https/],
      [['--source', './d.kdelta', '--delta'], /Cannot use --delta with a file/],
      [[...SOURCE, '--fallback'], /Cannot use --fallback: the source is no delta/],
      [[...SOURCE, '--full-image-url', 'http://h/a'], /Cannot use --full-image-url: the source is/],
      [[...SOURCE, '--delta', '--fallback'], /belong together/],
      [[...SOURCE, '--delta', '--full-image-url', 'http://h/a'], /belong together/],
      [[...SOURCE, '--delta', '--fallback', '--full-image-url', './b'], /it is no URL/],
      [['--watch', '--delta'], /--delta with --watch/],
    ];
    for (const [args, expected] of table) {
      const ran = await run(...args);
      assert.equal(ran.exitCode, 2, `${args.join(' ')}: ${ran.err}`);
      assert.match(ran.err, expected);
    }
    assert.deepEqual(calls, []);
  });

  it('warns of a time that has no effect', async () => {
    await given({
      watchUpdate: watchNothing,
      startUpdate: () => ({ status: updateState(UpdatePhase.CHECKED) }),
    });
    const ran = await run(...SOURCE, '--dry-run', '--min-healthy', '20');
    assert.match(ran.err, /^warning: --min-healthy has no effect without --enable-auto-rollback/);
  });
});
