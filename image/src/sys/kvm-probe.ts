/**
 * Is KVM there, and does it work? /dev/kvm can exist, open, create a machine, and still fail at the first
 * instructions: only a real guest tells.
 */
import { constants } from 'node:fs';
import { access, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheRoot } from '../../../scripts/lib/cache.mjs';
import { exec } from '../../../scripts/lib/exec.mjs';
import { replaceFile } from '../../../scripts/lib/whole-file.mjs';
import { PROBE_EXIT_STATUS, probeDisk } from '../core/kvm-probe-guest.ts';
import type { Accelerator } from '../core/qemu-command.ts';

const PROBE_TIMEOUT_MS = 6_000;

/**
 * Runs the probe guest under an accelerator.
 *
 * @returns undefined when it did its work, else why not
 */
export async function probeAccelerator(accelerator: Accelerator): Promise<string | undefined> {
  const dir = await mkdtemp(join(tmpdir(), 'keel-probe-'));
  try {
    const disk = join(dir, 'guest.img');
    await writeFile(disk, probeDisk());
    const cpu = accelerator === 'kvm' ? 'host' : 'max';
    await exec(
      'qemu-system-x86_64',
      [
        ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-m', '64'],
        ...['-machine', 'q35', '-accel', accelerator, '-cpu', cpu],
        ...['-drive', `if=none,id=disk,format=raw,file=${disk}`, '-device', 'ide-hd,drive=disk'],
        ...['-device', 'isa-debug-exit,iobase=0xf4,iosize=1'],
      ],
      { timeoutMs: PROBE_TIMEOUT_MS },
    );
    return 'the guest ended without doing its work';
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return reason.includes(`exit status ${PROBE_EXIT_STATUS})`) ? undefined : reason;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function probeKvm(): Promise<{ accelerator: Accelerator; reason: string }> {
  try {
    await access('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch {
    return { accelerator: 'tcg', reason: 'there is no /dev/kvm that we may use' };
  }
  const problem = await probeAccelerator('kvm');
  if (problem === undefined) return { accelerator: 'kvm', reason: 'a guest ran' };
  // The first line is our own command; QEMU's words come behind it.
  const said = problem.split('\n')[1]?.replace(/^\s*\|\s*/, '') ?? problem;
  return { accelerator: 'tcg', reason: `KVM does not work here: ${said}` };
}

/**
 * KVM when a guest really runs on it, else emulation. Says on stderr which one when it finds out; the answer is kept
 * until the host restarts. `$KEEL_ACCEL` (kvm or tcg) decides instead.
 */
export async function chooseAccelerator(): Promise<Accelerator> {
  const wanted = process.env.KEEL_ACCEL;
  if (wanted === 'kvm' || wanted === 'tcg') return wanted;
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  const path = join(cacheRoot(), 'accelerator.json');
  const known = await readFile(path, 'utf8')
    .then((text) => JSON.parse(text) as { bootId?: unknown; accelerator?: unknown } | null)
    .catch(() => null); // absent or damaged: find out anew
  if (known?.bootId === bootId) {
    if (known.accelerator === 'kvm' || known.accelerator === 'tcg') return known.accelerator;
  }
  const { accelerator, reason } = await probeKvm();
  const name = accelerator === 'kvm' ? 'KVM' : 'emulation (TCG)';
  process.stderr.write(`  virtual machines run with ${name}: ${reason}\n`);
  await mkdir(cacheRoot(), { recursive: true });
  await replaceFile(path, JSON.stringify({ bootId, accelerator, reason }));
  return accelerator;
}
