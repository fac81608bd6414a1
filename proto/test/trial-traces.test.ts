import assert from 'node:assert/strict';
import {
  crashReportText,
  decodeEspNote,
  ESP_NOTE,
  encodeEspNote,
  noteRoomProblem,
  oneLine,
  parseCrashReport,
} from '@keelos/proto/trial-traces.ts';
import fc from 'fast-check';

describe('what PID 1 leaves behind of a trial', () => {
  it('reads a crash report back, and nothing else as one', () => {
    const report = { foundInBoot: 'b-1', text: 'line\nfound in boot b-2\n' };
    const boot = '0f0e0d0c-0b0a-4908-8706-050403020100';
    for (const one of [
      { ...report, foundInBoot: boot },
      { foundInBoot: boot, text: '' },
    ]) {
      assert.deepEqual(parseCrashReport(crashReportText(one)), one);
    }
    for (const text of ['', 'line', 'found in boot \nx', 'found in boot b 1\nx']) {
      assert.equal(parseCrashReport(text), undefined, text);
    }
  });

  it('makes one bounded line of anything', () => {
    assert.equal(oneLine(' a\r\nb\u0000\u001b[31mc\u2028d '), 'a b [31mc d');
    assert.equal(oneLine('x'.repeat(10_000)).length, 500);
  });

  it('keeps any reason in its place', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 1000 }), fc.nat(), (reason, timeMs) => {
        const place = encodeEspNote({ timeMs, reason });
        assert.equal(place.length, ESP_NOTE.sizeBytes);
        const note = decodeEspNote(place);
        assert.ok(typeof note === 'object');
        assert.equal(note.timeMs, timeMs);
      }),
    );
  });

  it('says of every place what it holds', () => {
    const good = encodeEspNote({ timeMs: 1, reason: 'the checks did not pass' });
    const changed = (at: number, byte: number) => {
      const copy = Buffer.from(good);
      copy[at] = byte;
      return copy;
    };
    const cases: readonly (readonly [name: string, place: Uint8Array, expected: string])[] = [
      ['zeros', Buffer.alloc(ESP_NOTE.sizeBytes), 'empty'],
      ['zeros in the first sector', changed(0, 0).fill(0, 0, 512).fill(1, 512), 'empty'],
      ['boot code', Buffer.alloc(ESP_NOTE.sizeBytes, 0x90), 'foreign'],
      ['another record', changed(12, 0x78), 'foreign'],
      ['a flipped byte in the text', changed(good.indexOf('checks'), 0x43), 'torn'],
      ['a cut header', Buffer.from(good).fill(0, 60), 'torn'],
    ];
    for (const [name, place, expected] of cases) assert.equal(decodeEspNote(place), expected, name);
    assert.deepEqual(decodeEspNote(good), { timeMs: 1, reason: 'the checks did not pass' });
  });

  it('leaves no flipped bit and no cut unnoticed', () => {
    const good = encodeEspNote({ timeMs: 7, reason: 'x' });
    const end = good.findLastIndex((byte) => byte !== 0) + 1;
    for (let at = 0; at < end; at += 1) {
      const flipped = Buffer.from(good);
      flipped.writeUInt8(flipped.readUInt8(at) ^ 1, at);
      assert.notDeepEqual(decodeEspNote(flipped), decodeEspNote(good), `byte ${at}`);
      const cut = Buffer.from(good).fill(0, at);
      assert.equal(typeof decodeEspNote(cut), 'string', `cut at ${at}`);
    }
  });

  it('finds room only where FAT32 leaves it', () => {
    const sector = (bytesPerSector: number, reserved: number, signature = 0xaa55) => {
      const bytes = Buffer.alloc(512);
      bytes.writeUInt16LE(bytesPerSector, 11);
      bytes.writeUInt16LE(reserved, 14);
      bytes.writeUInt16LE(signature, 510);
      return bytes;
    };
    const cases: readonly (readonly [bytes: Uint8Array, problem: RegExp])[] = [
      [sector(512, 32), /^$/],
      [sector(512, 20), /^$/],
      [sector(512, 19), /19 reserved sectors, 20 are needed/],
      [sector(512, 1), /1 reserved/],
      [sector(4096, 32), /4096 bytes/],
      [sector(512, 32, 0), /no boot sector/],
      [Buffer.alloc(0), /cut short/],
    ];
    for (const [bytes, problem] of cases) assert.match(noteRoomProblem(bytes), problem);
  });
});
