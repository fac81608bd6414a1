import assert from 'node:assert/strict';
import { durationFromMs, timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  type SetChannelRequest,
  type StartUpdateRequest,
  UpdatePhase,
} from '@keelos/proto/gen/keel/v1/update_pb.js';
import { operatorOfEachTest } from './operator.ts';
import { updateState, watchNothing } from './updating-node.ts';

const SOURCE = ['--source', 'https://u.example/'];
const STATE = {
  ...{ url: 'https://u.example/', channel: 'stable', every: durationFromMs(3_600_000) },
  ...{ who: 'CN=alice', result: '0.2.0 is the newest release, and runs.' },
  ...{ newestVersion: '0.2.0', upToDate: true, looked: timestampFromMs(1) },
};

describe('osctl and channels', () => {
  const operator = operatorOfEachTest();
  const { given } = operator;
  const run = (...args: string[]) => operator.host.run(args);

  it('makes a node follow one, and shows it', async () => {
    const { requests } = await given({
      setChannel: () => ({ state: STATE }),
      getChannel: () => ({ state: STATE }),
    });
    const ran = await run(
      ...['channel', 'set', 'stable', ...SOURCE, '--every', '2h', '--check-only'],
      ...['--enable-auto-rollback', '--health-check-timeout', '120'],
    );
    assert.equal(ran.exitCode, 0, ran.err);
    const asked = requests[0] as SetChannelRequest;
    assert.deepEqual([asked.url, asked.channel, asked.checkOnly], [SOURCE[1], 'stable', true]);
    assert.equal(asked.every?.seconds, 7200n);
    assert.equal(asked.policy?.healthCheckTimeout?.seconds, 120n);
    const shown = await run('channel', 'show');
    assert.match(shown.out, /newest +0\.2\.0 \(runs\)/);
    assert.match(shown.out, /every +1 h/);
    const { newestVersion, upToDate } = JSON.parse(
      (await run('channel', 'show', '-o', 'json')).out,
    );
    assert.deepEqual([newestVersion, upToDate], ['0.2.0', true]);
  });

  it('ends it', async () => {
    const { requests } = await given({ setChannel: () => ({ state: {} }) });
    const ran = await run('channel', 'set', '--off');
    assert.equal(ran.out, 'The node follows no channel.\n');
    assert.equal((requests[0] as SetChannelRequest).channel, '');
  });

  it('installs the newest release, or says that it runs', async () => {
    const { requests } = await given({
      watchUpdate: watchNothing,
      startUpdate: () => ({ status: updateState(UpdatePhase.ARMED), newestVersion: '0.2.0' }),
    });
    assert.equal((await run('update', '--channel', 'stable', ...SOURCE)).exitCode, 0);
    const asked = requests[1] as StartUpdateRequest;
    assert.deepEqual([asked.channel, asked.url, asked.deltaUrl], ['stable', SOURCE[1], '']);
    await operator.stop();
    await given({ watchUpdate: watchNothing, startUpdate: () => ({ newestVersion: '0.2.0' }) });
    const ran = await run('update', '--channel', 'stable');
    assert.equal(ran.exitCode, 0, ran.err);
    assert.equal(ran.out, '0.2.0 is the newest release of channel stable, and runs.\n');
  });

  it('refuses what cannot be meant before it calls the node', async () => {
    const { calls } = await given({});
    const table: [string[], RegExp][] = [
      [['channel', 'set'], /its name or its server is missing/],
      [['channel', 'set', 'stable'], /its name or its server is missing/],
      [['channel', 'set', ...SOURCE], /its name or its server is missing/],
      [['channel', 'set', 'stable', '--off'], /a channel and none/],
      [['channel', 'set', 'stable', '--source', './dir'], /in a file/],
      [['channel', 'set', 'stable', ...SOURCE, '--every', 'often'], /not a number with a unit/],
      [['update', '--channel', 'stable', '--source', './dir'], /--channel with a file/],
      [['update', '--channel', 'stable', ...SOURCE, '--delta'], /--delta with --channel/],
      [['update', '--watch', '--channel', 'stable'], /only one of/],
    ];
    for (const [args, expected] of table) {
      const ran = await run(...args);
      assert.equal(ran.exitCode, 2, `${args.join(' ')}: ${ran.err}`);
      assert.match(ran.err, expected);
    }
    assert.deepEqual(calls, []);
  });
});
