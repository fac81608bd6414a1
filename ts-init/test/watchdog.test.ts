import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lastResortMs, shutdownPlan } from '../src/core/shutdown-plan.ts';
import { createLastWords } from '../src/shell/last-words.ts';
import { performShutdown, type ShutdownActions } from '../src/shell/shutdown.ts';
import { createWatchdogFeeder } from '../src/shell/watchdog-feeder.ts';
import { SystemCallError } from '../src/sys/native.ts';
import { armWatchdog, armWatchdogs, openWatchdog } from '../src/sys/watchdog.ts';
import { createFakeMachine } from './fake-machine.ts';

const SET = 0xc0045706;
const GET = 0x80045707;

/** A device that answers these requests and refuses the others. */
function device(
  answers: ReadonlyMap<number, (value: number) => number>,
  identity = 'i6300ESB timer',
) {
  const calls: string[] = [];
  return {
    calls,
    open: () => ({
      feed: () => void calls.push('feed'),
      control(request: number, value: number) {
        calls.push(`${request.toString(16)} ${value}`);
        const answer = answers.get(request);
        if (answer === undefined) throw new SystemCallError('control the watchdog', 'EINVAL');
        return answer(value);
      },
      identity: () => identity,
    }),
  };
}

describe('watchdog device', () => {
  const cases: readonly (readonly [
    name: string,
    answers: readonly (readonly [number, (value: number) => number])[],
    granted: number,
  ])[] = [
    ['grants what is asked for', [[SET, (value) => value]], 60],
    ['grants less', [[SET, () => 38]], 38],
    ['refuses and tells its own', [[GET, () => 30]], 30],
    ['refuses and tells nothing', [], 10],
    ['refuses and tells nonsense', [[GET, () => 0]], 10],
  ];
  for (const [name, answers, granted] of cases) {
    it(`${name}: ${granted} s`, () => {
      const { calls, open } = device(new Map(answers));
      assert.equal(armWatchdog(60, open).timeoutSeconds, granted);
      assert.equal(calls[0], 'feed', 'fed before anything else: it counts since it was opened');
    });
  }

  it('says what kind it is; a driver without a name is taken for the hardware', () => {
    const kindOf = (identity: string) => armWatchdog(60, device(new Map(), identity).open).kind;
    assert.equal(kindOf('Software Watchdog'), 'software');
    assert.equal(kindOf('i6300ESB timer'), 'hardware');
    const { open } = device(new Map());
    const nameless = () => {
      throw new SystemCallError('identify the watchdog', 'ENOTTY');
    };
    assert.equal(armWatchdog(60, () => ({ ...open(), identity: nameless })).kind, 'hardware');
  });

  it('is handed out even when its first feeding fails, and throws when there is none', () => {
    const feed = () => {
      throw new Error('EIO');
    };
    const watchdog = armWatchdog(60, () => ({ ...device(new Map()).open(), feed }));
    assert.throws(() => watchdog.feed(), /EIO/);
    const missing = join(import.meta.dirname, 'no-watchdog');
    assert.throws(() => armWatchdog(60, () => openWatchdog(missing)), { code: 'ENOENT' });
    assert.equal(existsSync(missing), false, 'no file is made where a device should be');
  });
});

describe('all watchdogs of a machine', () => {
  const hardware = () => device(new Map([[SET, (value) => value]]));
  const software = () => device(new Map([[SET, (value) => value]]), 'Software Watchdog');
  const missing = () => {
    throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' });
  };

  it('are fed as one; the software one bites first', () => {
    const cases: readonly (readonly [
      name: string,
      devices: readonly ReturnType<typeof device>[],
      expected: readonly [kind: string, seconds: number],
    ])[] = [
      ['both', [hardware(), software()], ['hardware', 50]],
      ['both, the other way round', [software(), hardware()], ['hardware', 50]],
      ['hardware alone', [hardware()], ['hardware', 60]],
      ['software alone', [software()], ['software', 50]],
    ];
    for (const [name, devices, expected] of cases) {
      const watchdog = armWatchdogs(60, [missing, ...devices.map(({ open }) => open)]);
      assert.deepEqual([watchdog.kind, watchdog.timeoutSeconds], expected, name);
      watchdog.feed();
      for (const { calls } of devices) {
        assert.equal(calls.filter((call) => call === 'feed').length, 2, name);
      }
    }
  });

  it('one that fails does not starve the others, and is told', () => {
    const good = hardware();
    const feed = () => {
      throw new Error('EIO');
    };
    const watchdog = armWatchdogs(60, [() => ({ ...hardware().open(), feed }), good.open]);
    assert.throws(() => watchdog.feed(), /EIO/);
    assert.equal(good.calls.filter((call) => call === 'feed').length, 2);
  });

  it('are missed when there is none', () => {
    assert.throws(() => armWatchdogs(60, [missing]), { code: 'ENOENT' });
  });
});

describe('feeding the watchdog', () => {
  it('feeds at least three times in the time-out that was granted', async () => {
    const machine = createFakeMachine();
    machine.watchdogSecondsMax = 6;
    createWatchdogFeeder(machine).arm();
    assert.equal(machine.feeds, 1);
    await machine.clock.advance(6_000);
    assert.equal(machine.feeds, 4);
  });

  it('ends when PID 1 dies of a bug; a reboot that fails ends the process', async () => {
    const machine = createFakeMachine();
    machine.syscalls.failing = (call) => (call.startsWith('reboot') ? 'EPERM' : undefined);
    const watchdog = createWatchdogFeeder(machine);
    watchdog.arm();
    void createLastWords(machine, watchdog)(new Error('a bug'));
    await machine.clock.advance(600_000);
    assert.equal(machine.feeds, 1);
    assert.deepEqual(machine.syscalls.calls, ['sync', 'reboot reboot', 'end process']);
  });

  it('goes on while the node goes down, and ends with the last resort', async () => {
    const machine = createFakeMachine();
    machine.syscalls.failing = (call) => (call.startsWith('reboot') ? 'EPERM' : undefined);
    const watchdog = createWatchdogFeeder(machine);
    watchdog.arm();
    const plan = shutdownPlan(5_000);
    const actions = Object.fromEntries(
      plan.map(({ action }) => [action, () => new Promise(() => {})]),
    ) as unknown as ShutdownActions;
    void performShutdown(plan, { machine, actions, kind: 'powerOff', watchdog });
    await machine.clock.advance(lastResortMs(plan) - 1);
    const { feeds } = machine;
    assert.ok(feeds > 4);
    assert.deepEqual(machine.syscalls.calls, []);
    await machine.clock.advance(600_000);
    assert.equal(machine.feeds, feeds);
    assert.deepEqual(machine.syscalls.calls, ['reboot powerOff', 'end process']);
  });

  it('the process ends at once although a thread of its pool hangs', async function () {
    this.timeout(20_000);
    const module = join(import.meta.dirname, '../src/sys/syscalls.ts');
    const program = `
      const { linuxSyscalls } = await import(${JSON.stringify(module)});
      const { read } = await import('node:fs');
      // Nobody writes to it. An exit would wait for the pool to be done with it, begun or not.
      read(0, Buffer.alloc(1), 0, 1, null, () => {});
      linuxSyscalls.endProcess();`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['pipe', 'ignore', 'ignore'],
      timeout: 10_000,
      cwd: tmpdir(),
    });
    const [code, signal] = await once(child, 'exit');
    assert.deepEqual([code, signal], [null, 'SIGABRT']);
  });
});
