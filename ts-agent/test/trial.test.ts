import assert from 'node:assert/strict';
import { parseEntryFileName } from '@keelos/proto/boot-entry.ts';
import type { HistoryEntry, TrialPolicy, TrialRecord } from '@keelos/proto/update-record.ts';
import type { PictureEntry } from '@keelos/ts-agent/core/boot-state.ts';
import type { CheckResult } from '@keelos/ts-agent/core/health-history.ts';
import { type GateState, heldChecks, judgeBoot, judgeGate } from '@keelos/ts-agent/core/trial.ts';
import { TRIAL } from './update-wishes.ts';

const OLD = 'a'.repeat(64);
const NEW = 'b'.repeat(64);

/** "keel-7+0-1.conf>b": the entry and the root that it starts. */
function entry(text: string): PictureEntry {
  const [fileName = '', root = ''] = text.split('>');
  const name = parseEntryFileName(fileName);
  assert.ok(name, fileName);
  const rootHash = root.repeat(64);
  return {
    fileName,
    name,
    version: root,
    uki: `EFI/keel/${root}.efi`,
    isImageThere: true,
    rootHash,
  };
}

const RECORD: TrialRecord = {
  ...TRIAL,
  from: { slot: 'a', version: '1', rootHash: OLD },
  to: { slot: 'b', version: '2', rootHash: NEW },
  policy: { autoRollback: true, healthTimeoutSeconds: 300, minHealthySeconds: 10 },
  armedBootId: 'boot-1',
};

describe('what a boot means for the release on trial', () => {
  type Outcome = HistoryEntry['outcome'] | undefined;
  const yes = RECORD;
  const no = undefined;
  // record, outcome in the history, boot, running root, running entry, other entries, standing
  const TABLE: readonly [
    TrialRecord | undefined,
    Outcome,
    string,
    string,
    string,
    readonly string[],
    string,
  ][] = [
    [no, no, 'boot-2', OLD, 'keel-6+8-1.conf>a', [], 'settled'],
    [no, no, 'boot-2', OLD, '', [], 'settled'],
    [no, no, 'boot-2', OLD, 'keel-6+8-1.conf>a', ['keel-5+0-9.conf>b'], 'settled'],
    [no, no, 'boot-2', OLD, 'keel-6+8-1.conf>a', ['keel-7+0-9.conf>b'], 'fallback'],
    [no, no, 'boot-2', OLD, 'keel-6+8-1.conf>a', ['keel-7+0-1.conf>b'], 'settled'],
    [no, no, 'boot-2', OLD, 'keel-6+0-9.conf>a', ['keel-7+0-9.conf>b'], 'fallback'],
    [no, no, 'boot-2', OLD, 'keel-6+8-1.conf>a', ['keel-7+0-9.conf>a'], 'settled'],
    [no, no, 'boot-2', NEW, 'keel-7+0-1.conf>b', ['keel-6+9.conf>a'], 'trial'],
    [yes, 'open', 'boot-1', OLD, 'keel-6+9.conf>a', ['keel-7+1.conf>b'], 'armed'],
    // The agent was killed between the record and the entry, or between taking the entry away and the record.
    [yes, 'open', 'boot-1', OLD, 'keel-6+9.conf>a', [], 'untried'],
    [yes, 'cancelled', 'boot-1', OLD, 'keel-6+9.conf>a', [], 'closed'],
    [yes, 'open', 'boot-2', NEW, 'keel-7+0-1.conf>b', ['keel-6+9.conf>a'], 'trial'],
    [yes, no, 'boot-2', NEW, 'keel-7+0-1.conf>b', ['keel-6+9.conf>a'], 'trial'],
    // Nothing else could be started, so the loader has taken it once more.
    [yes, 'open', 'boot-2', NEW, 'keel-7+0-2.conf>b', [], 'trial'],
    [no, no, 'boot-2', NEW, 'keel-7+0-2.conf>b', [], 'trial'],
    [no, no, 'boot-2', NEW, 'keel-7+0-10.conf>b', [], 'settled'],
    [yes, 'open', 'boot-2', NEW, '', ['keel-6+9.conf>a'], 'trial'],
    [yes, 'cancelled', 'boot-2', NEW, 'keel-7+0-1.conf>b', [], 'unwanted-trial'],
    [yes, 'open', 'boot-2', NEW, 'keel-7+9.conf>b', ['keel-6+9.conf>a'], 'committed'],
    [yes, 'open', 'boot-2', NEW, 'keel-7+8-1.conf>b', ['keel-6+9.conf>a'], 'committed'],
    [yes, 'committed', 'boot-3', NEW, 'keel-7+8-1.conf>b', [], 'committed'],
    [yes, 'open', 'boot-2', OLD, 'keel-6+8-1.conf>a', ['keel-7+0-1.conf>b'], 'failed'],
    [yes, no, 'boot-2', OLD, 'keel-6+8-1.conf>a', ['keel-7+0-1.conf>b'], 'failed'],
    [yes, 'open', 'boot-2', OLD, 'keel-6+8-1.conf>a', ['keel-7+1.conf>b'], 'untried'],
    [yes, 'open', 'boot-2', OLD, 'keel-6+8-1.conf>a', [], 'untried'],
    [yes, 'open', 'boot-2', OLD, '', ['keel-7+0-1.conf>b'], 'failed'],
    [yes, 'rolled-back', 'boot-2', OLD, 'keel-6+8-1.conf>a', ['keel-7+0-1.conf>b'], 'closed'],
    [yes, 'cancelled', 'boot-2', OLD, 'keel-6+8-1.conf>a', ['keel-7+1.conf>b'], 'closed'],
    [yes, 'failed', 'boot-2', OLD, 'keel-6+8-1.conf>a', [], 'closed'],
  ];
  for (const [record, outcome, bootId, rootHash, own, others, kind] of TABLE) {
    const what = `${record ? 'record' : 'none'} ${outcome ?? ''} ${bootId} ${rootHash[0]} ${own} ${others}`;
    it(`${kind}: ${what}`, () => {
      const entries = [...(own === '' ? [] : [own]), ...others].map(entry);
      const place = { rootHash, slot: 'a' } as const;
      const running = own === '' ? place : { ...place, entry: entry(own) };
      assert.equal(
        judgeBoot({ bootId, running, entries, record, outcome, lastCommitted: no }).kind,
        kind,
      );
    });
  }
});

