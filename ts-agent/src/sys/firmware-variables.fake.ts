/** Firmware variables in memory. */
import type { FirmwareVariable, FirmwareVariables } from './firmware-variables.ts';

/** Variables that a test makes and looks at. */
export interface FakeFirmwareVariables extends FirmwareVariables {
  isAvailable: boolean;
  readonly variables: Map<string, FirmwareVariable>;
  /** For example "write Boot0001-8be4df61-…". */
  readonly calls: string[];
}

/** No variables. */
export function createFakeFirmwareVariables(): FakeFirmwareVariables {
  const variables = new Map<string, FirmwareVariable>();
  const calls: string[] = [];
  return {
    isAvailable: true,
    variables,
    calls,
    read: async (name) => variables.get(name),
    async write(name, variable) {
      calls.push(`write ${name}`);
      variables.set(name, variable);
    },
    async remove(name) {
      calls.push(`remove ${name}`);
      variables.delete(name);
    },
    list: async () => [...variables.keys()],
  };
}
