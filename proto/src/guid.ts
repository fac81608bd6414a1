/** GUIDs as text, and as the bytes that UEFI writes (RFC 9562; UEFI Specification 2.10, appendix A). */

const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** True for a GUID in lower case with dashes. */
export function isGuid(text: string): boolean {
  return GUID.test(text);
}

/** Dashes put into 32 hexadecimal digits. */
export function guidFromHex(hex: string): string {
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** The first three groups are little-endian: each is turned round, in place. */
function turn(bytes: Buffer): Buffer {
  bytes.subarray(0, 4).reverse();
  bytes.subarray(4, 6).reverse();
  bytes.subarray(6, 8).reverse();
  return bytes;
}

/** The 16 bytes of a GUID. */
export function guidBytes(guid: string): Buffer {
  if (!isGuid(guid)) throw new TypeError(`not a lower-case GUID: ${guid}`);
  return turn(Buffer.from(guid.replaceAll('-', ''), 'hex'));
}

/** The GUID of 16 bytes. */
export function guidText(bytes: Uint8Array): string {
  return guidFromHex(turn(Buffer.from(bytes)).toString('hex'));
}

/** GUID of the slot partition that holds a root: the first 128 bits of its root hash. */
export function slotGuid(rootHash: string): string {
  if (!/^[0-9a-f]{64}$/.test(rootHash)) throw new TypeError(`not a root hash: ${rootHash}`);
  return guidFromHex(rootHash.slice(0, 32));
}