describe('what a boot means when the history says what ought to run', () => {
  // last committed, running root, running entry, other entries, cause
  const TABLE: readonly [string, string, string, readonly string[], RegExp | 'settled'][] = [
    ['a', 'a', 'keel-6+8-1.conf>a', ['keel-7+0-9.conf>b'], 'settled'],
    ['b', 'b', 'keel-7+8-1.conf>b', ['keel-6+9.conf>a'], 'settled'],
    ['b', 'b', '', [], 'settled'],
    ['b', 'a', 'keel-6+8-1.conf>a', ['keel-7+0-9.conf>b'], /used up its tries/],
    [
      'b',
      'a',
      'keel-6+8-1.conf>a',
      ['keel-7+0-9.conf>b', 'keel-5+0-9.conf>b'],
      /used up its tries/,
    ],
    ['b', 'a', 'keel-6+8-1.conf>a', [], /entry is gone/],
    ['b', 'a', '', [], /entry is gone/],
    ['b', 'a', 'keel-6+8-1.conf>a', ['keel-7+9.conf>b'], /passed it over/],
  ];
  for (const [last, root, own, others, expected] of TABLE) {
    it(`${last} was committed, ${root} runs: ${own} ${others}: ${expected}`, () => {
      const entries = [...(own === '' ? [] : [own]), ...others].map(entry);
      const place = { rootHash: root.repeat(64), slot: 'a' } as const;
      const to = { slot: 'b', version: '2', rootHash: last.repeat(64) } as const;
      const standing = judgeBoot({
        bootId: 'boot-2',
        entries,
        record: undefined,
        outcome: undefined,
        running: own === '' ? place : { ...place, entry: entry(own) },
        lastCommitted: { id: 'one', to },
      });
      if (expected === 'settled') return assert.equal(standing.kind, 'settled');
      assert.equal(standing.kind, 'fallback');
      if (standing.kind !== 'fallback') return;
      assert.deepEqual([standing.id, standing.from], ['fallback-one', to]);
      assert.match(standing.cause, expected);
    });
  }
});

