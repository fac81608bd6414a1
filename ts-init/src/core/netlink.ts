/**
 * Messages of rtnetlink (rtnetlink(7), linux/rtnetlink.h), encoded and decoded; native byte order, which on every
 * machine KeelOS runs on is little-endian.
 *
 *     nlmsghdr 16: length u32, type u16, flags u16, sequence u32, port u32
 *     then ifinfomsg 16 | ifaddrmsg 8 | rtmsg 12, then attributes: length u16, type u16, value, padded to 4
 */
import type { IpAddress, IpInterface } from '@keelos/proto/ip-network.ts';

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const RTM_NEWROUTE = 24;

const NLM_F_REQUEST = 0x1;
const NLM_F_ACK = 0x4;
const NLM_F_DUMP = 0x300;
const NLM_F_REPLACE = 0x100;
const NLM_F_CREATE = 0x400;

const AF_INET = 2;
const AF_INET6 = 10;
const IFF_UP = 1;
const HEADER_BYTES = 16;
const IFLA_IFNAME = 3;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RT_TABLE_MAIN = 254;
const RTPROT_STATIC = 4;
const RTN_UNICAST = 1;

/** A network interface. */
export interface LinkFacts {
  readonly index: number;
  readonly name: string;
  readonly up: boolean;
}

/** An address on an interface. */
export interface AddressFacts extends IpInterface {
  readonly linkIndex: number;
}

/** Answer to a request. */
export interface NetlinkAnswer {
  /** True when no more messages follow. */
  readonly complete: boolean;
  /** 0, or an errno value. */
  readonly errno: number;
  readonly links: readonly LinkFacts[];
  readonly addresses: readonly AddressFacts[];
}

function align(length: number): number {
  return (length + 3) & ~3;
}

function attribute(type: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(align(4 + value.length));
  bytes.writeUInt16LE(4 + value.length, 0);
  bytes.writeUInt16LE(type, 2);
  value.copy(bytes, 4);
  return bytes;
}

