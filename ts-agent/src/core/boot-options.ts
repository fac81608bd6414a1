/**
 * The ladder of firmware boot options: the loader, its second copy, the committed kernel image started directly. What is
 * there, what ought to be there, and what to write. Pure.
 */
import { kernelImagePath, LOADER_PATH, SECOND_LOADER_PATH } from '@keelos/proto/boot-entry.ts';
import {
  decodeLoadOption,
  encodeLoadOption,
  type LoadOption,
  type OptionPartition,
} from './load-option.ts';
import { LOADER_COPIES, type LoaderVerdict } from './loader-copies.ts';

/** EFI_GLOBAL_VARIABLE, UEFI Specification 2.10, section 3.3. */
const GLOBAL = '8be4df61-93ca-11d2-aa0d-00e098032b8c';
/** Non-volatile, for the firmware and for the running system. */
const ATTRIBUTES = 7;
const OPTION_NAME = /^Boot([0-9A-F]{4})-8be4df61-93ca-11d2-aa0d-00e098032b8c$/;
/** Boot options that are looked at. */
export const OPTIONS_MAX = 256;
const NUMBERS = 0x10000;

/** Name of the variable with the order. */
export const BOOT_ORDER = `BootOrder-${GLOBAL}`;
const LOADER = 'KeelOS';
const SECOND_LOADER = 'KeelOS (second loader)';

/** Name of a boot option's variable. */
export function optionVariable(number: number): string {
  return `Boot${number.toString(16).toUpperCase().padStart(4, '0')}-${GLOBAL}`;
}

/** Number of a boot option by its variable's name; undefined when it is no boot option. */
export function optionNumber(variable: string): number | undefined {
  const digits = OPTION_NAME.exec(variable)?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 16);
}

/** The committed release. */
export interface Committed {
  readonly version: string;
  readonly rootHash: string;
}

/** The options that ought to be there, in order. */
export function wantedOptions(partition: OptionPartition, committed: Committed): LoadOption[] {
  const kernel = kernelImagePath(committed.rootHash);
  return optionsFor(partition, { description: `${LOADER} ${committed.version}`, path: kernel });
}

/**
 * The same for somebody who does not know what is committed: any kernel image of the partition will do on the last rung,
 * but there must be one.
 */
export function possibleOptions(
  partition: OptionPartition,
  { options }: FirmwareOptions,
): LoadOption[] {
  const last = [...options.values()]
    .filter((bytes) => rungOf(bytes) === 2)
    .map((bytes) => decodeLoadOption(bytes))
    .find((option) => option?.partition?.guid === partition.guid);
  return optionsFor(partition, {
    description: last?.description ?? `${LOADER} (kernel image)`,
    path: last?.path ?? '',
  });
}

function optionsFor(
  partition: OptionPartition,
  last: Pick<LoadOption, 'description' | 'path'>,
): LoadOption[] {
  const rungs = [
    { description: LOADER, path: LOADER_PATH },
    { description: SECOND_LOADER, path: SECOND_LOADER_PATH },
    last,
  ];
  return rungs.map((rung) => ({ ...rung, partition, isActive: true }));
}

/** What the firmware has. */
export interface FirmwareOptions {
  /** Numbers in the order of BootOrder. */
  readonly order: readonly number[];
  /** Contents by number. */
  readonly options: ReadonlyMap<number, Uint8Array>;
}

/** Numbers of a BootOrder variable. */
export function parseBootOrder(data: Uint8Array): number[] {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const order: number[] = [];
  for (let at = 0; at + 2 <= bytes.length; at += 2) order.push(bytes.readUInt16LE(at));
  return order;
}

/** A rung as it is. */
export interface Rung {
  readonly description: string;
  /** Number of its variable; absent: there is none. */
  readonly number?: number;
  /** It says what it must, at its place in the order, and the copy of the loader that it starts is not damaged. */
  readonly isCorrect: boolean;
}

/** True when a boot option does what `wanted` does, however the firmware writes it. */
function isSame(bytes: Uint8Array | undefined, wanted: LoadOption): boolean {
  const found = bytes === undefined ? undefined : decodeLoadOption(bytes);
  return (
    found?.description === wanted.description &&
    found.isActive &&
    found.dataBytes === 0 &&
    found.partition?.guid === wanted.partition.guid &&
    found.partition.number === wanted.partition.number &&
    found.path?.toLowerCase() === wanted.path.toLowerCase()
  );
}

