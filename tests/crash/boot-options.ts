/** The firmware's boot options as the firmware reads them (UEFI Specification 2.10, 3.1.3 and 10.3.5). */
import type { Gpt, GptPartition } from '@keelos/proto/gpt.ts';
import { guidText } from '@keelos/proto/guid.ts';
import type { Hardware } from './hardware.ts';

/** GUID of the variables that the specification defines (EFI_GLOBAL_VARIABLE). */
const GLOBAL = '8be4df61-93ca-11d2-aa0d-00e098032b8c';
const LOAD_OPTION_ACTIVE = 1;
const MEDIA = 4;
const HARD_DRIVE = 1;
const FILE_PATH = 4;
const END = 0x7f;

/** A program on a partition. */
export interface BootTarget {
  readonly partition: GptPartition;
  /** "/" between names, none at the start. */
  readonly path: string;
}

/** Programs that BootOrder names on partitions of this disk, in its order. What cannot be read is passed over. */
export function bootOptions(hardware: Hardware, gpt: Gpt): BootTarget[] {
  const order = Buffer.from(hardware.variable(`BootOrder-${GLOBAL}`)?.data ?? []);
  const found: BootTarget[] = [];
  for (let at = 0; at + 2 <= order.length; at += 2) {
    const number = order.readUInt16LE(at).toString(16).toUpperCase().padStart(4, '0');
    const data = hardware.variable(`Boot${number}-${GLOBAL}`)?.data;
    const option = data === undefined ? undefined : readOption(Buffer.from(data));
    const partition = gpt.partitions.find(({ guid }) => guid === option?.guid);
    if (option !== undefined && partition !== undefined) {
      found.push({ partition, path: option.path });
    }
  }
  return found;
}

function readOption(data: Buffer): { readonly guid: string; readonly path: string } | undefined {
  if (data.length < 8 || (data.readUInt32LE(0) & LOAD_OPTION_ACTIVE) === 0) return undefined;
  let at = 6;
  while (at + 2 <= data.length && data.readUInt16LE(at) !== 0) at += 2;
  at += 2;
  let guid = '';
  let path = '';
  while (at + 4 <= data.length && data[at] !== END) {
    const length = data.readUInt16LE(at + 2);
    if (length < 4) return undefined;
    const node = data.subarray(at, at + length);
    if (node[0] === MEDIA && node[1] === HARD_DRIVE) guid = guidText(node.subarray(24, 40));
    if (node[0] === MEDIA && node[1] === FILE_PATH) {
      path = node.toString('utf16le', 4).replace(/\0.*$/s, '');
    }
    at += length;
  }
  return { guid, path: path.replaceAll('\\', '/').replace(/^\/+/, '') };
}