function message(
  head: { readonly type: number; readonly flags: number; readonly sequence: number },
  ...parts: readonly Buffer[]
): Buffer {
  const body = Buffer.concat(parts);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(HEADER_BYTES + body.length, 0);
  header.writeUInt16LE(head.type, 4);
  header.writeUInt16LE(head.flags | NLM_F_REQUEST, 6);
  header.writeUInt32LE(head.sequence, 8);
  return Buffer.concat([header, body]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function addressBytes(address: IpAddress): Buffer {
  const digits = address.family === 4 ? 8 : 32;
  return Buffer.from(address.bits.toString(16).padStart(digits, '0'), 'hex');
}

function familyNumber(family: 4 | 6): number {
  return family === 4 ? AF_INET : AF_INET6;
}

/** Asks for all interfaces. */
export function encodeListLinks(sequence: number): Buffer {
  return message({ type: RTM_GETLINK, flags: NLM_F_DUMP, sequence }, Buffer.alloc(16));
}

/** Asks for all addresses. */
export function encodeListAddresses(sequence: number): Buffer {
  return message({ type: RTM_GETADDR, flags: NLM_F_DUMP, sequence }, Buffer.alloc(8));
}

/** Sets an interface up. */
export function encodeLinkUp(linkIndex: number, sequence: number): Buffer {
  const body = Buffer.alloc(16);
  body.writeInt32LE(linkIndex, 4);
  body.writeUInt32LE(IFF_UP, 8);
  body.writeUInt32LE(IFF_UP, 12);
  return message({ type: RTM_NEWLINK, flags: NLM_F_ACK, sequence }, body);
}

function addressMessage(type: number, address: AddressFacts, sequence: number): Buffer {
  const body = Buffer.alloc(8);
  body.writeUInt8(familyNumber(address.family), 0);
  body.writeUInt8(address.prefixLength, 1);
  body.writeUInt32LE(address.linkIndex, 4);
  const value = addressBytes(address);
  const create = type === RTM_NEWADDR ? NLM_F_CREATE | NLM_F_REPLACE : 0;
  return message(
    { type, flags: NLM_F_ACK | create, sequence },
    body,
    attribute(IFA_LOCAL, value),
    attribute(IFA_ADDRESS, value),
  );
}

/** Adds an address, or does nothing when it is there. */
export function encodeAddAddress(address: AddressFacts, sequence: number): Buffer {
  return addressMessage(RTM_NEWADDR, address, sequence);
}

/** Removes an address. */
export function encodeRemoveAddress(address: AddressFacts, sequence: number): Buffer {
  return addressMessage(RTM_DELADDR, address, sequence);
}

/** Sets the default route of the gateway's family. */
export function encodeDefaultRoute(
  route: { readonly gateway: IpAddress; readonly linkIndex: number },
  sequence: number,
): Buffer {
  const body = Buffer.alloc(12);
  body.writeUInt8(familyNumber(route.gateway.family), 0);
  body.writeUInt8(RT_TABLE_MAIN, 4);
  body.writeUInt8(RTPROT_STATIC, 5);
  body.writeUInt8(RTN_UNICAST, 7);
  return message(
    { type: RTM_NEWROUTE, flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, sequence },
    body,
    attribute(RTA_GATEWAY, addressBytes(route.gateway)),
    attribute(RTA_OIF, u32(route.linkIndex)),
  );
}

/**
 * Decodes one datagram of the kernel.
 *
 * Messages of another sequence are passed over; a message that is cut short ends the decoding.
 */
export function decodeAnswer(datagram: Uint8Array, sequence: number): NetlinkAnswer {
  const data = Buffer.from(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  const links: LinkFacts[] = [];
  const addresses: AddressFacts[] = [];
  let complete = false;
  let errno = 0;
  for (let at = 0; data.length - at >= HEADER_BYTES && !complete; ) {
    const length = data.readUInt32LE(at);
    if (length < HEADER_BYTES || length > data.length - at) break;
    const body = data.subarray(at + HEADER_BYTES, at + length);
    const type = data.readUInt16LE(at + 4);
    const mine = data.readUInt32LE(at + 8) === sequence;
    at += align(length);
    if (!mine) continue;
    if (type === NLMSG_DONE) complete = true;
    if (type === NLMSG_ERROR) {
      complete = true;
      errno = body.length >= 4 ? -body.readInt32LE(0) : 0;
    }
    if (type === RTM_NEWLINK) push(links, decodeLink(body));
    if (type === RTM_NEWADDR) push(addresses, decodeAddress(body));
  }
  return { complete, errno, links, addresses };
}

function push<T>(list: T[], item: T | undefined): void {
  if (item !== undefined) list.push(item);
}

function attributes(bytes: Buffer): ReadonlyMap<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let at = 0; bytes.length - at >= 4; ) {
    const length = bytes.readUInt16LE(at);
    if (length < 4 || length > bytes.length - at) break;
    found.set(bytes.readUInt16LE(at + 2), bytes.subarray(at + 4, at + length));
    at += align(length);
  }
  return found;
}

function decodeLink(body: Buffer): LinkFacts | undefined {
  if (body.length < 16) return undefined;
  const name = attributes(body.subarray(16)).get(IFLA_IFNAME);
  if (name === undefined) return undefined;
  const end = name.indexOf(0);
  return {
    index: body.readInt32LE(4),
    name: name.toString('utf8', 0, end < 0 ? name.length : end),
    up: (body.readUInt32LE(8) & IFF_UP) !== 0,
  };
}

function decodeAddress(body: Buffer): AddressFacts | undefined {
  if (body.length < 8) return undefined;
  const found = attributes(body.subarray(8));
  const value = found.get(IFA_LOCAL) ?? found.get(IFA_ADDRESS);
  const number = body.readUInt8(0);
  const family = number === AF_INET ? 4 : number === AF_INET6 ? 6 : undefined;
  if (value === undefined || family === undefined || value.length !== (family === 4 ? 4 : 16)) {
    return undefined;
  }
  return {
    family,
    bits: BigInt(`0x${value.toString('hex')}`),
    prefixLength: body.readUInt8(1),
    linkIndex: body.readUInt32LE(4),
  };
}
