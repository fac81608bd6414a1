/**
 * A socket to the kernel's routing tables (netlink(7)).
 */
import { closeSync } from 'node:fs';
import { decodeAnswer, type NetlinkAnswer } from '../core/netlink.ts';
import { checked, errnoName, libcFunction, SystemCallError } from './native.ts';

/** Asks the kernel. */
export interface Netlink {
  /**
   * Sends the request that `encode` makes for a sequence number and collects the answer; waits at most two seconds.
   *
   * @throws SystemCallError when the kernel refuses, or does not answer.
   */
  ask(
    what: string,
    encode: (sequence: number) => Buffer,
  ): Pick<NetlinkAnswer, 'links' | 'addresses'>;
  close(): void;
}

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const NETLINK_ROUTE = 0;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const TIMEOUT_SECONDS = 2;
const DATAGRAM_BYTES_MAX = 65_536;
const DATAGRAMS_MAX = 1_000;

const socket = libcFunction('int socket(int domain, int type, int protocol)');
const setsockopt = libcFunction(
  'int setsockopt(int descriptor, int level, int name, const void *value, uint32_t length)',
);
const send = libcFunction('long send(int descriptor, const void *data, size_t length, int flags)');
const receive = libcFunction('long recv(int descriptor, void *data, size_t length, int flags)');

/** Opens a socket. */
export function openNetlink(): Netlink {
  const descriptor = checked(
    'open netlink socket',
    socket()(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_ROUTE),
  );
  const timeout = Buffer.alloc(16);
  timeout.writeBigInt64LE(BigInt(TIMEOUT_SECONDS), 0);
  checked(
    'bound netlink answers',
    setsockopt()(descriptor, SOL_SOCKET, SO_RCVTIMEO, timeout, timeout.length),
  );
  const buffer = Buffer.alloc(DATAGRAM_BYTES_MAX);
  let sequence = 0;
  return {
    ask(what, encode) {
      sequence += 1;
      const request = encode(sequence);
      checked(what, Number(send()(descriptor, request, request.length, 0)));
      const links: NetlinkAnswer['links'][number][] = [];
      const addresses: NetlinkAnswer['addresses'][number][] = [];
      for (let datagrams = 0; datagrams < DATAGRAMS_MAX; datagrams += 1) {
        const length = checked(what, Number(receive()(descriptor, buffer, buffer.length, 0)));
        const answer = decodeAnswer(buffer.subarray(0, length), sequence);
        if (answer.errno !== 0) throw new SystemCallError(what, errnoName(answer.errno));
        links.push(...answer.links);
        addresses.push(...answer.addresses);
        if (answer.complete) return { links, addresses };
      }
      throw new SystemCallError(what, 'EMSGSIZE');
    },
    close: () => closeSync(descriptor),
  };
}
