/** Addresses of this machine. */
import { networkInterfaces } from 'node:os';

/** One address. */
export interface LocalAddress {
  readonly interface: string;
  /** With prefix length. */
  readonly cidr: string;
  readonly isLinkLocal: boolean;
}

/** The port: addresses of all interfaces but loopback. */
export type ListAddresses = () => readonly LocalAddress[];

/** The addresses that the kernel has now. */
export const linuxAddresses: ListAddresses = () =>
  Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    (addresses ?? [])
      .filter((address) => !address.internal && address.cidr !== null)
      .map((address) => ({
        interface: name,
        cidr: address.cidr ?? address.address,
        isLinkLocal: /^(fe[89ab]|169\.254\.)/i.test(address.address),
      })),
  );
