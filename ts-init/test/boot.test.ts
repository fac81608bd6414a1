import assert from 'node:assert/strict';
import { EVIDENCE_STEP } from '@keelos/proto/init-control.ts';
import { BOOT_PLAN } from '../src/core/boot-plan.data.ts';
import { type BootAction, type BootStep, mountFlagBits } from '../src/core/boot-plan.ts';
import { type BootActions, BootFailure, performBootPlan } from '../src/shell/boot.ts';
import { createBootLedger } from '../src/shell/boot-ledger.ts';
import { createFakeMachine } from './fake-machine.ts';

const BASE = { onFailure: 'record', why: '' } as const;

function actionsThatRecord(calls: string[]): BootActions {
  const actions = BOOT_PLAN.flatMap((step) => (step.kind === 'action' ? [step.action] : []));
  return Object.fromEntries(
    actions.map((action) => [action, () => void calls.push(action)]),
  ) as Record<BootAction, () => void>;
}

describe('boot plan', () => {
  it('has unique names, a reason for every step, and every writable mount without programs', () => {
    const names = BOOT_PLAN.map((step) => step.name);
    assert.equal(new Set(names).size, names.length);
    for (const step of BOOT_PLAN) {
      assert.notEqual(step.why, '', step.name);
      if (step.kind !== 'mount' || step.flags.includes('shared')) continue;
      if (step.flags.join() === 'bind') continue;
      assert.ok(step.flags.includes('nosuid'), step.name);
      const withPrograms = step.name === 'allow exec in container store';
      assert.equal(step.flags.includes('noexec'), !withPrograms, step.name);
      const withDevices = ['/dev', '/dev/pts'].includes(step.target);
      assert.equal(step.flags.includes('nodev'), !withDevices, step.name);
    }
  });

  it('arms the deadline before the agent goes on, and looks for evidence once it listens', () => {
    const places = BOOT_PLAN.map((step) => (step.kind === 'mount' ? step.target : step.name));
    const order = [
      'state partition',
      'trial',
      'control socket',
      'agent first',
      '/sys/firmware/efi/efivars',
      'trial by the loader',
      '/sys/fs/pstore',
      'crash reports',
    ];
    assert.deepEqual(
      places.filter((place) => order.includes(place)),
      order,
    );
    const last = BOOT_PLAN[places.indexOf('crash reports')];
    assert.ok(last?.kind === 'action' && last.mark === EVIDENCE_STEP, 'the agent waits for it');
  });

  it('is performed in order, and the agent starts before what it does not need', async () => {
    const machine = createFakeMachine({ '/sys/fs/bpf/x': '', '/proc/sys/kernel/sysrq': '1' });
    const ledger = createBootLedger(machine);
    const calls: string[] = [];
    await performBootPlan(BOOT_PLAN, { machine, ledger, actions: actionsThatRecord(calls) });
    const expected = BOOT_PLAN.flatMap((step) => (step.kind === 'action' ? [step.action] : []));
    assert.deepEqual(calls, expected);
    const mounts = machine.syscalls.calls.map((call) => call.split(' ').slice(0, 3).join(' '));
    assert.equal(mounts[0], 'mount proc /proc');
    assert.ok(mounts.includes('mount bpf /sys/fs/bpf'));
    assert.ok(!mounts.includes('mount efivarfs /sys/firmware/efi/efivars'), 'left out: no EFI');
    assert.equal(machine.files.readText('/proc/sys/kernel/sysrq'), '0');
    assert.equal(machine.files.exists('/proc/sys/kernel/yama/ptrace_scope'), false);
    assert.deepEqual(
      ledger.report().steps.map((step) => step.name),
      BOOT_PLAN.flatMap((step) => (step.kind === 'action' && step.mark ? [step.mark] : [])),
    );
    const order = [
      'start-services',
      'mount-state',
      'set-clock',
      'open-control-socket',
      'grow-state',
    ];
    assert.deepEqual(
      calls.filter((call) => order.includes(call)),
      order,
      'the agent waits for the socket, and the socket comes after all that it reads',
    );
  });

  it('records a failed step and goes on; a fatal one ends the boot', async () => {
    const machine = createFakeMachine();
    const ledger = createBootLedger(machine);
    machine.syscalls.failing = (call) => (call.includes('/tmp') ? 'ENODEV' : undefined);
    const after: BootStep = { ...BASE, kind: 'directory', name: 'after', path: '/x', mode: 0o700 };
    const mount = (target: string, onFailure: 'fatal' | 'record'): BootStep => ({
      ...BASE,
      kind: 'mount',
      name: target,
      source: 'tmpfs',
      target,
      type: 'tmpfs',
      flags: [],
      onFailure,
    });
    const using = { machine, ledger, actions: actionsThatRecord([]) };
    await performBootPlan([mount('/tmp', 'record'), after], using);
    assert.deepEqual(
      ledger.report().failures.map((one) => one.step),
      ['/tmp'],
    );
    assert.match(machine.log.lines.join('\n'), /error \/tmp: .*ENODEV/);
    assert.ok(machine.files.exists('/x'));
    const plan = [mount('/tmp', 'fatal'), { ...after, path: '/y' }];
    await assert.rejects(performBootPlan(plan, using), BootFailure);
    assert.ok(!machine.files.exists('/y'));
  });

  it('takes EBUSY as success only where the step says so', async () => {
    const machine = createFakeMachine();
    const ledger = createBootLedger(machine);
    machine.syscalls.failing = () => 'EBUSY';
    const step: BootStep = {
      ...BASE,
      kind: 'mount',
      name: 'dev',
      source: 'devtmpfs',
      target: '/dev',
      type: 'devtmpfs',
      flags: [],
    };
    const using = { machine, ledger, actions: actionsThatRecord([]) };
    await performBootPlan([{ ...step, busyIsFine: true }], using);
    assert.equal(ledger.report().failures.length, 0);
    await performBootPlan([step], using);
    assert.equal(ledger.report().failures.length, 1);
  });

  it('adds flags as mount(2) wants them', () => {
    assert.equal(mountFlagBits(['nosuid', 'nodev', 'noexec']), 14);
    assert.equal(mountFlagBits(['rec', 'shared']), 0x104000);
  });
});
