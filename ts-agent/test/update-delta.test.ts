/** Updates by a delta: the bundle that it makes is installed, and the full one where it cannot be used. */
import assert from 'node:assert/strict';
import { KeelError } from '@keelos/proto/errors.ts';
import { encodeRecord } from '@keelos/proto/state-record.ts';
import { RESUME_RECORD, UPDATE_PATHS } from '@keelos/proto/update-record.ts';
import type { DeltaApplication } from '@keelos/proto/verifier.ts';
import { deltaBeside } from '@keelos/ts-agent/core/release-url.ts';
import { bundleSource, type SourceAccount } from '@keelos/ts-agent/shell/bundle-source.ts';
import { resumeRecord } from '@keelos/ts-agent/shell/update-records.ts';
import type { UpdateSource } from '@keelos/ts-agent/sys/update-source.ts';
import { testKernelImage, testRoot } from './slot-disk.ts';
import { fails, NEW, OPTIONS, REBOOT_LEFT, WHO } from './update-wishes.ts';
import { type MadeBundle, MemorySource, madeBundle, UpdateWorld } from './update-world.ts';

const DELTA_URL = 'https://u.example/old-new.kdelta';
const BUNDLE_URL = 'https://u.example/new.squashfs';
/** Of what an earlier try has written. */
const KEPT_BYTES = 262_144;
const DELTA = Buffer.from('a delta, or so it is said');

/** A node, a server with a bundle and a delta, and a process that makes the one of the other. */
class DeltaLab {
  readonly node = new UpdateWorld();
  readonly bundle: MadeBundle;
  /** The bundle on the server; an error: it is not there. */
  served: Buffer | KeelError;
  /** Places at which an apply began. */
  readonly begins: number[] = [];
  readonly account: SourceAccount = {
    fetchedBytes: 0,
    bundleBytes: 0,
    isDelta: false,
    fallbackReason: '',
  };
  readonly urls: string[] = [];
  readonly sources: MemorySource[] = [];
  sourceRootHash: string;
  /** Of the unpacked kernel that the delta patches. */
  kernelBytes = 0;
  /** Called before each piece that is made. */
  onPiece: (place: number) => void = () => undefined;
  application: DeltaApplication | undefined;

  constructor(bundle = madeBundle(NEW)) {
    this.bundle = bundle;
    this.served = bundle.bytes;
    const { world } = this.node;
    this.sourceRootHash = testRoot(1, 130).rootHash;
    world.httpSource = async ({ url }) => {
      this.urls.push(url);
      const bytes = url.endsWith('.kdelta') ? DELTA : this.served;
      const source = new MemorySource(bytes instanceof KeelError ? DELTA : bytes);
      if (bytes instanceof KeelError) source.open = () => Promise.reject(bytes);
      this.sources.push(source);
      return source;
    };
    world.openDelta = async () => {
      assert.deepEqual(world.keptDelta, DELTA);
      const { manifest, bytes } = this.bundle;
      const { sourceRootHash } = this;
      const end = bytes.subarray(manifest.uki.offset + manifest.uki.size);
      const { kernelBytes } = this;
      return {
        ...{ from: '0.1.0', to: '0.2.0', sourceRootHash, kernelBytes },
        ...{ bundleBytes: bytes.length, end },
      };
    };
    world.applyDelta = (application) => this.#apply(application);
  }

  async *#apply(application: DeltaApplication): AsyncGenerator<Uint8Array> {
    this.application = application;
    this.begins.push(application.fromBytes);
    const { manifest, bytes } = this.bundle;
    const end = manifest.uki.offset + manifest.uki.size;
    for (let at = application.fromBytes; at < end; at += 50_000) {
      this.onPiece(at);
      yield bytes.subarray(at, Math.min(end, at + 50_000));
    }
  }

  /** @param deltaUrl empty: whatever the node finds beside the bundle */
  source(url: string, deltaUrl = DELTA_URL): Promise<UpdateSource> {
    const change = (account: Partial<SourceAccount>) => void Object.assign(this.account, account);
    const configuration = { config: undefined };
    return bundleSource(
      { url, deltaUrl, caPem: '' },
      { ports: this.node.world.ports(), configuration, progress: { change, grow: change } },
    );
  }

  /** Installs, and says what is in the slot. */
  async install(url: string, options = REBOOT_LEFT) {
    await this.node.engine.install(await this.source(url), options, WHO);
    return this.slot();
  }

  slot(): Buffer {
    const slot = this.node.world.files.files.get('/dev/vda3');
    assert.ok(Buffer.isBuffer(slot));
    return slot.subarray(0, this.bundle.root.bytes.length);
  }

  /** Everything is given back. */
  assertClean(): void {
    assert.equal(this.node.world.keptDelta, undefined);
    assert.equal(this.node.world.kernelBytes, undefined);
    assert.ok(this.sources.every(({ isClosed }) => isClosed));
  }
}

