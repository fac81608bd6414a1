import assert from 'node:assert/strict';
import { type BootReport, EVIDENCE_STEP } from '@keelos/proto/init-control.ts';
import { NODE_PATHS } from '@keelos/proto/node-paths.ts';
import { encodeRecord } from '@keelos/proto/state-record.ts';
import { TRIAL_RECORD, UPDATE_PATHS } from '@keelos/proto/update-record.ts';
import { runInit } from '../src/shell/init.ts';
import type { LineReply } from '../src/sys/line-server.ts';
import type { SignalHandlers } from '../src/sys/signals.ts';
import { createFakeMachine, type FakeMachine } from './fake-machine.ts';

/** Boots a machine of fakes. */
async function boot(
  files: Readonly<Record<string, string>> = {},
  meanwhile: (inputs: {
    readonly machine: FakeMachine;
    readonly answer: (line: string, reply: LineReply) => void;
  }) => void = () => {},
  meanwhileAtStep = 100,
) {
  const machine = createFakeMachine({
    '/etc/os-release': 'BUILD_EPOCH=1600000000\n',
    ...files,
  });
  const inputs = {
    machine,
    bug: (_error: unknown) => {},
    signals: { leave: (_reason: string) => {}, child: () => {} } as SignalHandlers,
    answer: (_line: string, _reply: LineReply) => {},
    startedBeforeSocket: -1,
    listenBugs(bug: (error: unknown) => void) {
      inputs.bug = bug;
    },
    listenSignals(handlers: SignalHandlers) {
      inputs.signals = handlers;
    },
    serveLines(_options: unknown, answer: (line: string, reply: LineReply) => void) {
      inputs.startedBeforeSocket = machine.processes.started.length;
      inputs.answer = answer;
      return () => {};
    },
  };
  const work = runInit(inputs);
  // Without a disk the boot waits for one, then goes on in memory.
  for (let count = 0; count < 400; count += 1) {
    if (count === meanwhileAtStep) meanwhile(inputs);
    await machine.clock.advance(100);
  }
  await work;
  const report = () =>
    JSON.parse(machine.files.readText('/run/keel/boot-report.json')) as BootReport;
  return { machine, inputs, report };
}

