/** What differs between two node configurations, and when the new setting is in force. */
import type { InterfaceConfig, NodeConfig, ProbeConfig } from './stored-config.ts';

/** When a changed setting is in force. */
export type ChangeEffect = 'immediate' | 'reboot';

/** One setting that differs. */
export interface NodeConfigChange {
  /** Path of the setting; interfaces and probes by name: "network.interfaces[eth0].addresses". */
  readonly path: string;
  /** Old value as JSON; empty when it was absent. */
  readonly oldJson: string;
  /** New value as JSON; empty when it is gone. */
  readonly newJson: string;
  readonly effect: ChangeEffect;
}

/** When settings are in force, by the beginning of their path. The one table: the reference page shows it too. */
export const CONFIG_EFFECTS: readonly {
  readonly setting: string;
  readonly effect: ChangeEffect;
}[] = [
  { setting: 'apiVersion', effect: 'immediate' },
  { setting: 'hostname', effect: 'immediate' },
  { setting: 'network', effect: 'reboot' },
  { setting: 'time', effect: 'immediate' },
  { setting: 'enrolment', effect: 'immediate' },
  { setting: 'probes', effect: 'immediate' },
  { setting: 'update', effect: 'immediate' },
  { setting: 'health', effect: 'immediate' },
];

/** When a change of the setting at `path` is in force. A setting that is in no row waits for a reboot. */
export function effectOf(path: string): ChangeEffect {
  const row = CONFIG_EFFECTS.find(
    ({ setting }) =>
      path === setting || path.startsWith(`${setting}.`) || path.startsWith(`${setting}[`),
  );
  return row?.effect ?? 'reboot';
}

/**
 * Every setting that differs, in the order of the schema. Interfaces and probes are told apart by name, not by place; lists of
 * addresses and servers are one setting each. Empty exactly when the two mean the same.
 */
export function diffNodeConfig(
  oldConfig: NodeConfig,
  newConfig: NodeConfig,
): readonly NodeConfigChange[] {
  const before = settingsOf(oldConfig);
  const after = settingsOf(newConfig);
  const paths = new Set([...after.keys(), ...before.keys()]);
  const changes: NodeConfigChange[] = [];
  for (const path of paths) {
    const oldJson = before.get(path) ?? '';
    const newJson = after.get(path) ?? '';
    if (oldJson !== newJson) changes.push({ path, oldJson, newJson, effect: effectOf(path) });
  }
  return changes;
}

/** Settings as path to JSON, in the order of the schema. */
function settingsOf(config: NodeConfig): Map<string, string> {
  const settings = new Map<string, string>();
  const set = (path: string, value: unknown) => {
    if (value !== undefined) settings.set(path, JSON.stringify(value));
  };
  set('apiVersion', config.apiVersion);
  set('hostname', config.hostname);
  for (const item of config.network.interfaces) interfaceSettings(item, set);
  set('network.nameservers', config.network.nameservers);
  set('time.servers', config.time.servers);
  set('enrolment.consoleToken', config.enrolment.consoleToken);
  for (const probe of config.probes) probeSettings(probe, set);
  set('update.proxy', config.update.proxy);
  set('update.noProxy', config.update.noProxy);
  set('update.caPem', config.update.caPem);
  set('health.networkTarget', config.health.networkTarget);
  return settings;
}

function probeSettings(
  { name, ...settings }: ProbeConfig,
  set: (path: string, value: unknown) => void,
): void {
  for (const [key, value] of Object.entries(settings)) set(`probes[${name}].${key}`, value);
}

function interfaceSettings(
  { name, addresses, gateways }: InterfaceConfig,
  set: (path: string, value: unknown) => void,
): void {
  set(`network.interfaces[${name}].addresses`, addresses);
  set(`network.interfaces[${name}].gateways`, gateways);
}
