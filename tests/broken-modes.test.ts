/** The causes that the table of broken releases expects, held against the sentences that the agent makes. */
import assert from 'node:assert/strict';
import { BROKEN_MODES } from '@keelos/tests/broken-modes.ts';
import { judgeTraces, type TrialTraces } from '@keelos/ts-agent/core/trial-evidence.ts';

const NOTHING: TrialTraces = { givenUp: '', crash: '', console: '' };
const told = (traces: Partial<TrialTraces>) => judgeTraces({ ...NOTHING, ...traces }).cause;
const panicked = (text: string, before = 'x') =>
  told({ crash: `[    1.0] ${before}\n[   21.5] Kernel panic - not syncing: ${text}` });
const notLoaded = told({});
const notHealthy = 'The checks did not pass within 45 s: ';

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
  'root rots once committed':
    '0.2.0 in slot b gave way. It has used up its tries: its root is damaged, or it lost power',
  'a user probe stays red': `${notHealthy}probe/shop: The probe of tcp 10.0.2.2:80 failed: refused`,
};
const POWER_CUT = told({ console: 'the agent opens its API, network up, panic=1' });

describe('the table of broken releases', () => {
  const modes = BROKEN_MODES.filter(({ expected }) => expected.cause !== undefined);

  it('has every cause here, and no other', () => {
    assert.deepEqual(modes.map(({ name }) => name).sort(), Object.keys(CAUSES).sort());
  });

  for (const { name, expected } of modes) {
    it(`knows ${name} from every other cause`, () => {
      const { cause = assert.fail() } = expected;
      const own = CAUSES[name] ?? '';
      assert.match(own, cause);
      for (const other of [...Object.values(CAUSES), POWER_CUT, '']) {
        if (other !== own) assert.doesNotMatch(other, cause);
      }
    });
  }
});
