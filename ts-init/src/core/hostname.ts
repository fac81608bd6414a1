/**
 * Host names: what is accepted, what is made when none is configured, and the files in /run/keel/etc.
 */

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
/** HOST_NAME_MAX of Linux. */
const HOSTNAME_BYTES_MAX = 64;

/** True for lower-case labels of RFC 1123 with dots between them, at most 64 bytes. */
export function isHostname(name: string): boolean {
  return name.length <= HOSTNAME_BYTES_MAX && name.split('.').every((label) => LABEL.test(label));
}

/** True for a machine id: 32 lower-case hexadecimal digits, not all zero (machine-id(5)). */
export function isMachineId(text: string): boolean {
  return /^[0-9a-f]{32}$/.test(text) && !/^0+$/.test(text);
}

/** Host name of a node without a configured one. */
export function defaultHostname(machineId: string): string {
  return `keel-${machineId.slice(0, 8)}`;
}

/** Contents of /etc/hosts. */
export function hostsText(hostname: string): string {
  return ['127.0.0.1 localhost', '::1 localhost ip6-localhost', `127.0.1.1 ${hostname}`, ''].join(
    '\n',
  );
}
