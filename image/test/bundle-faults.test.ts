/** Every way to spoil a bundle, and the error that refuses it. A node refuses the same: tests/bundle-faults.test.ts. */
import assert from 'node:assert/strict';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkBundle } from '@keelos/image/shell/check-bundle.ts';
import {
  BUNDLE_FAULTS,
  type BundleFault,
  type BundleFaultName,
} from '@keelos/proto/bundle-faults.data.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { NOW_MS, type Spoilt, SpoiltBundles } from './spoilt-bundles.ts';

describe('a spoilt bundle', function () {
  this.timeout(120_000);

  let dir = '';
  let bundles: SpoiltBundles;

  before(async function () {
    this.timeout(300_000);
    dir = await mkdtemp(join(tmpdir(), 'keel-faults-'));
    bundles = await SpoiltBundles.make(dir);
  });
  after(() => rm(dir, { recursive: true, force: true }));

  async function verdict({ bytes, trust, fit }: Spoilt): Promise<string> {
    const path = join(dir, 'spoilt');
    await writeFile(path, bytes ?? bundles.good);
    const file = await open(path, 'r');
    try {
      await checkBundle(file, {
        trust: trust ?? bundles.trust,
        nowMs: NOW_MS,
        ...(fit === undefined ? {} : { fit }),
      });
      return 'accepted';
    } catch (error) {
      if (!(error instanceof KeelError)) throw error;
      return error.code;
    } finally {
      await file.close();
    }
  }

  it('is refused, and the good one is not', async () => {
    assert.equal(await verdict({}), 'accepted');
    assert.equal(await verdict({ bytes: bundles.remade({ variant: 'other' }) }), 'accepted');
    const fit = { arch: 'x86_64', slotBytes: bundles.manifest.root.size } as const;
    assert.equal(await verdict({ fit }), 'accepted');
  });

  for (const name of Object.keys(BUNDLE_FAULTS) as BundleFaultName[]) {
    const { fault, codes }: BundleFault = BUNDLE_FAULTS[name];
    it(`${fault}: ${codes.join(' or ')}`, async () => {
      const seen = new Set<string>();
      for (const spoilt of bundles.rows[name]()) {
        const code = await verdict(spoilt);
        assert.ok((codes as readonly string[]).includes(code), `${code}, expected ${codes.join()}`);
        seen.add(code);
      }
      assert.ok(seen.size > 0);
    });
  }
});