describe('PID 1 as a whole', () => {
  it('boots a machine without a disk: agent runs, watchdog is fed, the report says what is missing', async () => {
    const { machine, inputs, report } = await boot();
    assert.equal(machine.processes.started.length, 1);
    assert.equal(inputs.startedBeforeSocket, 1);
    const facts = report();
    assert.equal(facts.state.mode, 'memory');
    assert.equal(facts.network.mode, 'none');
    assert.equal(facts.clock.source, 'rtc');
    assert.equal(facts.watchdog, 'hardware');
    assert.ok(machine.feeds > 0);
    const names = facts.steps.map((step) => step.name);
    assert.equal(names[0], 'init-started');
    assert.equal(names.at(-1), 'boot-plan-done');
    const times = facts.steps.map((step) => step.monotonicUs);
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    );
  });

  const ways: readonly [string, (booted: Awaited<ReturnType<typeof boot>>) => void, string][] = [
    ['ctrl-alt-del', ({ inputs }) => inputs.signals.leave('ctrl-alt-del'), 'reboot'],
    ['the power button', ({ machine }) => machine.pressPower(), 'powerOff'],
    [
      'the control socket',
      ({ inputs }) =>
        inputs.answer('{"op":"powerOff","reason":"test"}', {
          send: () => true,
          end() {},
          onClose() {},
        }),
      'powerOff',
    ],
  ];
  for (const [name, leave, kind] of ways) {
    it(`goes down in order by ${name}`, async () => {
      const booted = await boot();
      const { machine } = booted;
      machine.syscalls.calls.length = 0;
      leave(booted);
      leave(booted);
      await machine.clock.advance(300);
      assert.deepEqual(machine.processes.signals, ['SIGTERM 100']);
      assert.deepEqual(machine.syscalls.calls, [
        'sync',
        'unmount /var/lib/containerd',
        'unmount /var',
        'sync',
        `reboot ${kind}`,
      ]);
      assert.ok(machine.files.exists('/var/lib/keel/clock-floor.rec'));
    });
  }

  it('goes down in bounded time on a disk that hangs', async () => {
    const { machine, inputs } = await boot();
    machine.files.stuck.add('/var/lib/keel/clock-floor.rec');
    machine.files.stuck.add('/var/lib/keel/random-seed');
    machine.syscalls.hanging = () => true;
    inputs.signals.leave('test');
    await machine.clock.advance(53_000);
    assert.equal(machine.syscalls.calls.at(-1), 'reboot reboot');
    const log = machine.log.lines.join('\n');
    assert.match(log, /save-clock-floor: not done[\s\S]*save-random-seed: not done/);
  });

  it('grows the disk only after the agent is ready, or after half a minute', async () => {
    const endOfBoot = (report: BootReport) =>
      (report.steps.find((step) => step.name === 'boot-plan-done')?.monotonicUs ?? 0) / 1_000_000;
    const silent = await boot();
    assert.ok(endOfBoot(silent.report()) >= 30 && endOfBoot(silent.report()) < 40);
    const told = await boot({}, (inputs) => {
      for (const step of ['agent-started', 'api-ready']) {
        inputs.answer(JSON.stringify({ op: 'markBoot', step }), {
          send: () => true,
          end() {},
          onClose() {},
        });
      }
    });
    assert.ok(endOfBoot(told.report()) < 15, `${endOfBoot(told.report())}`);
  });

  it('keeps evidence once the agent listens, or after five seconds, and tells the agent at once', async () => {
    const secondsAfterSocket = ({ steps }: BootReport) => {
      const at = (name: string) => steps.find((step) => step.name === name)?.monotonicUs ?? 0;
      return (at(EVIDENCE_STEP) - at('control-socket-open')) / 1_000_000;
    };
    const silent = secondsAfterSocket((await boot()).report());
    assert.ok(silent >= 5 && silent < 6, `${silent}`);
    let early = '';
    const { report } = await boot(
      {},
      ({ answer, machine }) => {
        const reply = { send: () => true, end() {}, onClose() {} };
        answer('{"op":"markBoot","step":"agent-started"}', reply);
        assert.doesNotMatch(machine.files.readText(NODE_PATHS.bootReport), /evidence/);
        answer('{"op":"markBoot","step":"api-listening"}', reply);
        machine.clock.after(200, () => {
          early = machine.files.readText(NODE_PATHS.bootReport);
        });
      },
      50,
    );
    const told = secondsAfterSocket(report());
    assert.ok(told > 1 && told < 3, `${told}`);
    assert.match(early, /"evidence-kept"/);
    assert.doesNotMatch(early, /boot-plan-done/);
  });

  it('holds the deadline of a trial, and says in it who ended the trial otherwise', async () => {
    const rootHash = 'ab'.repeat(32);
    const record = encodeRecord(TRIAL_RECORD, {
      to: { version: '0.2.0', rootHash },
      policy: { healthTimeoutSeconds: 60 },
      armedBootId: 'b-1',
    });
    const trial = () =>
      boot({
        '/proc/cmdline': `keel.slot-hash=${rootHash}`,
        '/proc/sys/kernel/random/boot_id': 'b-2',
        [UPDATE_PATHS.trial]: record.toString('utf8'),
      });
    const ends: readonly (readonly [
      name: string,
      end: (booted: Awaited<ReturnType<typeof boot>>) => void,
      reason: RegExp | undefined,
    ])[] = [
      ['nobody', () => {}, /the agent has not settled the trial in 90 s/],
      ['the power button', ({ machine }) => machine.pressPower(), /powered off: power button/],
      ['a bug', ({ inputs }) => inputs.bug(new Error('x is no function')), /PID 1 failed: x is/],
      [
        'the agent, which commits',
        ({ inputs }) => {
          const reply = { send: () => true, end() {}, onClose() {} };
          inputs.answer('{"op":"settleTrial","outcome":"committed"}', reply);
        },
        undefined,
      ],
    ];
    for (const [name, end, reason] of ends) {
      const { machine, ...more } = await trial();
      assert.match(machine.log.lines.join('\n'), /trial of release 0.2.0, known from the record/);
      end({ machine, ...more });
      await machine.clock.advance(120_000);
      const hasLeft = machine.syscalls.calls.some((call) => call.startsWith('reboot'));
      assert.equal(hasLeft, reason !== undefined, name);
      const { trialGivenUp } = UPDATE_PATHS;
      if (reason !== undefined) assert.match(machine.files.readText(trialGivenUp), reason, name);
      else assert.equal(machine.files.exists(trialGivenUp), false, name);
    }
  });

  it('goes down although the agent ignores SIGTERM: its group is killed after the grace', async () => {
    const { machine, inputs } = await boot();
    machine.processes.onSignal = () => {};
    inputs.signals.leave('test');
    await machine.clock.advance(4_999);
    assert.equal(machine.files.exists('/sys/fs/cgroup/keel/agent/cgroup.kill'), false);
    await machine.clock.advance(1);
    assert.equal(machine.files.readText('/sys/fs/cgroup/keel/agent/cgroup.kill'), '1');
    await machine.clock.advance(10_000);
    assert.equal(machine.syscalls.calls.at(-1), 'reboot reboot');
  });

  it('restarts the agent when it is killed, and does not when the node goes down', async () => {
    const { machine, inputs } = await boot();
    machine.processes.started[0]?.exit('signal SIGKILL');
    await machine.clock.advance(500);
    assert.equal(machine.processes.started.length, 2);
    inputs.signals.leave('test');
    await machine.clock.advance(120_000);
    assert.equal(machine.processes.started.length, 2);
  });

  it('restarts the machine in order when the agent never gets up in 15 minutes', async () => {
    const { machine } = await boot();
    const crash = () => {
      machine.processes.started.at(-1)?.exit('exit 1');
    };
    for (let seconds = 40; seconds < 890; seconds += 10, crash()) {
      await machine.clock.advance(10_000);
    }
    assert.ok(!machine.syscalls.calls.includes('reboot reboot'));
    assert.ok(machine.processes.started.length > 10);
    await machine.clock.advance(20_000);
    assert.equal(machine.syscalls.calls.at(-1), 'reboot reboot');
    assert.ok(machine.syscalls.calls.includes('unmount /var'));
    assert.match(machine.log.lines.join('\n'), /rebooting: the agent has failed \d\d times/);
  });

  it('leaves an agent that fails and comes back to the supervisor, and restarts the machine when it does not', async () => {
    let word = (_request: object): void => undefined;
    const { machine } = await boot({}, ({ answer }) => {
      word = (request) =>
        answer(JSON.stringify(request), { send: () => true, end() {}, onClose() {} });
      word({ op: 'markBoot', step: 'api-ready' });
    });
    const failEvery31Seconds = async (count: number, then = () => {}) => {
      for (let index = 0; index < count; index += 1) {
        machine.processes.started.at(-1)?.exit('exit 1');
        await machine.clock.advance(31_000);
        then();
      }
    };
    await failEvery31Seconds(100, () => word({ op: 'keepAlive', service: 'agent' }));
    await failEvery31Seconds(56);
    assert.ok(!machine.syscalls.calls.includes('reboot reboot'));
    await failEvery31Seconds(6);
    assert.equal(machine.syscalls.calls.at(-1), 'reboot reboot');
  });

  it('restarts the machine when a foundation is missing, and on a bug', async () => {
    const { machine, inputs } = await boot();
    inputs.bug(new TypeError('x is not a function'));
    await machine.clock.advance(5_000);
    assert.equal(machine.syscalls.calls.at(-1), 'reboot reboot');
    const broken = createFakeMachine();
    broken.syscalls.failing = (call) => (call.startsWith('mount proc') ? 'ENODEV' : undefined);
    await runInit({ ...inputs, machine: broken });
    await broken.clock.advance(5_000);
    assert.equal(broken.syscalls.calls.at(-1), 'reboot reboot');
    assert.equal(broken.processes.started.length, 0);
  });
});
