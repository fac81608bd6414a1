/** Bundles on servers, reached as the node's configuration says. */
import type { AgentPorts } from '../ports.ts';
import type { UpdateSource } from '../sys/update-source.ts';
import type { NodeConfigStore } from './node-config-store.ts';

/**
 * The bundle behind a URL. Certificate authorities of the caller come before those of the configuration.
 *
 * @throws KeelError E_INVALID_ARGUMENT for a URL or certificates that cannot be used
 */
export async function bundleSource(
  { url, caPem }: { readonly url: string; readonly caPem: string },
  {
    ports,
    configuration,
  }: {
    readonly ports: Pick<AgentPorts, 'clock' | 'httpSource'>;
    readonly configuration: Pick<NodeConfigStore, 'config'>;
  },
): Promise<UpdateSource> {
  const { proxy, noProxy = [], caPem: ownCaPem = '' } = configuration.config?.update ?? {};
  return ports.httpSource({
    url,
    caPem: caPem === '' ? ownCaPem : caPem,
    clock: ports.clock,
    settings: { noProxy, ...(proxy === undefined ? {} : { proxy }) },
  });
}
