import assert from 'node:assert/strict';
import { parseRequest } from '../src/core/control-request.ts';
import { canPressPower, hasPowerPress } from '../src/core/power-key.ts';
import { isOrphanedZombie, parseChildren, parseProcessStat } from '../src/core/process-stat.ts';
import { chooseStatePartition } from '../src/core/state-partition.ts';

describe('control requests', () => {
  const good: readonly unknown[] = [
    { op: 'listServices' },
    { op: 'reboot', reason: 'x' },
    { op: 'powerOff', reason: '' },
    { op: 'readLog', service: 'agent', follow: false },
    { op: 'readLog', service: 'agent', follow: true, tailLines: 0 },
    { op: 'raiseClock', timeMs: 5, source: 'ntp' },
    { op: 'setHostname', hostname: 'node-1' },
    { op: 'keepAlive', service: 'agent' },
    { op: 'markBoot', step: 'api-listening' },
    { op: 'settleTrial', outcome: 'committed', reason: '' },
    { op: 'settleTrial', outcome: 'given-up', reason: 'a probe is red' },
  ];
  for (const request of good) {
    it(`takes ${JSON.stringify(request)}`, () => {
      assert.deepEqual(parseRequest(JSON.stringify(request)), request);
    });
  }

  const bad: readonly string[] = [
    '',
    '{',
    '5',
    'null',
    '[]',
    '{}',
    '{"op":"format"}',
    '{"op":"reboot"}',
    '{"op":"readLog","service":"agent"}',
    '{"op":"readLog","service":"../x","follow":true}',
    '{"op":"readLog","service":"agent","follow":true,"tailLines":-1}',
    '{"op":"readLog","service":"agent","follow":true,"tailLines":1.5}',
    '{"op":"raiseClock","timeMs":"5","source":"ntp"}',
    '{"op":"raiseClock","timeMs":5,"source":"me"}',
    '{"op":"setHostname","hostname":"A b"}',
    '{"op":"markBoot","step":"a b"}',
    '{"op":"keepAlive"}',
    '{"op":"keepAlive","service":"../a"}',
    '{"op":"settleTrial","outcome":"done"}',
    '{"op":"settleTrial","outcome":"committed","reason":1}',
  ];
  for (const line of bad) {
    it(`refuses ${line}`, () => {
      assert.throws(() => parseRequest(line), { code: 'E_INVALID_ARGUMENT' });
    });
  }
});

describe('orphans', () => {
  it('reads stat lines whose name holds anything', () => {
    assert.deepEqual(parseProcessStat('7 (a) Z 9 (b)) Z 1 7 7 0'), { state: 'Z', parentPid: 1 });
    assert.deepEqual(parseProcessStat('7 (keel) S 0 7 7 0'), { state: 'S', parentPid: 0 });
    for (const text of ['', '7 (a', '7 (a)', '7 (a) Z']) {
      assert.equal(parseProcessStat(text), undefined);
    }
  });

  it('takes dead children of PID 1 that nobody else waits for', () => {
    const ownPids = new Set([5]);
    const zombie = { state: 'Z', parentPid: 1 };
    assert.ok(isOrphanedZombie(zombie, { pid: 6, ownPids }));
    assert.ok(!isOrphanedZombie(zombie, { pid: 5, ownPids }));
    assert.ok(!isOrphanedZombie({ state: 'S', parentPid: 1 }, { pid: 6, ownPids }));
    assert.ok(!isOrphanedZombie({ state: 'Z', parentPid: 2 }, { pid: 6, ownPids }));
    assert.ok(!isOrphanedZombie(undefined, { pid: 6, ownPids }));
    assert.deepEqual(parseChildren('12 345 \n'), [12, 345]);
    assert.deepEqual(parseChildren('self 0 12x'), []);
  });
});

describe('power button', () => {
  const event = (type: number, code: number, value: number) => {
    const bytes = Buffer.alloc(24);
    bytes.writeUInt16LE(type, 16);
    bytes.writeUInt16LE(code, 18);
    bytes.writeInt32LE(value, 20);
    return bytes;
  };

  it('notices the press, not the release, another key or half an event', () => {
    assert.ok(hasPowerPress(event(1, 116, 1)));
    assert.ok(hasPowerPress(Buffer.concat([event(0, 0, 0), event(1, 116, 1)])));
    for (const other of [event(1, 116, 0), event(1, 115, 1), event(2, 116, 1)]) {
      assert.ok(!hasPowerPress(other));
    }
    const whole = event(1, 116, 1);
    for (let length = 0; length < 24; length += 1) {
      assert.ok(!hasPowerPress(whole.subarray(0, length)));
    }
  });

  it('finds KEY_POWER in a capability bitmap', () => {
    assert.ok(canPressPower('10000000000000 0\n'));
    assert.ok(canPressPower('fffffffffffffffe fffffffffffffffe'));
    assert.ok(!canPressPower('0'));
    assert.ok(!canPressPower(''));
    assert.ok(!canPressPower('20000000000000 0'));
    assert.ok(!canPressPower('xyz 0'));
  });
});

describe('state partition', () => {
  const part = (name: string, label: string) => ({
    name,
    disk: name.replace(/\d+$/, ''),
    uevent: `MAJOR=254\nDEVNAME=${name}\nDEVTYPE=partition\nPARTN=${name.slice(3)}\nPARTNAME=${label}\n`,
  });

  it("prefers the root file system's disk", () => {
    const all = [part('vda4', 'keel-state'), part('vdb4', 'keel-state'), part('vda1', 'ESP')];
    assert.deepEqual(chooseStatePartition(all, 'vdb'), {
      name: 'vdb4',
      disk: 'vdb',
      partitionNumber: 4,
      problem: '',
    });
    const unsure = chooseStatePartition(all, undefined);
    assert.equal(unsure?.name, 'vda4');
    assert.match(unsure?.problem ?? '', /2 partitions/);
  });

  it('finds none on a disk with another layout', () => {
    assert.equal(chooseStatePartition([part('vda1', 'data')], 'vda'), undefined);
    assert.equal(chooseStatePartition([], undefined), undefined);
  });
});