describe('the gate of a trial', () => {
  const POLICY: TrialPolicy = {
    autoRollback: true,
    healthTimeoutSeconds: 60,
    minHealthySeconds: 10,
  };
  const check = (name: string, state: CheckResult['state']): CheckResult => ({
    name,
    state,
    message: `${name} is ${state}`,
    remedy: '',
    sinceMs: 5_000,
  });
  /** Goes through looks of the gate; each is [uptime in s, checks that fail, problem of the API]. */
  const run = (
    policy: TrialPolicy,
    looks: readonly (readonly [number, string, string | undefined])[],
  ): string[] => {
    let state: GateState = { healthySinceMs: undefined };
    return looks.map(([seconds, failing, lastProblem]) => {
      const results = [check('api', 'healthy'), check('memory', 'degraded')].concat(
        failing === '' ? [] : failing.split(' ').map((name) => check(name, 'failing')),
      );
      const uptimeMs = seconds * 1000;
      const judged = judgeGate(state, { policy, uptimeMs, results, held: [], lastProblem });
      state = judged.state;
      const { decision } = judged;
      if (decision.kind === 'wait') return `wait ${decision.waitingFor.join(', ')}`;
      return decision.kind === 'give-up' ? `give-up ${decision.cause}` : decision.kind;
    });
  };

  it('waits for the checks, then for the time without a break, then asks the API from outside', () => {
    const looks = run(POLICY, [
      [5, 'init', undefined],
      [8, '', undefined],
      [17.9, '', undefined],
      [18, '', undefined],
      [18, '', ''],
    ]);
    assert.deepEqual(looks, [
      'wait init: init is failing',
      'wait every check passes since 0 s of 10 s',
      'wait every check passes since 9 s of 10 s',
      'ask-api',
      'commit',
    ]);
  });

  it('a break begins the time anew, and so does an API that does not answer', () => {
    const looks = run(POLICY, [
      [5, '', undefined],
      [14, 'probe/web', undefined],
      [15, '', undefined],
      [24, '', undefined],
      [25, '', 'api from outside: refused'],
      [26, '', undefined],
      [36, '', ''],
    ]);
    assert.deepEqual(
      looks.map((look) => look.split(' ').slice(0, 3).join(' ')),
      [
        'wait every check',
        'wait probe/web: probe/web',
        'wait every check',
        'wait every check',
      ].concat(['wait api from', 'wait every check', 'commit']),
    );
  });

  it('gives up at the deadline with the first check that fails, or because time was too short', () => {
    assert.match(
      run(POLICY, [[60, 'time network', undefined]])[0] ?? '',
      /^give-up The checks did not pass within 60 s: time: time is failing$/,
    );
    assert.match(
      run(POLICY, [
        [59, '', undefined],
        [60, '', undefined],
      ])[1] ?? '',
      /^give-up .* not been passing for 10 s$/,
    );
    const { decision } = judgeGate(
      { healthySinceMs: undefined },
      {
        policy: POLICY,
        uptimeMs: 60_000,
        results: [check('time', 'failing')],
        held: [],
        lastProblem: 'api from outside: no',
      },
    );
    assert.equal(decision.kind, 'give-up');
    if (decision.kind !== 'give-up') return;
    assert.deepEqual(decision.evidence, [
      'check time fails since 1970-01-01T00:00:05.000Z: time is failing',
      'api from outside: no',
    ]);
  });

  it('waits for a check that was healthy with the release before, and takes no harm from one that was not', () => {
    const [good, bad] = [check('watchdog', 'healthy'), check('watchdog', 'degraded')];
    const memory = check('memory', 'healthy');
    const look = (before: readonly CheckResult[], now: CheckResult, uptimeMs = 5_000) =>
      judgeGate(
        { healthySinceMs: 5_000 },
        {
          policy: POLICY,
          uptimeMs,
          results: [now, memory],
          held: heldChecks(before),
          lastProblem: undefined,
        },
      ).decision;
    assert.deepEqual(
      heldChecks([good, memory, check('time', 'healthy')]),
      ['watchdog'],
      'memory is not the release’s alone',
    );
    assert.deepEqual(look([good, memory], bad), {
      kind: 'wait',
      waitingFor: [
        'watchdog: watchdog is degraded With the release before this one it was healthy.',
      ],
    });
    assert.equal(look([good], good, 15_000).kind, 'ask-api');
    assert.equal(look([bad], bad, 15_000).kind, 'ask-api');
    const late = look([good], bad, 60_000);
    assert.equal(late.kind, 'give-up');
    assert.match(
      late.kind === 'give-up' ? (late.evidence[0] ?? '') : '',
      /^check watchdog is degraded since/,
    );
  });

  it('without automatic rollback only the API counts, and no deadline', () => {
    const policy = { ...POLICY, autoRollback: false };
    assert.deepEqual(
      run(policy, [
        [5, 'init time', undefined],
        [5, 'init time', 'api from outside: no'],
        [900, 'init', ''],
      ]),
      ['ask-api', 'wait api from outside: no', 'commit'],
    );
  });
});
