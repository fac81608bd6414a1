/** Files on servers, reached as the node's configuration says. */
import type { AgentPorts } from '../ports.ts';
import type { UpdateSource } from '../sys/update-source.ts';
import type { NodeConfigStore } from './node-config-store.ts';

/** How servers are reached. */
export interface ServerSettings {
  readonly configuration: Pick<NodeConfigStore, 'config'>;
  /** Certificate authorities of the caller, PEM; they come before those of the configuration. */
  readonly caPem: string;
}

/** The file behind a URL. @throws KeelError E_INVALID_ARGUMENT for a URL or certificates that cannot be used */
export async function serverSource(
  url: string,
  of: {
    readonly ports: Pick<AgentPorts, 'clock' | 'httpSource'>;
    readonly settings: ServerSettings;
  },
): Promise<UpdateSource> {
  const { ports, settings } = of;
  const { proxy, noProxy = [], caPem = '' } = settings.configuration.config?.update ?? {};
  return ports.httpSource({
    url,
    caPem: settings.caPem === '' ? caPem : settings.caPem,
    clock: ports.clock,
    settings: { noProxy, ...(proxy === undefined ? {} : { proxy }) },
  });
}
