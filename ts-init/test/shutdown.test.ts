import assert from 'node:assert/strict';
import { lastResortMs, shutdownPlan } from '../src/core/shutdown-plan.ts';
import { createLastWords } from '../src/shell/last-words.ts';
import { performShutdown, type ShutdownActions, unmountOrFreeze } from '../src/shell/shutdown.ts';
import { createWatchdogFeeder } from '../src/shell/watchdog-feeder.ts';
import { createFakeMachine, type FakeMachine, settleWithTime } from './fake-machine.ts';

describe('shutdown', () => {
  function record(machine: FakeMachine, more: Partial<ShutdownActions> = {}) {
    const done: string[] = [];
    const plan = shutdownPlan(5_000);
    const actions = Object.fromEntries(
      plan.map(({ action }) => [action, more[action] ?? (() => void done.push(action))]),
    ) as unknown as ShutdownActions;
    const watchdog = createWatchdogFeeder(machine);
    const work = performShutdown(plan, { machine, actions, kind: 'powerOff', watchdog });
    return { done, plan, work };
  }

  it('goes through the plan in order', async () => {
    const machine = createFakeMachine();
    const { done, plan, work } = record(machine);
    await work;
    assert.deepEqual(
      done,
      plan.map((step) => step.action),
    );
  });

  it('passes over a step that fails, throws or hangs', async () => {
    const machine = createFakeMachine();
    const { done, work } = record(machine, {
      'save-clock-floor': () => {
        throw new Error('EROFS');
      },
      'close-logs': () => Promise.reject(new Error('EIO')),
      sync: () => new Promise(() => {}),
    });
    await settleWithTime(machine, work);
    assert.equal(done.at(-1), 'leave');
    assert.match(machine.log.lines.join('\n'), /EROFS[\s\S]*EIO[\s\S]*sync: not done/);
  });

  it('resets the machine when leaving does not work', async () => {
    const machine = createFakeMachine();
    const { plan, work } = record(machine);
    await work;
    await machine.clock.advance(lastResortMs(plan) - 1);
    assert.deepEqual(machine.syscalls.calls, []);
    await machine.clock.advance(1);
    assert.deepEqual(machine.syscalls.calls, ['reboot powerOff']);
  });

  it('makes a busy file system read-only', async () => {
    const machine = createFakeMachine();
    machine.syscalls.failing = (call) => (call.startsWith('unmount') ? 'EBUSY' : undefined);
    await unmountOrFreeze(machine, { target: '/var', remountFlagBits: 33 });
    assert.deepEqual(machine.syscalls.calls, ['unmount /var', 'mount  /var  33 ']);
    machine.syscalls.failing = () => 'EBUSY';
    await unmountOrFreeze(machine, { target: '/var', remountFlagBits: 33 });
    assert.match(machine.log.lines.at(-1) ?? '', /remount \/var: refused/);
  });

  it('writes a bug of PID 1 to the kernel log and restarts, even when the disk hangs', async () => {
    const machine = createFakeMachine();
    machine.syscalls.hanging = (call) => call === 'sync';
    const lastWords = createLastWords(machine, createWatchdogFeeder(machine));
    void lastWords(new Error('a bug'));
    void lastWords(new Error('another'));
    assert.match(machine.log.lines.join('\n'), /error PID 1 failed.*a bug\n\s+at /);
    await machine.clock.advance(5_000);
    assert.deepEqual(machine.syscalls.calls, ['sync', 'reboot reboot']);
  });
});
