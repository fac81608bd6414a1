/**
 * Reads the stored node configuration.
 */
import { NODE_PATHS } from '@keelos/proto/node-paths.ts';
import { decodeRecord } from '@keelos/proto/state-record.ts';
import { STORED_CONFIG } from '@keelos/proto/stored-config.ts';
import { DEFAULT_CONFIG, type InitConfig, readStoredConfig } from '../core/node-config-value.ts';
import { codeOf, type Machine, reasonOf } from './machine.ts';

/** The configuration in force, or the default with the problem that led to it. */
export function readConfig(machine: Machine): { config: InitConfig; problem: string } {
  try {
    const bytes = machine.files.readBytes(NODE_PATHS.nodeConfig);
    return { config: readStoredConfig(decodeRecord(STORED_CONFIG, bytes)), problem: '' };
  } catch (error) {
    // A node that was never configured has no record.
    if (codeOf(error) === 'ENOENT') return { config: DEFAULT_CONFIG, problem: '' };
    const problem = `${NODE_PATHS.nodeConfig}: ${reasonOf(error)}; the defaults are used`;
    return { config: DEFAULT_CONFIG, problem };
  }
}