/** Which rung an option of ours is for: by its description, which nobody else gives. undefined: it is not ours. */
function rungOf(bytes: Uint8Array): number | undefined {
  const description = decodeLoadOption(bytes)?.description ?? '';
  if (description === LOADER) return 0;
  if (description === SECOND_LOADER) return 1;
  return /^KeelOS \S+$/.test(description) ? 2 : undefined;
}

/** For every wanted option the number that it has or gets: an equal one, else one of the same rung, else a free one. */
function numbersFor(
  { options }: FirmwareOptions,
  wanted: readonly LoadOption[],
): (number | undefined)[] {
  const taken = new Set(options.keys());
  const all = [...options].toSorted(([a], [b]) => a - b);
  return wanted.map((option, rung) => {
    const equal = all.find(([, bytes]) => isSame(bytes, option));
    const fitting = equal ?? all.find(([, bytes]) => rungOf(bytes) === rung);
    if (fitting !== undefined) return fitting[0];
    for (let number = 0; number < NUMBERS; number += 1) {
      if (taken.has(number)) continue;
      taken.add(number);
      return number;
    }
    return undefined;
  });
}

/** The rungs as they are. */
export function judgeLadder(firmware: FirmwareOptions, wanted: readonly LoadOption[]): Rung[] {
  const numbers = numbersFor(firmware, wanted);
  return wanted.map((option, rung) => {
    const number = numbers[rung];
    const isThere = number !== undefined && firmware.options.has(number);
    return {
      description: option.description,
      ...(isThere ? { number } : {}),
      isCorrect:
        isThere && isSame(firmware.options.get(number), option) && firmware.order[rung] === number,
    };
  });
}

/** That a copy of the loader was damaged, in one sentence. */
export function loaderDamage(path: string): string {
  return `The boot loader ${path} was damaged or gone.`;
}

/**
 * What was wrong with the options that start the loader, in one sentence; empty when nothing was. The last rung follows
 * the committed release, so that it differs after a change of it is no damage.
 */
export function lostOptions(rungs: readonly Rung[]): string {
  const lost = rungs.slice(0, LOADER_COPIES.length).filter(({ isCorrect }) => !isCorrect);
  if (lost.length === 0) return '';
  const named = lost.map(({ description }) => `"${description}"`).join(' and ');
  return `The firmware had lost or changed its boot options ${named}.`;
}

/** The rungs with what is known of the copies of the loader, which the first two start. */
export function withLoaders(
  rungs: readonly Rung[],
  loaders: LoaderVerdict | undefined,
): readonly Rung[] {
  const isDamaged = (rung: number) =>
    rung < LOADER_COPIES.length &&
    (loaders?.kind === 'unknown' || (loaders?.kind === 'damaged' && loaders.copy === rung));
  return rungs.map((one, rung) => (isDamaged(rung) ? { ...one, isCorrect: false } : one));
}

/** A change of a variable. */
export type VariableChange =
  | {
      readonly kind: 'write';
      readonly name: string;
      readonly attributes: number;
      readonly data: Buffer;
    }
  | { readonly kind: 'remove'; readonly name: string };

/**
 * Changes that put the ladder in order: options first, then the order that names them, then what is ours and not named
 * any more. Other options keep their order behind ours. None when all is well.
 */
export function planLadder(
  firmware: FirmwareOptions,
  wanted: readonly LoadOption[],
): VariableChange[] {
  const numbers = numbersFor(firmware, wanted).filter((number) => number !== undefined);
  const written = wanted.flatMap((option, rung): VariableChange[] => {
    const number = numbers[rung];
    if (number === undefined || isSame(firmware.options.get(number), option)) return [];
    const data = encodeLoadOption(option);
    return [{ kind: 'write', name: optionVariable(number), attributes: ATTRIBUTES, data }];
  });
  const surplus = [...firmware.options]
    .filter(([number, bytes]) => rungOf(bytes) !== undefined && !numbers.includes(number))
    .map(([number]) => number);
  const rest = firmware.order.filter(
    (number) => !numbers.includes(number) && !surplus.includes(number),
  );
  const order = [...numbers, ...rest];
  const isOrdered =
    order.length === firmware.order.length && order.every((n, at) => n === firmware.order[at]);
  return [
    ...written,
    ...(isOrdered
      ? []
      : [
          {
            kind: 'write' as const,
            name: BOOT_ORDER,
            attributes: ATTRIBUTES,
            data: encodeOrder(order),
          },
        ]),
    ...surplus.map((number) => ({ kind: 'remove' as const, name: optionVariable(number) })),
  ];
}

function encodeOrder(order: readonly number[]): Buffer {
  const bytes = Buffer.alloc(order.length * 2);
  for (const [at, number] of order.entries()) bytes.writeUInt16LE(number, at * 2);
  return bytes;
}
