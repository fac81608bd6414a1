/**
 * Names in a FAT directory: the 8.3 name every entry has, and the long entries in front of it.
 *
 * Microsoft FAT specification 1.03, "FAT Long Directory Entries" and "Name Matching".
 */

const ENTRY_BYTES = 32;
const ATTRIBUTE_LONG_NAME = 0x0f;
const SHORT_BYTES = 11;
const UNITS_PER_ENTRY = 13;
const NAME_UNITS_MAX = 255;
const LAST_LONG_ENTRY = 0x40;
const SHORT = /^[A-Z0-9!#$%&'()\-@^_`{}~]{1,8}(\.[A-Z0-9!#$%&'()\-@^_`{}~]{1,3})?$/;
/** Only ASCII is written here, although long names could hold UTF-16. */
const FORBIDDEN = /["*/:<>?\\|]|[^ -~]/;
const TAILS_MAX = 999;

/** Short names that a directory has already. */
export interface TakenShortNames {
  readonly names: Set<string>;
}

/** An empty set, for a new directory. */
export function takenShortNames(): TakenShortNames {
  return { names: new Set() };
}

function padded(base: string, extension: string): string {
  return base.padEnd(8) + extension.padEnd(3);
}

/** An 8.3 name nobody has: the name's first letters, "~" and a number. */
function generatedShortName(name: string, taken: TakenShortNames): string {
  const dot = name.lastIndexOf('.');
  const clean = (text: string) => text.toUpperCase().replace(/[^A-Z0-9_-]/g, '');
  const base = clean(dot > 0 ? name.slice(0, dot) : name);
  const extension = clean(dot > 0 ? name.slice(dot + 1) : '').slice(0, 3);
  for (let tail = 1; tail <= TAILS_MAX; tail += 1) {
    const suffix = `~${tail}`;
    const candidate = padded(`${base.slice(0, 8 - suffix.length)}${suffix}`, extension);
    if (!taken.names.has(candidate)) return candidate;
  }
  throw new RangeError(`more than ${TAILS_MAX} names like ${name} in one directory`);
}

/** The sum that ties long entries to their short name: the first 11 bytes of `shortName`. */
export function shortNameSum(shortName: Uint8Array): number {
  let sum = 0;
  for (const byte of shortName.subarray(0, SHORT_BYTES))
    sum = ((((sum & 1) << 7) | (sum >> 1)) + byte) & 0xff;
  return sum;
}

function longEntry(units: readonly number[], order: number, sum: number): Buffer {
  const entry = Buffer.alloc(ENTRY_BYTES);
  entry[0] = order;
  entry[11] = ATTRIBUTE_LONG_NAME;
  entry[13] = sum;
  const places = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
  for (const [position, at] of places.entries()) {
    // One zero ends a name that does not fill its entry; all ones follow.
    const fill = position === units.length ? 0 : 0xffff;
    entry.writeUInt16LE(units[position] ?? fill, at);
  }
  return entry;
}

/**
 * The short name of `name` (11 bytes, taken from now on) and the long entries that go in front of it: none when the
 * name is a plain upper-case 8.3 name.
 *
 * @throws TypeError when FAT cannot hold the name.
 */
export function encodeName(
  name: string,
  taken: TakenShortNames,
): { shortName: Buffer; longEntries: Buffer } {
  if (FORBIDDEN.test(name) || /^\.*$/.test(name) || /[. ]$/.test(name)) {
    throw new TypeError(`FAT has no name ${JSON.stringify(name)}`);
  }
  if (name.length > NAME_UNITS_MAX) throw new TypeError(`a name of ${name.length} units`);
  if (SHORT.test(name)) {
    const [base = '', extension = ''] = name.split('.');
    const short = padded(base, extension);
    if (!taken.names.has(short)) {
      taken.names.add(short);
      return { shortName: Buffer.from(short, 'latin1'), longEntries: Buffer.alloc(0) };
    }
  }
  const short = generatedShortName(name, taken);
  taken.names.add(short);
  const shortName = Buffer.from(short, 'latin1');
  const sum = shortNameSum(shortName);
  const units = Array.from({ length: name.length }, (_, position) => name.charCodeAt(position));
  const count = Math.ceil(units.length / UNITS_PER_ENTRY);
  const entries: Buffer[] = [];
  for (let order = count; order >= 1; order -= 1) {
    const part = units.slice((order - 1) * UNITS_PER_ENTRY, order * UNITS_PER_ENTRY);
    entries.push(longEntry(part, order === count ? order | LAST_LONG_ENTRY : order, sum));
  }
  return { shortName, longEntries: Buffer.concat(entries) };
}
