/**
 * Reads the stored node configuration.
 */
import { NODE_PATHS } from '@keelos/proto/node-paths.ts';
import { decodeRecord } from '@keelos/proto/state-record.ts';
import { STORED_CONFIG } from '@keelos/proto/stored-config.ts';
import {
  DEFAULT_CONFIG,
  type InitConfig,
  readStoredConfig,
  revisionNames,
} from '../core/node-config-value.ts';
import { codeOf, type Machine, reasonOf } from './machine.ts';

/**
 * The configuration in force. When its record is damaged, the newest one of the history that can be read, or else the
 * default; the problem says which.
 */
export function readConfig(machine: Machine): { config: InitConfig; problem: string } {
  try {
    return { config: read(machine, NODE_PATHS.nodeConfig), problem: '' };
  } catch (error) {
    // A node that was never configured has no record.
    if (codeOf(error) === 'ENOENT') return { config: DEFAULT_CONFIG, problem: '' };
    const problem = `${NODE_PATHS.nodeConfig}: ${reasonOf(error)}`;
    const older = newestOfHistory(machine);
    if (older === undefined) {
      return { config: DEFAULT_CONFIG, problem: `${problem}; the defaults are used` };
    }
    return { config: older.config, problem: `${problem}; ${older.path} is used` };
  }
}

function read(machine: Machine, path: string): InitConfig {
  return readStoredConfig(decodeRecord(STORED_CONFIG, machine.files.readBytes(path)));
}

function newestOfHistory(machine: Machine): { config: InitConfig; path: string } | undefined {
  try {
    for (const name of revisionNames(machine.files.list(NODE_PATHS.nodeConfigHistoryDir))) {
      const path = `${NODE_PATHS.nodeConfigHistoryDir}/${name}`;
      try {
        return { config: read(machine, path), path };
      } catch (error) {
        machine.log.error(`${path}: ${reasonOf(error)}`);
      }
    }
  } catch (error) {
    machine.log.error(`${NODE_PATHS.nodeConfigHistoryDir}: ${reasonOf(error)}`);
  }
  return undefined;
}
