import assert from 'node:assert/strict';
import {
  clockWindow,
  decideClock,
  decideRaise,
  floorToSave,
  parseBuildEpoch,
  parseClockFloor,
} from '../src/core/clock-floor.ts';

const BUILD = Date.UTC(2026, 0, 1);
const LAST = Date.UTC(2027, 5, 1);
const DAY = 86_400_000;

describe('clock floor', () => {
  const window = clockWindow({ buildMs: BUILD, lastKnownMs: LAST });

  const windows: readonly (readonly [lastKnownMs: number | undefined, floorMs: number])[] = [
    [undefined, BUILD],
    [0, BUILD],
    [BUILD - DAY, BUILD],
    [LAST, LAST],
    [Date.UTC(2099, 0, 1), BUILD],
  ];
  for (const [lastKnownMs, floorMs] of windows) {
    it(`last known ${lastKnownMs} gives floor ${new Date(floorMs).toISOString()}`, () => {
      assert.equal(clockWindow({ buildMs: BUILD, lastKnownMs }).floorMs, floorMs);
    });
  }

  const decisions: readonly (readonly [rtc: string, source: 'rtc' | 'floor'])[] = [
    ['1970-01-01', 'floor'],
    ['2026-01-02', 'floor'],
    ['2027-06-01', 'rtc'],
    ['2030-01-01', 'rtc'],
    ['2045-12-30', 'rtc'],
    ['2046-01-03', 'floor'],
    ['2099-01-01', 'floor'],
  ];
  for (const [rtc, source] of decisions) {
    it(`real-time clock at ${rtc}: ${source}`, () => {
      const decision = decideClock(Date.parse(rtc), window);
      assert.equal(decision.source, source);
      assert.equal(decision.trusted, source === 'rtc');
      assert.equal(decision.setMs, source === 'rtc' ? undefined : LAST);
      assert.equal(decision.problem === '', source === 'rtc');
    });
  }

  const raises: readonly (readonly [
    requestedMs: number,
    source: 'operator' | 'ntp',
    expected: string,
  ])[] = [
    [LAST + DAY, 'operator', 'set'],
    [LAST + 1, 'ntp', 'set'],
    [LAST, 'operator', 'keep'],
    [LAST, 'ntp', 'confirmed'],
    [LAST - 10_000, 'ntp', 'confirmed'],
    [LAST - 10_001, 'ntp', 'keep'],
    [0, 'operator', 'keep'],
    [Date.UTC(2099, 0, 1), 'ntp', 'refuse'],
    [Number.NaN, 'ntp', 'refuse'],
    [Number.POSITIVE_INFINITY, 'ntp', 'refuse'],
    [LAST + 0.5, 'ntp', 'refuse'],
  ];
  for (const [requestedMs, source, expected] of raises) {
    it(`raise by ${source} to ${requestedMs}: ${expected}`, () => {
      const decision = decideRaise({ requestedMs, source }, { nowMs: LAST, window });
      const confirmed = decision.action === 'keep' && decision.confirmed;
      assert.equal(confirmed ? 'confirmed' : decision.action, expected);
    });
  }

  it('is saved only when it moves on and is plausible', () => {
    assert.equal(floorToSave(LAST + 5.7, window), LAST + 5);
    assert.equal(floorToSave(LAST, window), undefined);
    assert.equal(floorToSave(0, window), undefined);
    assert.equal(floorToSave(Date.UTC(2099, 0, 1), window), undefined);
  });

  it('reads records and os-release strictly', () => {
    assert.equal(parseClockFloor({ timeMs: 5 }), 5);
    for (const wrong of [null, 5, {}, { timeMs: '5' }, { timeMs: -1 }, { timeMs: 1.5 }]) {
      assert.equal(parseClockFloor(wrong), undefined);
    }
    assert.equal(parseBuildEpoch('ID=keelos\nBUILD_EPOCH=1700000000\n'), 1_700_000_000_000);
    assert.equal(parseBuildEpoch('BUILD_EPOCH="1700000000"'), 1_700_000_000_000);
    assert.equal(parseBuildEpoch('XBUILD_EPOCH=5\nBUILD_EPOCH=x'), undefined);
  });
});
