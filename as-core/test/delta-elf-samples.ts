/** Small ELF files that only the reader of headers would take for programs. */
import { numbersOf } from './delta-patch-samples.ts';

const ADDRESS = 0x400000;
const TEXT_AT = 0x1000;
const FUNCTION_BYTES = 64;
const CALL = 0xe8;
const SYMBOL_BYTES = 24;
const RELA_BYTES = 24;
const NAMES = ['', '.text', '.dynstr', '.dynsym', '.rela.dyn', '.shstrtab'];

/** Functions that every file has. */
export const FUNCTIONS = 400;

/** Name of one of them. */
export function nameOf(index: number): string {
  return `name_${index * 7919}`;
}

/**
 * An ELF file with a function for each name, a symbol for each function and a relocation to it. Each function is noise that
 * follows from its name, and calls five others. Symbols come in the order of their names' hashes.
 */
export function elfOf(names: readonly string[]): Buffer {
  const place = new Map(names.map((name, index) => [name, TEXT_AT + index * FUNCTION_BYTES]));
  const text = Buffer.concat(names.map((name) => functionOf(name, place)));
  const strings = stringsOf(names);
  const sorted = names.toSorted((a, b) => seedOf(a) - seedOf(b));
  const symbols = Buffer.alloc(SYMBOL_BYTES * (names.length + 1));
  const relocations = Buffer.alloc(RELA_BYTES * names.length);
  for (const [index, name] of sorted.entries()) {
    const at = SYMBOL_BYTES * (index + 1);
    const address = BigInt(ADDRESS + (place.get(name) ?? 0));
    symbols.writeUInt32LE(strings.indexOf(`\0${name}\0`, 0, 'latin1') + 1, at);
    symbols.writeBigUInt64LE(address, at + 8);
    symbols.writeBigUInt64LE(BigInt(FUNCTION_BYTES), at + 16);
    relocations.writeBigUInt64LE(address + 56n, RELA_BYTES * index);
    relocations.writeBigUInt64LE(8n, RELA_BYTES * index + 8);
    relocations.writeBigUInt64LE(address, RELA_BYTES * index + 16);
  }
  return assemble([text, strings, symbols, relocations]);
}

/** Names of `names`; those that not every file has come last. */
export function stringsOf(names: readonly string[]): Buffer {
  const isNew = (name: string) => (name.startsWith('name_') ? 0 : 1);
  const sorted = names.toSorted((a, b) => isNew(a) - isNew(b));
  return Buffer.from(`\0${sorted.join('\0')}\0`, 'latin1');
}

function seedOf(name: string): number {
  return [...name].reduce((seed, letter) => (seed * 31 + letter.charCodeAt(0)) >>> 0, 7);
}

function functionOf(name: string, place: ReadonlyMap<string, number>): Buffer {
  const next = numbersOf(seedOf(name));
  // No byte of the noise is an opcode.
  const code = Buffer.from(Array.from({ length: FUNCTION_BYTES }, () => 0x40 | (next() & 0x3a)));
  const own = place.get(name) ?? 0;
  for (let call = 0; call < 5; call++) {
    const called = nameOf(next() % FUNCTIONS);
    const at = 8 + call * 10;
    code[at] = CALL;
    code.writeInt32LE((place.get(called) ?? 0) - (own + at + 5), at + 1);
  }
  return code;
}

function assemble(sections: readonly Buffer[]): Buffer {
  const names = Buffer.from(`${NAMES.join('\0')}\0`, 'latin1');
  const all = [...sections, names];
  const starts = all.map((_, index) =>
    all.slice(0, index).reduce((at, { length }) => at + length + (-length & 7), TEXT_AT),
  );
  const tableAt = (starts.at(-1) ?? 0) + names.length + (-names.length & 7);
  const file = Buffer.alloc(tableAt + 64 * NAMES.length);
  file.write('\x7fELF\x02\x01\x01', 'latin1');
  file.writeBigUInt64LE(64n, 32);
  file.writeBigUInt64LE(BigInt(tableAt), 40);
  for (const [at, value] of [
    [54, 56],
    [56, 1],
    [58, 64],
    [60, NAMES.length],
    [62, NAMES.length - 1],
  ] as const) {
    file.writeUInt16LE(value, at);
  }
  // One program header maps the whole file.
  file.writeUInt32LE(1, 64);
  file.writeBigUInt64LE(BigInt(ADDRESS), 64 + 16);
  file.writeBigUInt64LE(BigInt(tableAt), 64 + 32);
  file.writeBigUInt64LE(BigInt(tableAt + 4096), 64 + 40);
  for (const [index, content] of all.entries()) {
    const start = starts[index] ?? 0;
    content.copy(file, start);
    const header = tableAt + 64 * (index + 1);
    file.writeUInt32LE(names.indexOf(`${NAMES[index + 1]}\0`, 0, 'latin1'), header);
    file.writeUInt32LE(1, header + 4);
    file.writeBigUInt64LE(BigInt(ADDRESS + start), header + 16);
    file.writeBigUInt64LE(BigInt(start), header + 24);
    file.writeBigUInt64LE(BigInt(content.length), header + 32);
  }
  return file;
}
