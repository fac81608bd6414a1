/**
 * Every way to spoil a bundle (image/test/spoilt-bundles.ts), given to a node in memory: the same errors as from
 * keel-image, and the release that runs is all that boots.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TRUST_FILE } from '@keelos/proto/bundle.ts';
import {
  BUNDLE_FAULTS,
  type BundleFault,
  type BundleFaultName,
} from '@keelos/proto/bundle-faults.data.ts';
import { encodeTrust } from '@keelos/proto/bundle-writer.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { trialRecord } from '@keelos/ts-agent/shell/update-records.ts';
import { NOW_MS, type Spoilt, SpoiltBundles } from '../image/test/spoilt-bundles.ts';
import { REBOOT_LEFT } from '../ts-agent/test/update-wishes.ts';
import { MemorySource, UpdateWorld } from '../ts-agent/test/update-world.ts';

const SECTOR_BYTES = 512;
/** Of each row so many at most, evenly: keel-image takes all of them. */
const EACH_MAX = 10;
/** What is only found to be wrong as it is written into the other slot, or placed beside it. */
const FOUND_LATE: readonly BundleFaultName[] = ['rootFlipped', 'treeFlipped', 'ukiFlipped'];

describe('a node that is given a spoilt bundle', function () {
  this.timeout(120_000);

  let dir = '';
  let bundles: SpoiltBundles;

  before(async function () {
    this.timeout(300_000);
    dir = await mkdtemp(join(tmpdir(), 'keel-node-faults-'));
    bundles = await SpoiltBundles.make(dir);
  });
  after(() => rm(dir, { recursive: true, force: true }));

  /** Code of the error, or how the install ended; and whether the boot partition is as it was. */
  async function verdict({ bytes = bundles.good, trust = bundles.trust, fit = {} }: Spoilt) {
    const node = new UpdateWorld();
    const { files } = node.world.files;
    node.world.clock.advance(NOW_MS - node.world.clock.nowMs());
    files.set(TRUST_FILE, encodeTrust(trust));
    if (fit.slotBytes !== undefined) {
      const sectors = Math.floor(fit.slotBytes / SECTOR_BYTES);
      files.set('/sys/class/block/vda3/size', `${sectors}\n`);
    }
    Object.assign(node.ports.facts, fit.arch === undefined ? {} : { arch: fit.arch });
    const disk = () => Buffer.from(files.get('/dev/vda1') as Uint8Array);
    const before = disk();
    const code = await node.engine.install(new MemorySource(bytes), REBOOT_LEFT, 'CN=a').then(
      ({ phase }) => phase,
      (error: unknown) => (error instanceof KeelError ? error.code : assert.fail(`${error}`)),
    );
    const isTouched = !disk().equals(before);
    return { code, isTouched, entries: await node.entries(), trial: trialRecord(node.ports) };
  }

  it('takes the good one', async () => {
    const { code, trial } = await verdict({});
    assert.equal(code, 'armed');
    assert.equal(trial?.to.rootHash, bundles.manifest.root.rootHash);
  });

  for (const name of Object.keys(BUNDLE_FAULTS) as BundleFaultName[]) {
    const { fault, codes }: BundleFault = BUNDLE_FAULTS[name];
    it(`${fault}: ${codes.join(' or ')}`, async () => {
      const all = bundles.rows[name]();
      const step = Math.ceil(all.length / EACH_MAX);
      for (const spoilt of all.filter((_, at) => at % step === 0)) {
        const { code, isTouched, entries, trial } = await verdict(spoilt);
        assert.ok((codes as readonly string[]).includes(code), `${code}, expected ${codes.join()}`);
        assert.deepEqual([entries, trial], [['keel-1+8-1.conf'], undefined]);
        if (!FOUND_LATE.includes(name)) assert.equal(isTouched, false, code);
      }
    });
  }
});
