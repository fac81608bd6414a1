/** What has happened on a node, and whether its channel may install a release there. */
import assert from 'node:assert/strict';
import type { HistoryEntry } from '@keelos/proto/update-record.ts';
import {
  hindrance,
  REFUSED_AGAIN_MS,
  type ReleaseFacts,
} from '@keelos/ts-agent/core/channel-release.ts';

const NOW_MS = 10 * REFUSED_AGAIN_MS;
const [OLD, NEW, OTHER] = ['a', 'b', 'c'].map((letter) => letter.repeat(64)) as [
  string,
  string,
  string,
];

const release = (rootHash: string) =>
  ({ slot: 'a', version: `0.${rootHash[0]}`, rootHash }) as const;

/** An entry, ended an hour ago. */
function entry(from: string, to: string, of: Partial<HistoryEntry> = {}): HistoryEntry {
  return {
    ...{ id: 'e', kind: 'update', automatic: false, who: 'CN=a', reason: '', cause: '', code: '' },
    ...{ from: release(from), to: release(to), outcome: 'committed', evidence: [] },
    ...{ startedMs: NOW_MS - 3_700_000, endedMs: NOW_MS - 3_600_000 },
    ...of,
  } as HistoryEntry;
}

const refused = (of: Partial<HistoryEntry> = {}) =>
  entry(OLD, NEW, { outcome: 'failed', code: 'E_EPOCH_TOO_LOW', cause: 'too old', ...of });

describe('a release of a channel that does not run', () => {
  // What the history has, the newest first; what else is known; why it is not installed
  const TABLE: readonly [string, readonly HistoryEntry[], Partial<ReleaseFacts>, RegExp | null][] =
    [
      ['nothing has happened', [], {}, null],
      ['it was left by a rollback', [entry(NEW, OLD, { kind: 'rollback' })], {}, /^rollback e to/],
      ['it was left for another', [entry(NEW, OTHER)], {}, /^update e to 0\.c by "CN=a" left it/],
      ['it was left long ago', [entry(OTHER, OLD), entry(NEW, OTHER)], {}, /left it/],
      ['it was left for one of the channel', [entry(NEW, OLD)], { listed: [OLD] }, null],
      [
        'it was left by a rollback to one of the channel',
        [entry(NEW, OLD, { kind: 'rollback' })],
        { listed: [OLD] },
        /left it/,
      ],
      ['its install was cancelled', [refused({ outcome: 'cancelled', code: '' })], {}, /cancelled/],
      [
        'its install was cancelled, and the channel was set later',
        [refused({ outcome: 'cancelled', code: '' })],
        { followed: { setAfter: 'e' } },
        null,
      ],
      [
        'its install was cancelled, and somebody has come to it later',
        [entry(NEW, OLD, { automatic: true }), entry(OLD, NEW), refused({ outcome: 'cancelled' })],
        {},
        null,
      ],
      ['somebody has come back to it', [entry(OLD, NEW), entry(NEW, OLD)], {}, null],
      ['a channel has left it', [entry(NEW, OLD, { who: 'channel stable' })], {}, null],
      ['it rotted', [entry(NEW, OLD, { automatic: true })], {}, null],
      ['the way back has failed', [entry(NEW, OLD, { outcome: 'rolled-back' })], {}, null],
      ['the channel was set later', [entry(NEW, OLD)], { followed: { setAfter: 'e' } }, null],
      ['it was refused', [refused()], {}, /^update e to it failed: too old$/],
      ['it was refused to another release', [refused({ from: release(OTHER) })], {}, null],
      ['it was refused a day ago', [refused({ endedMs: NOW_MS - REFUSED_AGAIN_MS })], {}, null],
      ['it was refused by a clock that was ahead', [refused({ endedMs: NOW_MS + 1 })], {}, null],
      [
        'it was left since the channel was set, whatever the clock said',
        [entry(NEW, OLD, { endedMs: 1 }), entry(OLD, NEW, { id: 'before' })],
        { followed: { setAfter: 'before' } },
        /left it/,
      ],
      ['it was refused before the channel', [refused()], { followed: { setAfter: 'e' } }, null],
      ['the server was away', [refused({ code: 'E_SOURCE_SHORT' })], {}, null],
      ['it was cut off', [refused({ code: 'E_UPDATE_CUT_OFF' }), refused()], {}, null],
      [
        'it was cut off twice',
        [refused({ code: 'E_UPDATE_CUT_OFF' }), refused({ code: 'E_UPDATE_CUT_OFF' })],
        {},
        /failed: too old$/,
      ],
      ['a newer release wrote the code', [refused({ code: 'E_NEW' })], {}, null],
      ['it is being installed', [refused({ outcome: 'open', code: '' }), refused()], {}, null],
      [
        'it failed its trial',
        [],
        { failed: [{ rootHash: NEW, version: '0.b', atMs: 0, cause: 'red' }] },
        /^its trial failed here/,
      ],
    ];
  for (const [what, history, of, expected] of TABLE) {
    it(`${expected === null ? 'is installed' : 'is left alone'}: ${what}`, () => {
      const found = hindrance({
        ...{ followed: { setAfter: '' }, rootHash: NEW, runningHash: OLD, failed: [] },
        ...{ nowMs: NOW_MS, listed: [], history },
        ...of,
      });
      if (expected === null) assert.equal(found, undefined);
      else assert.match(found?.reason ?? '', expected);
    });
  }
});
