/** Deltas in the process that applies them, over files that stand for devices. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packHere } from '@keelos/as-core/delta-pack.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import type { DeltaApplication, VerifierProgram } from '@keelos/proto/verifier.ts';
import { deltaReader } from '@keelos/ts-agent/sys/delta-reader.ts';
import { packNatively } from '@keelos/ts-agent/sys/native-packer.ts';
import {
  bundleSample,
  noise,
  plainSample,
  program,
  type Sample,
} from '../../image/test/delta-samples.ts';
import { KERNEL, kernelSample } from '../../image/test/kernel-samples.ts';

const verifier: VerifierProgram = {
  executable: process.execPath,
  argv0: 'keel-verifier',
  args: [fileURLToPath(new URL('run-verifier.ts', import.meta.url))],
};
const NEVER = new AbortController().signal;
/** Where the kernel image lies on the file that stands for the EFI system partition: in two parts, the second before. */
const EXTENTS = [
  { offsetBytes: 70_000, lengthBytes: 100_000 },
  { offsetBytes: 1_000, lengthBytes: 50_000 },
];

const fails = (code: string) => (error: unknown) =>
  error instanceof KeelError && error.code === code;

describe('a delta in a process', function () {
  this.timeout(120_000);
  let folder = '';
  let sample: Sample;
  let application: DeltaApplication;
  const logged: string[] = [];
  const { openDelta, applyDelta } = deltaReader({
    program: verifier,
    log: (line) => logged.push(line),
  });

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'keel-delta-process-'));
    sample = await bundleSample();
    const { packed, side } = sample.old;
    const uki = packed.subarray(side.dataBytes);
    const esp = Buffer.alloc(200_000, 0x55);
    let done = 0;
    for (const { offsetBytes, lengthBytes } of EXTENTS) {
      uki.copy(esp, offsetBytes, done, done + lengthBytes);
      done += lengthBytes;
    }
    assert.equal(done, uki.length);
    const put = (name: string, bytes: Uint8Array) => {
      writeFileSync(join(folder, name), bytes);
      return join(folder, name);
    };
    application = {
      path: put('delta', sample.delta),
      source: {
        rootDevice: put('root', packed.subarray(0, side.dataBytes)),
        rootHash: side.rootHash,
        dataBytes: side.dataBytes,
        kernelDevice: put('esp', esp),
        kernelExtents: EXTENTS,
      },
      keptDevice: put('slot', sample.targetFile),
      fromBytes: 0,
      kernelPath: join(folder, 'not-there'),
    };
  });
  after(() => rmSync(folder, { recursive: true }));

  const wanted = () => {
    const { uki } = sample.target.tail?.manifest ?? assert.fail('no bundle');
    return sample.targetFile.subarray(0, uki.offset + uki.size);
  };
  const applied = async (change: Partial<DeltaApplication> = {}, signal = NEVER) => {
    const pieces: Uint8Array[] = [];
    for await (const piece of applyDelta({ ...application, ...change }, signal)) {
      pieces.push(Buffer.from(piece));
    }
    return Buffer.concat(pieces);
  };

  it('is opened: what it is for, and the end of the bundle that it makes', async () => {
    const opened = await openDelta(application.path, NEVER);
    assert.equal(opened.sourceRootHash, sample.old.side.rootHash);
    assert.deepEqual([opened.from, opened.to, opened.kernelBytes], ['1.0.0', '1.0.1', 0]);
    assert.equal(opened.bundleBytes, sample.targetFile.length);
    assert.ok(sample.targetFile.subarray(wanted().length).equals(Buffer.from(opened.end)));
  });

  it('makes root and kernel image, and from any byte on what comes behind it', async () => {
    assert.ok((await applied()).equals(wanted()));
    const { dataBytes, size } = sample.target.tail?.manifest.root ?? assert.fail('no bundle');
    for (const fromBytes of [4095, dataBytes, size - 1, wanted().length - 1]) {
      const found = await applied({ fromBytes });
      assert.ok(found.equals(wanted().subarray(fromBytes)), `from ${fromBytes}`);
    }
    assert.match(logged.at(-1) ?? '', /bytes of it made earlier/);
  });

  it('patches a kernel that it unpacks into a file', async () => {
    const { old, target, targetFile, delta } = await kernelSample();
    const { packed, side } = old;
    const kernelPath = join(folder, 'kernel');
    const files = {
      delta,
      kernel: '',
      root: packed.subarray(0, side.dataBytes),
      esp: packed.subarray(side.dataBytes),
    };
    for (const [name, bytes] of Object.entries(files)) {
      writeFileSync(join(folder, `kernel-${name}`), bytes);
    }
    writeFileSync(kernelPath, '');
    const path = join(folder, 'kernel-delta');
    const source = {
      rootDevice: join(folder, 'kernel-root'),
      rootHash: side.rootHash,
      dataBytes: side.dataBytes,
      kernelDevice: join(folder, 'kernel-esp'),
      kernelExtents: [{ offsetBytes: 0, lengthBytes: side.ukiBytes }],
    };
    const { ukiBytes } = target.side;
    assert.equal((await openDelta(path, NEVER)).kernelBytes, KERNEL.length + ukiBytes);
    const found = await applied({ path, source, kernelPath });
    const { uki } = target.tail?.manifest ?? assert.fail('no bundle');
    assert.ok(found.equals(targetFile.subarray(0, uki.offset + uki.size)));
    assert.ok(KERNEL.equals(readFileSync(kernelPath).subarray(0, KERNEL.length)));
    // A disk without room.
    const full = { path, source, kernelPath: '/dev/full' };
    await assert.rejects(applied(full), fails('E_STATE_FULL'));
    const without = { path, source, kernelPath: join(folder, 'not-there') };
    await assert.rejects(applied(without), { code: 'ENOENT' });
  });

  it('makes anew what lies in the slot and is not what it must be', async () => {
    const rotten = Buffer.from(sample.targetFile);
    rotten.fill(0, 4096, 40_000);
    writeFileSync(join(folder, 'rotten'), rotten);
    const found = await applied({ keptDevice: join(folder, 'rotten'), fromBytes: 40_000 });
    assert.ok(found.equals(wanted().subarray(40_000)));
  });

  it('refuses what it is not for, before the first byte', async () => {
    const { source } = application;
    const table: Partial<DeltaApplication['source']>[] = [
      { rootHash: 'ab'.repeat(32) },
      { dataBytes: source.dataBytes - 4096 },
      { kernelExtents: EXTENTS.toReversed() },
    ];
    for (const change of table) {
      const pieces: Uint8Array[] = [];
      const run = async () => {
        for await (const piece of applyDelta(
          { ...application, source: { ...source, ...change } },
          NEVER,
        )) {
          pieces.push(piece);
        }
      };
      await assert.rejects(run(), fails('E_DELTA_SOURCE'), JSON.stringify(change));
      assert.equal(pieces.length, 0);
    }
  });

  it('is refused when a byte of it has changed, and when it makes no release', async () => {
    const damaged = join(folder, 'damaged');
    const bytes = Buffer.from(sample.delta);
    bytes[bytes.length >> 2] = (bytes[bytes.length >> 2] ?? 0) ^ 1;
    writeFileSync(damaged, bytes);
    await assert.rejects(openDelta(damaged, NEVER), fails('E_DELTA_DAMAGED'));
    writeFileSync(damaged, noise(5000, 3));
    await assert.rejects(openDelta(damaged, NEVER), fails('E_DELTA_MALFORMED'));
    writeFileSync(damaged, (await plainSample()).delta);
    await assert.rejects(openDelta(damaged, NEVER), fails('E_DELTA_SOURCE'));
  });

  it('ends with who reads it, and with its signal', async () => {
    for await (const piece of applyDelta(application, NEVER)) {
      assert.ok(piece.length > 0);
      break;
    }
    const stop = new AbortController();
    const running = (async () => {
      for await (const piece of applyDelta(application, stop.signal)) {
        assert.ok(piece.length > 0);
        stop.abort(new KeelError('E_CANCELLED', 'Cannot go on: cancelled'));
      }
    })();
    await assert.rejects(running, fails('E_CANCELLED'));
    const children = readdirSync('/proc/self/task').flatMap((task) => {
      const path = `/proc/self/task/${task}/children`;
      return readFileSync(path, 'utf8')
        .split(' ')
        .filter((pid) => pid.trim() !== '');
    });
    assert.deepEqual(children, []);
  });

  it('says so when it ends before its last byte', async () => {
    const dying = deltaReader({
      program: { ...verifier, args: ['-e', 'process.kill(process.pid, "SIGKILL")'] },
      log: () => undefined,
    });
    const run = async () => {
      for await (const piece of dying.applyDelta(application, NEVER))
        assert.fail(`${piece.length}`);
    };
    await assert.rejects(run(), fails('E_VERIFY_ENDED'));
  });
});

describe("Node's own zstd", function () {
  this.timeout(60_000);

  it('makes the bytes of the encoder in WebAssembly, at any level and size', async () => {
    const [native, here] = [packNatively(), await packHere()];
    for (const level of [1, 3, 19]) {
      for (const size of [1, 4096, 131_071, 131_072, 131_073, 1_048_576]) {
        for (const block of [program(size, level + size), noise(size, level), Buffer.alloc(size)]) {
          const [found] = await native.pack([block], level);
          const [expected] = await here.pack([block], level);
          assert.ok(
            Buffer.from(found ?? '').equals(Buffer.from(expected ?? '')),
            `${level} ${size}`,
          );
        }
      }
    }
  });
});