describe('an update by a delta', function () {
  this.timeout(30_000);

  it('installs the bundle that the delta makes, in one go, and boots it', async () => {
    const lab = new DeltaLab();
    lab.node.know(NEW, '0.2.0');
    const { sha256 } = lab.bundle;
    assert.ok((await lab.install('', { ...REBOOT_LEFT, sha256 })).equals(lab.bundle.root.bytes));
    assert.deepEqual(lab.begins, [0]);
    assert.deepEqual(lab.account, {
      fetchedBytes: DELTA.length,
      bundleBytes: lab.bundle.bytes.length,
      isDelta: true,
      fallbackReason: '',
    });
    const { source, keptDevice } = lab.application ?? assert.fail('not applied');
    assert.deepEqual([source.rootDevice, keptDevice], ['/dev/dm-0', '/dev/vda3']);
    assert.equal(source.dataBytes, 130 * 4096);
    const bytes = source.kernelExtents.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    assert.equal(bytes, testKernelImage(testRoot(1, 130).commandLine).length);
    lab.assertClean();
    assert.equal(await lab.node.boot(), '0.2.0');
  });

  it('has room for the kernel that it unpacks, and is refused without', async () => {
    const lab = new DeltaLab();
    lab.kernelBytes = 33_000_000;
    const { world } = lab.node;
    const asked: unknown[] = [];
    lab.onPiece = () => asked.push(world.kernelBytes);
    await lab.install('');
    assert.equal(asked[0], 33_000_000);
    assert.equal(lab.application?.kernelPath, world.kernelFile.path);
    lab.assertClean();
    const full = new DeltaLab();
    full.kernelBytes = 33_000_000;
    full.node.world.kernelFile.write = () =>
      Promise.reject(new KeelError('E_STATE_FULL', 'no room for the kernel'));
    await assert.rejects(full.install(''), fails('E_STATE_FULL'));
    assert.deepEqual(full.begins, []);
    full.assertClean();
  });

  it('is checked to the last byte by a dry run, which writes nothing', async () => {
    const lab = new DeltaLab();
    const before = Buffer.from(lab.slot());
    assert.ok((await lab.install('', { ...OPTIONS, isDryRun: true })).equals(before));
    assert.deepEqual(lab.begins, [0]);
    lab.assertClean();
  });

  it('is refused from another release, and nothing is changed', async () => {
    const lab = new DeltaLab();
    lab.sourceRootHash = 'cd'.repeat(32);
    const [before, entries] = [Buffer.from(lab.slot()), await lab.node.entries()];
    await assert.rejects(lab.install(''), fails('E_DELTA_SOURCE'));
    assert.ok(lab.slot().equals(before));
    assert.deepEqual(await lab.node.entries(), entries);
    lab.assertClean();
  });

  it('is begun again once when its process ended, from where it was', async () => {
    const lab = new DeltaLab();
    let ends = 1;
    lab.onPiece = (place) => {
      if (place < 300_000 || ends === 0) return;
      ends -= 1;
      throw new KeelError('E_VERIFY_ENDED', 'Cannot apply delta: the process ended (SIGSEGV)');
    };
    assert.ok((await lab.install('')).equals(lab.bundle.root.bytes));
    assert.deepEqual(lab.begins, [0, 300_000]);
    ends = 99;
    const other = new DeltaLab();
    other.onPiece = lab.onPiece;
    await assert.rejects(other.install(''), fails('E_VERIFY_ENDED'));
    assert.equal(other.begins.length, 2);
    other.assertClean();
  });

  it('goes on with the full bundle: when the delta is not for what runs, and where it breaks', async () => {
    const unfit = new DeltaLab();
    unfit.sourceRootHash = 'cd'.repeat(32);
    assert.ok((await unfit.install(BUNDLE_URL)).equals(unfit.bundle.root.bytes));
    assert.match(unfit.account.fallbackReason, /it is for root hash cdcd/);
    assert.equal(unfit.account.isDelta, false);
    assert.deepEqual(unfit.begins, []);
    unfit.assertClean();

    const broken = new DeltaLab();
    broken.onPiece = (place) => {
      if (place >= 500_000) throw new KeelError('E_DELTA_DAMAGED', 'Cannot apply delta: step');
    };
    assert.ok((await broken.install(BUNDLE_URL)).equals(broken.bundle.root.bytes));
    assert.equal(broken.account.fallbackReason, 'Cannot apply delta: step');
    const ranges = broken.sources.flatMap(({ ranges: some }) => some);
    assert.ok(
      ranges.some(([from]) => from === 500_000),
      JSON.stringify(ranges),
    );
    assert.ok(broken.account.fetchedBytes < broken.bundle.bytes.length);
    broken.assertClean();
  });

  it('does not go on with a bundle that is another release', async () => {
    const lab = new DeltaLab();
    lab.served = madeBundle(NEW, { version: '0.2.1' }).bytes;
    lab.onPiece = (place) => {
      if (place >= 500_000) throw new KeelError('E_DELTA_DAMAGED', 'Cannot apply delta: step');
    };
    await assert.rejects(lab.install(BUNDLE_URL), fails('E_SOURCE_CHANGED'));
    lab.assertClean();
    const gone = new DeltaLab();
    gone.sourceRootHash = 'cd'.repeat(32);
    gone.served = new KeelError('E_SOURCE_REFUSED', 'Cannot fetch: 404');
    await assert.rejects(gone.install(BUNDLE_URL), fails('E_SOURCE_REFUSED'));
    gone.assertClean();
  });

  it('finds the delta beside a bundle in a release directory by itself', async () => {
    const lab = new DeltaLab();
    const place = 'https://u.example/keelos/releases/0.2.0';
    const bundleUrl = `${place}/keelos-0.2.0-x86_64.squashfs`;
    const source = await lab.source(bundleUrl, '');
    await lab.node.engine.install(source, REBOOT_LEFT, WHO);
    assert.ok(lab.slot().equals(lab.bundle.root.bytes));
    assert.deepEqual(lab.urls, [bundleUrl, `${place}/keelos-0.1.0-0.2.0-x86_64.kdelta`]);
    assert.equal(lab.account.isDelta, true);
    lab.assertClean();

    const table: [string, string, string | undefined][] = [
      [`${bundleUrl}?token=a`, '0.1.0', `${place}/keelos-0.1.0-0.2.0-x86_64.kdelta?token=a`],
      [bundleUrl, '0.2.0', undefined],
      [bundleUrl, '.hidden', undefined],
      [bundleUrl, '', undefined],
      ['https://u.example/keelos-0.2.0-x86_64.squashfs', '0.1.0', undefined],
      ['https://u.example/releases/0.2.0/keelos-0.3.0-x86_64.squashfs', '0.1.0', undefined],
      ['not a URL', '0.1.0', undefined],
    ];
    for (const [url, from, expected] of table) assert.equal(deltaBeside(url, from), expected);
  });

  it('refuses a kernel image that starts another root, once it is in its place', async () => {
    const kernelImage = testKernelImage(testRoot(9, 200).commandLine);
    const lab = new DeltaLab(madeBundle(NEW, { kernelImage }));
    await assert.rejects(lab.install(''), fails('E_BUNDLE_MALFORMED'));
    assert.deepEqual((await lab.node.entries()).length, 1);
    lab.assertClean();
  });

  it('is cancelled while it is made, and its process ends', async () => {
    const lab = new DeltaLab();
    const { engine } = lab.node;
    let cancelled: Promise<unknown> | undefined;
    lab.onPiece = (place) => {
      if (place > 100_000) cancelled ??= engine.cancel('').catch(() => undefined);
    };
    await assert.rejects(lab.install(BUNDLE_URL), fails('E_CANCELLED'));
    await cancelled;
    assert.equal(engine.status().phase, 'cancelled');
    assert.equal(lab.account.fallbackReason, '');
    lab.assertClean();
  });

  it('goes on behind what an earlier try has written', async () => {
    const lab = new DeltaLab();
    lab.onPiece = (place) => {
      if (place > 700_000) throw new KeelError('E_DELTA_DAMAGED', 'Cannot apply delta: step');
    };
    await assert.rejects(lab.install(''), fails('E_DELTA_DAMAGED'));
    lab.onPiece = () => undefined;
    // A small root is flushed once only; what is on the medium by now is told as a larger one would be.
    const { state } = lab.node.world;
    const record = resumeRecord(lab.node.ports) ?? assert.fail('nothing to go on with');
    const resumed = { ...record, writtenBytes: KEPT_BYTES };
    state.replace(UPDATE_PATHS.resume, encodeRecord(RESUME_RECORD, resumed));
    lab.slot().set(lab.bundle.bytes.subarray(0, KEPT_BYTES));
    assert.ok((await lab.install('')).equals(lab.bundle.root.bytes));
    assert.deepEqual(lab.begins, [0, KEPT_BYTES]);
    assert.equal(lab.node.engine.status().resumedBytes, KEPT_BYTES);
    lab.assertClean();
  });
});
