import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kernelCommandLine } from '@keelos/image/core/command-line.ts';
import { addPeSections, parsePe, peSection } from '@keelos/image/core/pe.ts';
import { buildUki, kernelRelease, readUki } from '@keelos/image/core/uki.ts';
import { fetchDebianParts, unpackDeb } from '@keelos/image/sys/debian-parts.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { slotGuid } from '@keelos/proto/guid.ts';
import fc from 'fast-check';

const ROOT_HASH = 'ab'.repeat(32);
const VERITY = { dataBytes: 4096 * 100, rootHash: ROOT_HASH, salt: 'cd'.repeat(32) };

function isInvalid(error: unknown): boolean {
  return error instanceof KeelError && error.code === 'E_IMAGE_INVALID';
}

describe('kernel image', function () {
  this.timeout(30_000);

  let dir = '';
  let stub: Buffer;
  let loader: Buffer;

  before(async function () {
    this.timeout(300_000);
    dir = mkdtempSync(join(tmpdir(), 'keel-uki-'));
    const { debs } = await fetchDebianParts();
    await unpackDeb(debs['systemd-boot-efi']?.file ?? '', dir);
    const efi = join(dir, 'usr/lib/systemd/boot/efi');
    stub = readFileSync(join(efi, 'linuxx64.efi.stub'));
    loader = readFileSync(join(efi, 'systemd-bootx64.efi'));
  });

  after(() => rmSync(dir, { recursive: true, force: true }));

  // Any EFI program does as a kernel here.
  const parts = () => ({
    stub,
    kernel: loader,
    commandLine: kernelCommandLine(VERITY),
    osRelease: 'ID=keelos\n',
    kernelRelease: '6.12.117-keel',
  });

  it('has sections that objcopy extracts unchanged', () => {
    const uki = buildUki(parts());
    const path = join(dir, 'keel.efi');
    writeFileSync(path, uki);
    const wanted: [string, Buffer][] = [
      ['.cmdline', Buffer.from(parts().commandLine)],
      ['.osrel', Buffer.from('ID=keelos\n')],
      ['.uname', Buffer.from('6.12.117-keel')],
      ['.linux', loader],
    ];
    for (const [section, content] of wanted) {
      const out = join(dir, 'section.bin');
      execFileSync('objcopy', ['-O', 'binary', `--only-section=${section}`, path, out]);
      assert.ok(readFileSync(out).equals(content), section);
    }
  });

  it('keeps every section of the stub where it was, in file and memory', () => {
    const before = parsePe(stub);
    const uki = buildUki(parts());
    const after = parsePe(uki);
    assert.deepEqual(after.sections.slice(0, before.sections.length), before.sections);
    for (const { rawOffset, rawSize } of before.sections) {
      const range = [rawOffset, rawOffset + rawSize] as const;
      assert.ok(uki.subarray(...range).equals(stub.subarray(...range)));
    }
    assert.equal(after.sections.at(-1)?.name, '.linux');
    let end = 0;
    for (const { name, virtualAddress, virtualSize } of after.sections) {
      assert.ok(virtualAddress >= end, `${name} overlaps`);
      assert.equal(virtualAddress % after.sectionAlignment, 0, name);
      end = virtualAddress + virtualSize;
    }
    assert.equal(
      after.sizeOfImage,
      Math.ceil(end / after.sectionAlignment) * after.sectionAlignment,
    );
  });

  it('says what it was made of', () => {
    const facts = readUki(buildUki(parts()));
    assert.equal(facts.commandLine, parts().commandLine);
    assert.equal(facts.kernelRelease, '6.12.117-keel');
    assert.equal(facts.osRelease, 'ID=keelos\n');
    assert.equal(facts.kernelBytes, loader.length);
    assert.throws(() => readUki(loader), isInvalid);
  });

  it('takes sections of any size', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20_000), { minLength: 1, maxLength: 6 }), (sizes) => {
        const added = sizes.map((size, at) => ({
          name: `.s${at}`,
          data: Buffer.alloc(size, at + 1),
        }));
        const image = addPeSections(stub, added);
        for (const { name, data } of added) assert.ok(peSection(image, name)?.equals(data));
      }),
      { numRuns: 50 },
    );
  });

  it('refuses a section that is there, too many sections, and long names', () => {
    const data = Buffer.alloc(1);
    assert.throws(() => addPeSections(stub, [{ name: '.text', data }]), isInvalid);
    const many = Array.from({ length: 90 }, (_, at) => ({ name: `.m${at}`, data }));
    assert.throws(() => addPeSections(stub, many), isInvalid);
    assert.throws(() => addPeSections(stub, [{ name: '.toolong9', data }]), TypeError);
  });

  it('refuses or reads, and never does anything else, when the program is cut or flipped', () => {
    for (let length = 0; length < 1024; length += 1) {
      assert.throws(() => parsePe(stub.subarray(0, length)), isInvalid, `${length} bytes`);
    }
    const headers = parsePe(stub).sizeOfHeaders;
    for (let bit = 0; bit < headers * 8; bit += 1) {
      const flipped = Buffer.from(stub);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      try {
        addPeSections(flipped, [{ name: '.x', data: Buffer.alloc(10) }]);
      } catch (error) {
        assert.ok(isInvalid(error), `bit ${bit}: ${error}`);
      }
    }
  }).timeout(30_000);

  it('refuses a command line that the kernel would cut, or that is not plain', () => {
    assert.throws(() => buildUki({ ...parts(), commandLine: 'x'.repeat(2048) }), RangeError);
    assert.throws(() => buildUki({ ...parts(), commandLine: 'a\nb' }), RangeError);
    assert.throws(() => buildUki({ ...parts(), kernel: Buffer.from('no kernel') }), isInvalid);
    assert.throws(() => kernelRelease(Buffer.alloc(4096)), isInvalid);
  });

  it('names the slot by the first half of the root hash', () => {
    const guid = 'abababab-abab-abab-abab-abababababab';
    assert.equal(slotGuid(ROOT_HASH), guid);
    const line = kernelCommandLine(VERITY);
    assert.match(
      line,
      new RegExp(`verity 1 PARTUUID=${guid} PARTUUID=${guid} 4096 4096 100 100 sha256`),
    );
    assert.ok(line.includes(`0 800 verity`), line);
    assert.throws(() => kernelCommandLine({ ...VERITY, dataBytes: 4097 }), RangeError);
  });
});
