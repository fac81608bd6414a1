// virt-fw-vars, which reads and writes the variable store of the firmware in QEMU: judges our boot options, and puts
// variables into a machine that is off.

import { join } from 'node:path';
import { exec } from './exec.mjs';
import { installPythonPackage } from './python-package.mjs';

const RUN_TIMEOUT_MS = 60_000;

/**
 * Runs virt-fw-vars; resolves with what it printed.
 *
 * @param {readonly string[]} args
 * @returns {Promise<string>}
 */
export async function virtFwVars(args) {
  const dir = await installPythonPackage('virt-firmware');
  const env = { ...process.env, PYTHONPATH: dir };
  const program = join(dir, 'bin', 'virt-fw-vars');
  const { stdout } = await exec('python3', [program, ...args], { env, timeoutMs: RUN_TIMEOUT_MS });
  return stdout;
}
