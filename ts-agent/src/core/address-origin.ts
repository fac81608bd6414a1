/** Where does an address of this node come from? */
import { isDeepStrictEqual } from 'node:util';
import { parseIpInterface } from '@keelos/proto/ip-network.ts';
import type { NodeConfig } from '@keelos/proto/stored-config.ts';

/** Somebody's configuration, the kernel's DHCP client, or the kernel alone (link-local, router advertisements). */
export type AddressOrigin = 'static' | 'dhcp' | 'kernel';

/**
 * Origin of `address`, where `network` is what PID 1 had from the configuration at boot. Whatever it has not set, the
 * kernel has: its DHCP client knows IPv4 alone (Documentation/admin-guide/nfs/nfsroot.rst, ip=dhcp).
 */
export function addressOrigin(
  address: { readonly interface: string; readonly cidr: string; readonly isLinkLocal: boolean },
  network: NodeConfig['network'],
): AddressOrigin {
  const own = parseIpInterface(address.cidr);
  const isConfigured = network.interfaces
    .filter(({ name }) => name === address.interface)
    .flatMap(({ addresses }) => addresses)
    .map(parseIpInterface)
    .some((wanted) => isDeepStrictEqual(wanted, own));
  if (isConfigured) return 'static';
  return own?.family === 4 && !address.isLinkLocal ? 'dhcp' : 'kernel';
}
