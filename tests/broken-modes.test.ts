/** The causes that the table of broken releases expects, held against the sentences that the agent makes. */
import assert from 'node:assert/strict';
import { LOADER_PATH } from '@keelos/proto/boot-entry.ts';
import type { BundleManifest } from '@keelos/proto/bundle.ts';
import { judgeFit } from '@keelos/proto/bundle-fit.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { BROKEN_MODES } from '@keelos/tests/broken-modes.ts';
import { loaderDamage, lostOptions } from '@keelos/ts-agent/core/boot-options.ts';
import { judgeBoot, NO_ENTRY_LEFT } from '@keelos/ts-agent/core/trial.ts';
import { judgeTraces, type TrialTraces } from '@keelos/ts-agent/core/trial-evidence.ts';
import { demandOwnRoot } from '@keelos/ts-agent/shell/bundle-check.ts';

const NOTHING: TrialTraces = { givenUp: '', crash: '', console: '' };
const told = (traces: Partial<TrialTraces>) => judgeTraces({ ...NOTHING, ...traces }).cause;
const panicked = (text: string, before = 'x') =>
  told({ crash: `[    1.0] ${before}\n[   21.5] Kernel panic - not syncing: ${text}` });
const notLoaded = told({});
const notHealthy = 'The checks did not pass within 45 s: ';

const MANIFEST = { version: '0.2.0', arch: 'x86_64' } as BundleManifest;

function refused(demand: () => void): string {
  try {
    demand();
  } catch (error) {
    if (error instanceof KeelError) return error.message;
  }
  return assert.fail('not refused');
}

/** As it is found when the committed release has used up its tries. */
function causeOfFallback(): string {
  const [older, newer] = ['ab'.repeat(32), 'cd'.repeat(32)];
  const to = { slot: 'b', version: '0.2.0', rootHash: newer } as const;
  const name = { sequence: 2, counter: { left: 0, done: 9 } };
  const standing = judgeBoot({
    bootId: 'b',
    running: { slot: 'a', rootHash: older },
    entries: [{ fileName: '', name, version: '', uki: 'x', isImageThere: true, rootHash: newer }],
    record: undefined,
    outcome: undefined,
    lastCommitted: { id: 'one', to },
  });
  return standing.kind === 'fallback' ? standing.cause : assert.fail(standing.kind);
}

/** What the agent writes in each mode that has a cause. */
const CAUSES: Readonly<Record<string, string>> = {
  'kernel-panic': panicked('Requested init /sbin/nothing failed (error -2).'),
  'slot-missing': panicked(
    'Software Watchdog Timer expired',
    'device-mapper: init: waiting for device PARTUUID=00000000 ...',
  ),
  'init-throws': told({ givenUp: 'PID 1 failed: this release throws on purpose', console: 'x' }),
  'init-hangs': panicked(
    'Software Watchdog Timer expired',
    'device-mapper: init: waiting for device PARTUUID=1 ...\n[    1.1] device-mapper: init: all devices available',
  ),
  'agent-dies': told({
    givenUp: 'the agent has not settled the trial in 75 s from the start of the kernel',
    console: 'agent: this release dies on purpose',
  }),
  'agent-unhealthy': `${notHealthy}network: The node has no address: none`,
  'kernel-image-foreign': notLoaded,
  'kernel-image-cut': notLoaded,
  'root rots in its trial': panicked(
    'dm-verity device corrupted',
    'device-mapper: verity: 254:2: data block 7 is corrupted',
  ),
  'root rots once committed': `0.2.0 in slot b gave way. ${causeOfFallback()}`,
  'kernel-image-random': refused(() => demandOwnRoot('it is none', MANIFEST)),
  'other-arch': refused(() => judgeFit({ ...MANIFEST, arch: 'aarch64' }, { arch: 'x86_64' })),
  'first loader damaged': loaderDamage(LOADER_PATH),
  'entries emptied': NO_ENTRY_LEFT,
  'firmware variables lost': lostOptions([
    { description: 'KeelOS', isCorrect: false },
    { description: 'KeelOS (second loader)', isCorrect: false },
  ]),
  'a user probe stays red': `${notHealthy}probe/shop: The probe of tcp 10.0.2.2:80 failed: refused`,
};
const POWER_CUT = told({ console: 'the agent opens its API, network up, panic=1' });

describe('the table of broken releases', () => {
  it('has every cause here, and no other', () => {
    assert.deepEqual(BROKEN_MODES.map(({ name }) => name).sort(), Object.keys(CAUSES).sort());
  });

  for (const { name, expected } of BROKEN_MODES) {
    it(`knows ${name} from every other cause`, () => {
      const { cause } = expected;
      const own = CAUSES[name] ?? '';
      assert.match(own, cause);
      for (const other of [...Object.values(CAUSES), POWER_CUT, '']) {
        if (other !== own) assert.doesNotMatch(other, cause);
      }
    });
  }
});
