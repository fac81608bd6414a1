/**
 * Who this machine is: machine id, host name, and the files that /etc points to.
 */
import { NODE_PATHS } from '@keelos/proto/node-paths.ts';
import { defaultHostname, hostsText, isMachineId } from '../core/hostname.ts';
import type { InitConfig } from '../core/node-config-value.ts';
import { codeOf, type Machine, reasonOf } from './machine.ts';

const ETC = '/run/keel/etc';
const ETC_MODE = 0o644;
const MACHINE_ID_BYTES = 16;

/** Sets the host name and writes machine-id, hostname and hosts. */
export function setIdentity(machine: Machine, config: InitConfig): void {
  const machineId = obtainMachineId(machine);
  writeEtc(machine, 'machine-id', `${machineId}\n`);
  setHostname(machine, config.hostname ?? defaultHostname(machineId));
}

/** Sets the host name of the running node. */
export function setHostname(machine: Machine, hostname: string): void {
  machine.syscalls.setHostname(hostname);
  writeEtc(machine, 'hostname', `${hostname}\n`);
  writeEtc(machine, 'hosts', hostsText(hostname));
}

/** Replaces a file that /etc points to. */
export function writeEtc(machine: Machine, name: string, text: string): void {
  machine.files.replace(`${ETC}/${name}`, text, { mode: ETC_MODE, durable: false });
}

/** The stored id, or a new one; one that cannot be stored holds until the next boot. */
function obtainMachineId(machine: Machine): string {
  const fresh = machine.randomBytes(MACHINE_ID_BYTES).toString('hex');
  try {
    const stored = machine.files.readText(NODE_PATHS.machineId).trim();
    if (isMachineId(stored)) return stored;
    machine.log.error(`machine id: ${NODE_PATHS.machineId} is damaged, a new one is made`);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') {
      // What could not be read may be good: it is not written over.
      machine.log.error(`machine id: ${reasonOf(error)}, another one holds until the next boot`);
      return fresh;
    }
  }
  try {
    const options = { mode: ETC_MODE, durable: true };
    machine.files.replace(NODE_PATHS.machineId, `${fresh}\n`, options);
  } catch (error) {
    machine.log.error(`machine id: ${reasonOf(error)}`);
  }
  return fresh;
}
