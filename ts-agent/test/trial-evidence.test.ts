import assert from 'node:assert/strict';
import { EVIDENCE_STEP } from '@keelos/proto/init-control.ts';
import { NODE_PATHS } from '@keelos/proto/node-paths.ts';
import { crashReportText } from '@keelos/proto/trial-traces.ts';
import { UPDATE_PATHS } from '@keelos/proto/update-record.ts';
import { judgeTraces } from '@keelos/ts-agent/core/trial-evidence.ts';
import {
  awaitEvidence,
  discardTrialEvidence,
  findTrialEvidence,
} from '@keelos/ts-agent/shell/trial-evidence.ts';
import { createFakeKernelFiles } from '@keelos/ts-agent/sys/kernel-files.fake.ts';
import { MemoryStateStore } from '@keelos/ts-agent/sys/state-store.fake.ts';

const NOTHING = { givenUp: '', crash: '', console: '' };
const panic = (text: string, before = '[    1.0] x') =>
  `${before}\n[   21.500000] Kernel panic - not syncing: ${text}\n[   21.6] ---[ end Kernel panic`;

describe('why a trial has failed', () => {
  const cases: readonly (readonly [name: string, traces: Partial<typeof NOTHING>, RegExp])[] = [
    ['nothing was left', {}, /^The release left no trace: its kernel image was not loaded/],
    ['PID 1 was up, then silence', { console: '[ 9.0] up' }, /^The machine was reset while/],
    [
      'PID 1 gave up',
      { givenUp: '2026-05-28T20:26:40.000Z probe "shop" is red\n', console: 'x' },
      /^The trial was ended: probe "shop" is red\.$/,
    ],
    [
      'a panic',
      { crash: panic('sysrq triggered crash') },
      /^The kernel panicked: sysrq trig.*crash\.$/,
    ],
    [
      'a panic counts before a line of PID 1',
      { crash: panic('boom'), givenUp: 'x' },
      /^The kernel panicked: boom\.$/,
    ],
    [
      'PID 1 ended',
      { crash: panic('Attempted to kill init! exitcode=0x00000100') },
      /^PID 1 ended: Attempted to kill init! exitcode=0x00000100\.$/,
    ],
    [
      'a hang',
      { crash: panic('Software Watchdog Timer expired') },
      /^The system hung until its watchdog bit: Software Watchdog Timer expired\.$/,
    ],
    [
      'the slot is not there',
      {
        crash: panic(
          'Software Watchdog Timer expired',
          '[    1.2] device-mapper: init: waiting for device PARTUUID=1-2 ...',
        ),
      },
      /^The kernel waited for its slot: device-mapper: init: waiting for device PARTUUID=1-2\.$/,
    ],
    [
      'a hang of a system that had waited for its slot, and found it',
      {
        crash: panic(
          'Software Watchdog Timer expired',
          [
            '[    1.2] device-mapper: init: waiting for device PARTUUID=1-2 ...',
            '[    1.3] device-mapper: init: all devices available',
          ].join('\n'),
        ),
      },
      /^The system hung until its watchdog bit: Software Watchdog Timer expired\.$/,
    ],
    [
      'a damaged root',
      {
        crash: panic(
          'dm-verity device corrupted',
          '[    5.5] [   T1] device-mapper: verity: 254:2: data block 7 is corrupted',
        ),
      },
      /^The root is damaged: device-mapper: verity: 254:2: data block 7 is corrupted\.$/,
    ],
    [
      'an oops without a panic',
      { crash: '[ 1.0] a\n[ 2.0] RIP: b\n' },
      /^The kernel crashed: RIP: b\.$/,
    ],
  ];
  for (const [name, traces, cause] of cases) {
    it(name, () => assert.match(judgeTraces({ ...NOTHING, ...traces }).cause, cause));
  }

  it('shows the end of long texts in pieces that the history takes', () => {
    const lines = (word: string) =>
      Array.from({ length: 5_000 }, (_, index) => `${word} line ${index}`).join('\n');
    const { evidence, cause } = judgeTraces({
      givenUp: 'x'.repeat(10_000),
      crash: panic('p'.repeat(10_000), lines('crash')),
      console: lines('console'),
    });
    assert.ok(cause.length <= 402);
    assert.ok(evidence.length <= 16);
    for (const piece of evidence) assert.ok(piece.length <= 4_096, `${piece.length}`);
    const text = evidence.join('\n');
    assert.match(text, /crash line 4999\n/);
    assert.match(text, /console line 4998\nconsole line 4999$/);
    assert.doesNotMatch(text, /console line 10\n/);
    const order = evidence.map((piece) => /console line (\d+)/.exec(piece)?.[1]).filter(Boolean);
    assert.deepEqual(
      order,
      order.toSorted((a, b) => Number(a) - Number(b)),
    );
  });

  it('says nothing where nothing was left', () => {
    assert.deepEqual(judgeTraces(NOTHING).evidence, []);
    assert.deepEqual(judgeTraces({ ...NOTHING, console: '\n\n' }).evidence, []);
  });
});

