import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { NO_ADDRESSES } from '../src/delta-addresses.ts';
import { type Copy, checkCopies } from '../src/delta-copy.ts';
import { findAddresses } from '../src/delta-elf.ts';
import { encodePatch } from '../src/delta-patch.ts';
import { PatchDecoder } from '../src/delta-patch-decoder.ts';
import { PlaceMap } from '../src/delta-place-map.ts';
import { compileModule } from '../src/load.ts';
import { elfOf, FUNCTIONS, nameOf, stringsOf } from './delta-elf-samples.ts';

const names = Array.from({ length: FUNCTIONS }, (_, index) => nameOf(index));
/** Ten more functions in the midst of the others. */
const moreNames = names.flatMap((name, index) =>
  index % 40 === 20 ? [`new_${name}`, name] : [name],
);
const old = elfOf(names);
const fresh = elfOf(moreNames);

/** Copies as a matcher sees them: the code between the new functions, the names, and all that follows by its place. */
function copiesOf(): Copy[] {
  const copies: Copy[] = [];
  const start = 0x1000;
  let from = 0;
  for (const [index, name] of moreNames.entries()) {
    if (!name.startsWith('new_') && index < moreNames.length - 1) continue;
    const done = copies.length;
    const length = (index - from) * 64;
    copies.push({ newOffset: start + from * 64, oldOffset: start + (from - done) * 64, length });
    from = index + 1;
  }
  const end = start + moreNames.length * 64;
  const oldEnd = start + names.length * 64;
  const strings = stringsOf(names).length;
  const behind = oldEnd + strings + (-strings & 7);
  const more = stringsOf(moreNames).length;
  return [
    { newOffset: 0, oldOffset: 0, length: start },
    ...copies,
    { newOffset: end, oldOffset: oldEnd, length: strings },
    { newOffset: end + more + (-more & 7), oldOffset: behind, length: old.length - behind },
  ];
}

describe('addresses of ELF files', function () {
  this.timeout(120_000);

  let module: WebAssembly.Module;
  before(async () => {
    module = await compileModule('delta-coder');
  });

  it('make the patch of a program whose functions moved a fraction of what it is without', () => {
    const copies = copiesOf();
    const addresses = findAddresses(old, fresh, copies);
    assert.equal(addresses.oldRegions.length, 1);
    assert.ok(addresses.bases.length >= 3, `${addresses.bases.length} bases`);
    const input = { old, new: fresh, copies };
    const blind = encodePatch(module, { ...input, addresses: NO_ADDRESSES });
    const stream = encodePatch(module, { ...input, addresses });
    const unaligned = encodePatch(module, { ...input, addresses: { ...addresses, copies } });
    const told = `${stream.length} bytes, ${unaligned.length} unaligned, ${blind.length} blind`;
    assert.ok(stream.length < blind.length / 3, told);
    assert.ok(stream.length < unaligned.length / 1.2, told);
    let place = 0;
    const decoder = new PatchDecoder(module, {
      oldBytes: old.length,
      readOld: (offset, target) => target.set(old.subarray(offset, offset + target.length)),
      readStream: (target) => {
        const some = stream.subarray(place, place + target.length);
        target.set(some);
        place += some.length;
        return some.length;
      },
    });
    const made = new Uint8Array(fresh.length);
    decoder.read(made);
    decoder.finish();
    assert.deepEqual(made, new Uint8Array(fresh));
  });

  it('are those that a real program has', () => {
    const program = readFileSync('/bin/sh');
    const later = Buffer.from(program);
    later[20_000] = (later[20_000] ?? 0) + 1;
    const copies = [{ newOffset: 0, oldOffset: 0, length: program.length }];
    const { oldRegions, newRegions } = findAddresses(program, later, copies);
    assert.deepEqual(oldRegions, newRegions);
    // Program headers that are to be loaded, as the ELF header counts and places them.
    const at = Number(program.readBigUInt64LE(32));
    const loads = Array.from({ length: program.readUInt16LE(56) }, (_, index) => at + 56 * index)
      .filter((header) => program.readUInt32LE(header) === 1)
      .map((header) => program.readBigUInt64LE(header + 16));
    const found = oldRegions.filter(({ file }) => file === 0).map(({ address }) => address);
    assert.deepEqual(found, loads.slice(0, found.length));
    assert.ok(found.length > 1);
  });

  it('come out of no header that is damaged with anything that a patch does not take', () => {
    const copies = copiesOf();
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(2), fc.nat(fresh.length - 1), fc.nat(255)), { maxLength: 30 }),
        fc.boolean(),
        (changes, isEarly) => {
          const damaged = Buffer.from(fresh);
          const headers = damaged.length - 64 * 6;
          for (const [where, offset, value] of changes) {
            const place =
              where === 0 ? offset : where === 1 ? offset % 120 : headers + (offset % 384);
            if (place > 6 || isEarly) damaged[place] = value;
          }
          const addresses = findAddresses(old, damaged, copies);
          checkCopies(addresses.copies ?? [], old.length, damaged.length);
          encodePatch(module, {
            old,
            new: damaged,
            copies,
            spans: [{ offset: 0, length: 3000 }],
            addresses,
          });
        },
      ),
      { numRuns: 60 },
    );
  });

  it('are found in bytes that hold no ELF file to be none', () => {
    const copies = [{ newOffset: 0, oldOffset: 0, length: 1000 }];
    const { oldRegions, bases } = findAddresses(Buffer.alloc(1000), Buffer.alloc(1000, 1), copies);
    assert.deepEqual([oldRegions, bases], [[], []]);
  });
});

describe('map of places', () => {
  it('says of each old place what the longest copy says, and between copies the one before', () => {
    const anyCopies = fc.array(
      fc.record({
        newOffset: fc.nat(300),
        oldOffset: fc.nat(100),
        length: fc.integer({ min: 1, max: 60 }),
      }),
      { minLength: 1, maxLength: 12 },
    );
    fc.assert(
      fc.property(anyCopies, (copies) => {
        const map = new PlaceMap(copies);
        const first = Math.min(...copies.map(({ oldOffset }) => oldOffset));
        let expected = new Set<number>();
        for (let place = first; place < 170; place++) {
          const here = copies.filter(
            (each) => each.oldOffset <= place && place < each.oldOffset + each.length,
          );
          const most = Math.max(...here.map(({ length }) => length));
          const longest = here.filter(({ length }) => length === most);
          const distances = longest.map(({ newOffset, oldOffset }) => newOffset - oldOffset);
          if (here.length > 0) expected = new Set(distances);
          const found = map.at(place) - place;
          assert.ok(expected.has(found), `place ${place}: ${found} of ${[...expected]}`);
          if (here.length > 0) expected = new Set([found]);
        }
      }),
    );
  });
});
