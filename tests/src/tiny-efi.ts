/**
 * The smallest program that a boot loader can start: it prints a line on the serial port and resets the machine. It stands
 * for a kernel image where only the loader's choice matters, and takes no time.
 *
 * Microsoft PE format; UEFI Specification 2.10, 2.1.1 (images). x86-64 machine code.
 */

const FILE_ALIGN = 0x200;
const SECTION_AT = 0x1000;
const PE_AT = 64;
const OPTIONAL_BYTES = 0xf0;

/** Machine code; the text follows it. COM1 is at 0x3f8, its line status at 0x3fd; 0xcf9 resets the machine. */
const CODE = Buffer.from(
  [
    '488d3522000000', //  lea rsi, [text]
    'ac', //          next:  lodsb
    '84c0', //               test al, al
    '7414', //               jz reset
    '88c3', //               mov bl, al
    '66bafd03', //    busy:  mov dx, 0x3fd
    'ec', //                 in al, dx
    'a820', //               test al, 0x20
    '74f7', //               jz busy
    '66baf803', //           mov dx, 0x3f8
    '88d8', //               mov al, bl
    'ee', //                 out dx, al
    'ebe7', //               jmp next
    '66baf90c', //    reset: mov dx, 0xcf9
    'b006', //               mov al, 6
    'ee', //                 out dx, al
    'f4', //          halt:  hlt
    'ebfd', //               jmp halt
  ].join(''),
  'hex',
);

/** An EFI program that prints `line`. */
export function tinyEfi(line: string): Buffer {
  const text = Buffer.from(`\r\n${line}\r\n\0`, 'latin1');
  const content = Buffer.concat([patched(), text]);
  const rawBytes = Math.ceil(content.length / FILE_ALIGN) * FILE_ALIGN;
  const image = Buffer.alloc(FILE_ALIGN + rawBytes);
  image.write('MZ', 0, 'latin1');
  image.writeUInt32LE(PE_AT, 60);
  image.write('PE\0\0', PE_AT, 'latin1');
  const coff = image.subarray(PE_AT + 4);
  coff.writeUInt16LE(0x8664, 0);
  coff.writeUInt16LE(1, 2);
  coff.writeUInt16LE(OPTIONAL_BYTES, 16);
  coff.writeUInt16LE(0x0206, 18);
  const optional = coff.subarray(20);
  optional.writeUInt16LE(0x20b, 0);
  optional.writeUInt32LE(rawBytes, 4);
  optional.writeUInt32LE(SECTION_AT, 16);
  optional.writeUInt32LE(SECTION_AT, 20);
  optional.writeUInt32LE(SECTION_AT, 32);
  optional.writeUInt32LE(FILE_ALIGN, 36);
  optional.writeUInt32LE(SECTION_AT + 0x1000, 56);
  optional.writeUInt32LE(FILE_ALIGN, 60);
  optional.writeUInt16LE(10, 68);
  optional.writeUInt32LE(16, 108);
  const section = optional.subarray(OPTIONAL_BYTES);
  section.write('.text', 0, 'latin1');
  section.writeUInt32LE(content.length, 8);
  section.writeUInt32LE(SECTION_AT, 12);
  section.writeUInt32LE(rawBytes, 16);
  section.writeUInt32LE(FILE_ALIGN, 20);
  section.writeUInt32LE(0x60000020, 36);
  content.copy(image, FILE_ALIGN);
  return image;
}

/** The first instruction, of 7 bytes, names the text by its distance from its own end. */
function patched(): Buffer {
  const code = Buffer.from(CODE);
  code.writeUInt32LE(code.length - 7, 3);
  return code;
}