describe('waiting for the evidence', () => {
  function waiting(steps: readonly string[]) {
    const files = createFakeKernelFiles();
    const report = (names: readonly string[]) => {
      const text = JSON.stringify({ steps: names.map((name) => ({ name, monotonicUs: 1 })) });
      files.files.set(NODE_PATHS.bootReport, text);
    };
    report(steps);
    const logged: string[] = [];
    return { ports: { files, log: (line: string) => void logged.push(line) }, report, logged };
  }

  it('ends when PID 1 has told it, at once when it has already', async () => {
    const { ports, report, logged } = waiting(['init-started']);
    let waits = 0;
    const wait = async () => {
      waits += 1;
      if (waits === 3) report(['init-started', EVIDENCE_STEP]);
    };
    await awaitEvidence(ports, wait);
    assert.equal(waits, 3);
    await awaitEvidence(ports, wait);
    assert.equal(waits, 3);
    assert.deepEqual(logged, []);
  });

  it('ends after half a minute, and says so; and with the agent', async () => {
    const { ports, logged } = waiting([]);
    let waitedMs = 0;
    await awaitEvidence(ports, async (ms) => {
      waitedMs += ms;
    });
    assert.equal(waitedMs, 30_000);
    assert.match(logged.join(), /PID 1 has not told in 30 s/);
    const ended = new Error('the agent ends');
    await assert.rejects(
      awaitEvidence(ports, () => Promise.reject(ended)),
      ended,
    );
  });
});

describe('gathering the traces', () => {
  function world() {
    const state = new MemoryStateStore();
    const logged: string[] = [];
    const ports = { state, log: (line: string) => void logged.push(line) };
    const put = (path: string, text: string) => state.replace(path, Buffer.from(text));
    return { state, logged, ports, put };
  }

  it('takes what PID 1 has put on the state partition, and leaves it there until told', async () => {
    const { state, ports, put } = world();
    put(UPDATE_PATHS.trialGivenUp, '2026-01-01T00:00:00.000Z too late\n');
    put(UPDATE_PATHS.trialConsole, 'last words');
    put(UPDATE_PATHS.crashReport, crashReportText({ foundInBoot: 'b-3', text: panic('boom') }));
    const findings = findTrialEvidence(ports, undefined);
    assert.equal(findings.cause, 'The kernel panicked: boom.');
    assert.equal(findings.evidence.length, 3);
    assert.deepEqual(findTrialEvidence(ports, undefined).evidence, findings.evidence);
    discardTrialEvidence(ports);
    assert.equal(state.files.size, 0);
    assert.deepEqual(findTrialEvidence(ports, undefined).evidence, []);
  });

  it('does not blame a trial for a crash that is older', () => {
    const { ports, put } = world();
    put(UPDATE_PATHS.crashReport, crashReportText({ foundInBoot: 'b-1', text: panic('boom') }));
    assert.match(findTrialEvidence(ports, undefined).cause, /boom/);
    for (const [armedBootId, cause] of [
      ['b-1', /left no trace/],
      ['b-0', /boom/],
    ] as const) {
      assert.match(findTrialEvidence(ports, { armedBootId }).cause, cause);
    }
  });

  it('goes without what cannot be read or removed', () => {
    const { state, ports, put, logged } = world();
    put(UPDATE_PATHS.crashReport, 'torn');
    assert.deepEqual(findTrialEvidence(ports, undefined).evidence, []);
    state.readFailure = 'EIO';
    assert.match(findTrialEvidence(ports, undefined).cause, /left no trace/);
    assert.match(logged.join('\n'), /trace of a trial not read: .*EIO/);
  });
});
