import assert from 'node:assert/strict';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import {
  UpdateHistoryEntrySchema,
  UpdateOutcome,
  UpdatePhase,
  UpdateStatusSchema,
} from '@keelos/proto/gen/keel/v1/update_pb.js';
import fc from 'fast-check';
import { formatWindow, parseWindow } from '../src/core/maintenance-window.ts';
import { parseMoment } from '../src/core/moment.ts';
import { parseSha256, parseSource, shownUrl } from '../src/core/update-source.ts';
import { failureOfEntry, failureOfStatus, statusText } from '../src/core/update-text.ts';

const usage = { code: 'E_USAGE' };
const status = (init: MessageInitShape<typeof UpdateStatusSchema>) =>
  create(UpdateStatusSchema, init);
const entry = (init: MessageInitShape<typeof UpdateHistoryEntrySchema>) =>
  create(UpdateHistoryEntrySchema, init);

describe('osctl: what an update is told with', () => {
  it('reads maintenance windows', () => {
    const table: [string, number[], number, number, string][] = [
      // text                      days             start  length  written
      ['sun 02:00-04:00', [0], 120, 120, 'sun 02:00-04:00 UTC'],
      ['SUN  02:00-04:00 UTC', [0], 120, 120, 'sun 02:00-04:00 UTC'],
      ['mon-fri 22:00-06:00', [1, 2, 3, 4, 5], 1320, 480, 'mon,tue,wed,thu,fri 22:00-06:00 UTC'],
      ['sat-mon 00:00-24:00', [0, 1, 6], 0, 1440, 'sun,mon,sat 00:00-00:00 UTC'],
      ['tue,thu,tue 23:59-00:00', [2, 4], 1439, 1, 'tue,thu 23:59-00:00 UTC'],
      ['daily 01:30-03:00', [], 90, 90, 'daily 01:30-03:00 UTC'],
      ['01:30-03:00', [], 90, 90, 'daily 01:30-03:00 UTC'],
      ['sun-sat 12:00-12:00', [], 720, 1440, 'daily 12:00-12:00 UTC'],
    ];
    for (const [text, days, startMinute, lengthMinutes, written] of table) {
      const window = parseWindow(text);
      assert.deepEqual(window, { days, startMinute, lengthMinutes }, text);
      assert.equal(formatWindow(window), written);
    }
    const wrong = [
      ...['', 'sun', 'sun 2:00-4:00', 'sun 02:00', 'sun 24:00-02:00', 'sun 02:60-03:00'],
      ...['sunday 02:00-04:00', 'mon- 02:00-04:00', 'mon-wed-fri 02:00-04:00', 'sun 02:00-24:30'],
      ...['daily,mon 02:00-04:00', 'sun 02:00-04:00 CET', ',, 02:00-04:00'],
    ];
    for (const text of wrong) assert.throws(() => parseWindow(text), usage, text);
  });

  it('reads back every window that it writes', () => {
    const windows = fc.record(
      {
        days: fc
          .uniqueArray(fc.integer({ min: 0, max: 6 }), { maxLength: 6 })
          .map((days) => days.sort((a, b) => a - b)),
        startMinute: fc.integer({ min: 0, max: 1439 }),
        lengthMinutes: fc.integer({ min: 1, max: 1440 }),
      },
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(windows, (window) => {
        assert.deepEqual(parseWindow(formatWindow(window)), window);
      }),
    );
  });

  it('reads points in time that have a zone', () => {
    const table: [string, string][] = [
      ['2026-11-25T02:00Z', '2026-11-25T02:00:00.000Z'],
      ['2026-11-25 03:00:01+01:00', '2026-11-25T02:00:01.000Z'],
      ['2028-02-29t23:59:59z', '2028-02-29T23:59:59.000Z'],
      ['2026-01-01T00:00-05:30', '2026-01-01T05:30:00.000Z'],
    ];
    for (const [text, iso] of table) {
      assert.equal(new Date(parseMoment(text)).toISOString(), iso, text);
    }
    const wrong = [
      ...['', 'tomorrow', '2026-11-25', '2026-11-25T02:00', '2026-02-30T00:00Z', '1700000000'],
      ...['2026-13-01T00:00Z', '2026-11-25T24:01Z', '2026-11-25T02:00 CET', '2027-02-29T00:00Z'],
    ];
    for (const text of wrong) assert.throws(() => parseMoment(text), usage, text);
  });

  it('tells URLs from files, and shows no secret of a URL', () => {
    const url = 'https://me:pw@h.example/a.squashfs?token=x';
    assert.deepEqual(parseSource(url), { kind: 'url', url });
    assert.deepEqual(parseSource('HTTP://h/a'), { kind: 'url', url: 'HTTP://h/a' });
    for (const path of ['a.squashfs', './http', '/x/y z', 'c:x']) {
      assert.deepEqual(parseSource(path), { kind: 'file', path });
    }
    for (const text of ['', '-', 'ftp://h/a', 'https://', 'file:///a']) {
      assert.throws(() => parseSource(text), usage, text);
    }
    assert.equal(shownUrl(url), 'https://h.example/a.squashfs?…');
    assert.equal(shownUrl('http://h:81/a'), 'http://h:81/a');
    const unparsed: [string, string][] = [
      ['https://h:99999/a?token=geheim', 'https://h:99999/a?…'],
      ['https://h:99999/a#geheim', 'https://h:99999/a#…'],
      ['https://me:geheim@h:99999/a', 'https://h:99999/a'],
      ['https://me:geh/geheim@h:99999/a?token=geheim', 'https://h:99999/a?…'],
      ['https://me:geheim?x@h:99999/a', 'https://…'],
      ['https://h:99999/a?mail=me@h&token=geheim', 'https://…'],
      ['https://?token=geheim', 'https://?…'],
    ];
    for (const [text, shown] of unparsed) {
      assert.equal(shownUrl(text), shown);
      assert.throws(
        () => parseSource(text),
        (error: Error) => !error.message.includes('geheim'),
      );
    }
    assert.throws(
      () => parseSource('ftp://me:geheim@h/a'),
      (error: Error) => !error.message.includes('geheim'),
    );
  });

  it('reads a SHA-256 as people copy it', () => {
    const digits = '0a'.repeat(32);
    for (const text of [digits, digits.toUpperCase(), `sha256:${digits}`, ` ${digits}\n`]) {
      assert.equal(parseSha256(text), digits);
    }
    for (const text of ['', digits.slice(1), `${digits}0`, 'zz'.repeat(32)]) {
      assert.throws(() => parseSha256(text), usage, text);
    }
  });

  it('puts a state into one line', () => {
    const MIB = 2n ** 20n;
    const table: [MessageInitShape<typeof UpdateStatusSchema>, string][] = [
      [{ phase: UpdatePhase.CHECKING }, 'checking'],
      [{ phase: UpdatePhase.DISARMING, version: '0.2.0' }, 'disarming 0.2.0'],
      [
        {
          phase: UpdatePhase.WRITING,
          version: '0.2.0',
          doneBytes: 43n * MIB,
          totalBytes: 100n * MIB,
          bytesPerSecond: 12n * MIB,
          remaining: durationFromMs(4750),
        },
        'writing 0.2.0: 43 % of 100 MiB, 12.0 MiB/s, 4 s left',
      ],
      [
        { phase: UpdatePhase.WRITING, doneBytes: 3n, totalBytes: 2n, resumedBytes: MIB },
        'writing: 100 % of 2 B, 1.0 MiB were there',
      ],
      [
        { phase: UpdatePhase.VERIFYING, totalBytes: 8n, remaining: durationFromMs(400) },
        'verifying: 0 % of 8 B',
      ],
      [
        { phase: UpdatePhase.TRIAL, version: '0.2.0', waitingFor: ['time', 'probe web'] },
        'trial 0.2.0: waiting for time, probe web',
      ],
      [{ phase: 99 as UpdatePhase, version: '0.2.0' }, '99 0.2.0'],
    ];
    for (const [init, text] of table) assert.equal(statusText(status(init)), text);
  });

  it('makes of a failed install the error that the node names', () => {
    const failed = { id: 'u1', phase: UpdatePhase.FAILED, version: '0.2.0' };
    const known = failureOfStatus(
      status({ ...failed, errorCode: 'E_SLOT_TOO_SMALL', errorMessage: 'Cannot install: too big' }),
    );
    assert.deepEqual(
      [known?.code, known?.message, known?.exitCode],
      ['E_SLOT_TOO_SMALL', 'Cannot install: too big', 29],
    );
    const newer = failureOfStatus(status({ ...failed, errorCode: 'E_FROM_2099' }));
    assert.equal(newer?.code, 'E_INTERNAL');
    assert.equal(newer?.message, 'Cannot update to 0.2.0: the node gives no reason');
    assert.equal(newer?.details.nodeCode, 'E_FROM_2099');
    assert.match(newer?.hint ?? '', /^osctl rollback history show u1 tells more.*osctl version/);
    assert.equal(failureOfStatus(status({ phase: UpdatePhase.CANCELLED }))?.code, 'E_CANCELLED');
    for (const phase of [UpdatePhase.ARMED, UpdatePhase.CHECKED, UpdatePhase.COMMITTED]) {
      assert.equal(failureOfStatus(status({ phase })), undefined);
    }
  });

  it('makes of a rollback an error with the cause, and of a commit none', () => {
    const releases = { from: { slot: 1, version: '0.1.0' }, to: { slot: 2, version: '0.2.0' } };
    const back = failureOfEntry(
      entry({
        id: 'u1',
        ...releases,
        outcome: UpdateOutcome.ROLLED_BACK,
        cause: 'The kernel panicked.',
      }),
    );
    assert.equal(back?.exitCode, 37);
    assert.equal(
      back?.message,
      'Cannot keep 0.2.0 (slot B): The kernel panicked. The node is back on 0.1.0 (slot A)',
    );
    assert.equal(back?.hint, 'osctl rollback history show u1 has the evidence.');
    const table: [UpdateOutcome, string | undefined][] = [
      [UpdateOutcome.UNSPECIFIED, undefined],
      [UpdateOutcome.OPEN, undefined],
      [UpdateOutcome.COMMITTED, undefined],
      [UpdateOutcome.FAILED, 'E_SLOT_WRITE'],
      [UpdateOutcome.CANCELLED, 'E_CANCELLED'],
    ];
    for (const [outcome, code] of table) {
      const found = failureOfEntry(entry({ ...releases, outcome, errorCode: 'E_SLOT_WRITE' }));
      assert.equal(found?.code, code, String(outcome));
    }
  });
});
