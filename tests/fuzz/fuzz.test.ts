/** The fuzzer itself: what it runs comes again, what is right passes, and what is planted is found. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { BundleReader } from '@keelos/as-core/bundle.ts';
import type { ApplyReport } from '@keelos/as-core/delta-apply.ts';
import type { SquashfsImage } from '@keelos/as-core/squashfs.ts';
import { type VerityReport, verifyImage } from '@keelos/as-core/verity.ts';
import { CHECKOUT } from '@keelos/tests/test-node.ts';
import { exec } from '../../scripts/lib/exec.mjs';
import { type BundleSubject, bundleTarget } from './bundle-target.ts';
import { type Campaign, inputOf, runCampaign } from './campaign.ts';
import { type DeltaSubject, deltaTarget } from './delta-target.ts';
import { type SquashfsSubject, squashfsTarget } from './squashfs-target.ts';
import type { Target } from './target.ts';
import { TARGETS } from './targets.ts';
import { verityTarget } from './verity-target.ts';
import { type ZstdSubject, zstdTarget } from './zstd-target.ts';

const SEED = 20_260_101;
const SECONDS = 2;
const TIMEOUT_MS = 60_000;
const NO_REPORT: ApplyReport = {
  ...{ copiedBytes: 0, packedBytes: 0, rawBytes: 0, literalBytes: 0, zeroBytes: 0, keptBytes: 0 },
};

async function campaign(target: Target, seconds = SECONDS): Promise<Campaign> {
  try {
    return await runCampaign({ target, seed: SEED, seconds, findingsMax: 1 });
  } finally {
    await target.close();
  }
}

/** Runs until something is found; a plant that nothing finds fails after `seconds`. */
async function firstFinding(target: Target): Promise<string> {
  const { findings, executions } = await campaign(target, 20);
  assert.ok(findings.length > 0, `nothing found in ${executions} executions`);
  return findings[0]?.reason ?? '';
}

describe('the fuzzer', function () {
  this.timeout(TIMEOUT_MS);

  for (const [name, make] of Object.entries(TARGETS)) {
    it(`finds nothing in ${name} in ${SECONDS} s`, async () => {
      const { findings, executions, outcomes } = await campaign(await make());
      assert.deepEqual(
        findings.map(({ index, reason }) => `${index}: ${reason}`),
        [],
      );
      assert.ok(executions > 0 && outcomes.size > 0);
    });
  }

  it('makes the same inputs of the same seed, and others of another', () => {
    const samples: [Uint8Array, ...Uint8Array[]] = [Buffer.from('a sample'), Buffer.alloc(500, 1)];
    const digest = (seed: number) => {
      const hash = createHash('sha256');
      for (let index = 0; index < 200; index++)
        hash.update(inputOf({ samples }, { seed, index }).input);
      return hash.digest('hex');
    };
    assert.equal(digest(1), digest(1));
    assert.notEqual(digest(1), digest(2));
    assert.deepEqual(samples, [Buffer.from('a sample'), Buffer.alloc(500, 1)]);
  });

  it('repeats one execution of a seed', async () => {
    const target = await zstdTarget();
    const { executions, outcomes } = await runCampaign({
      target,
      seed: SEED,
      seconds: 0,
      only: 77,
    });
    assert.equal(executions, 1);
    const again = await runCampaign({ target, seed: SEED, seconds: 0, only: 77 });
    assert.deepEqual(again.outcomes, outcomes);
    await target.close();
  });

  it('is a command: findings are its exit status', async () => {
    const node = process.execPath;
    const main = `${CHECKOUT}/tests/fuzz/main.ts`;
    const sound = await exec(node, [main, 'zstd', '--seconds', '1', '--seed', '5'], {
      anyExit: true,
    });
    assert.equal(sound.exitCode, 0, sound.stdout);
    assert.match(sound.stdout, /^zstd: \d+ executions in [\d.]+ s \(\d+\/s\), 0 findings$/m);
    for (const args of [
      [],
      ['tar'],
      ['zstd', '--seed', 'x'],
      ['zstd', '--seconds=-1'],
      ['zstd', '--fast'],
    ]) {
      assert.equal((await exec(node, [main, ...args], { anyExit: true })).exitCode, 2);
    }
  });
});

describe('bugs that are planted', function () {
  this.timeout(TIMEOUT_MS);

  /** Each bug stands in front of the right decoder. */
  const zstdBugs: Readonly<
    Record<string, [bug: (decode: ZstdSubject['decode']) => ZstdSubject['decode'], found: RegExp]>
  > = {
    'bytes behind the frame are taken': [
      (decode) => (frame, options) => {
        try {
          return decode(frame, options);
        } catch (error) {
          if (!(error instanceof Error && error.message.includes('bytes follow'))) throw error;
          return new Uint8Array(1);
        }
      },
      /Node/,
    ],
    'the last bit of long content is lost': [
      (decode) => (frame, options) => {
        const content = decode(frame, options);
        const last = content.length - 1;
        if (content.length > 4000) content[last] = (content[last] ?? 0) & 0xfe;
        return content;
      },
      /other content|spoilt/,
    ],
    'a refusal is another exception': [
      (decode) => (frame, options) => {
        if ((frame[4] ?? 0) & 8) throw new TypeError('Cannot read properties of undefined');
        return decode(frame, options);
      },
      /TypeError: Cannot read/,
    ],
    'a refusal spoils the decoder': [
      (decode) => {
        let isSpoilt = false;
        return (frame, options) => {
          try {
            const content = decode(frame, options);
            return isSpoilt ? content.map((byte) => byte ^ 1) : content;
          } catch (error) {
            isSpoilt = true;
            throw error;
          }
        };
      },
      /spoilt|other content/,
    ],
    'some input takes very long': [
      (decode) => (frame, options) => {
        const untilMs = performance.now() + 20_000;
        const { user } = process.threadCpuUsage();
        if (frame.length === 9) {
          while (process.threadCpuUsage().user - user < 150_000 && performance.now() < untilMs);
        }
        return decode(frame, options);
      },
      /took \d+ ms/,
    ],
  };
  for (const [name, [bug, found]] of Object.entries(zstdBugs)) {
    it(`zstd: ${name}`, async () => {
      const target = await zstdTarget((decoder) => ({
        memoryBytes: decoder.memoryBytes,
        decode: bug((frame, options) => decoder.decode(frame, options)),
      }));
      assert.match(await firstFinding({ ...target, millisecondsMax: 100 }), found);
    });
  }

  it('zstd: memory over the limit', async () => {
    const target = await zstdTarget((decoder) => ({
      memoryBytes: 2 ** 30,
      decode: (frame, options) => decoder.decode(frame, options),
    }));
    assert.match(await firstFinding(target), /holds 1073741824 bytes/);
  });

  const bundleBugs: Readonly<Record<string, (reader: BundleReader) => BundleSubject['readTail']>> =
    {
      'a refusal is forgotten': (reader) => {
        let last = reader.readTail.bind(reader);
        return (tail, sizeBytes) => {
          try {
            const read = reader.readTail(tail, sizeBytes);
            last = () => read;
            return read;
          } catch {
            return last(tail, sizeBytes);
          }
        };
      },
      'the epoch is read wrong': (reader) => (tail, sizeBytes) => {
        const read = reader.readTail(tail, sizeBytes);
        return { ...read, manifest: { ...read.manifest, epoch: read.manifest.epoch + 1 } };
      },
      'a byte less is signed': (reader) => (tail, sizeBytes) => {
        const read = reader.readTail(tail, sizeBytes);
        return { ...read, manifestBytes: read.manifestBytes.fill(0x20, 0, 1) };
      },
    };
  for (const [name, bug] of Object.entries(bundleBugs)) {
    it(`bundle: ${name}`, async () => {
      await firstFinding(await bundleTarget((reader) => ({ readTail: bug(reader) })));
    });
  }

  const deltaBugs: Readonly<Record<string, [(apply: DeltaSubject) => DeltaSubject, RegExp]>> = {
    'a refusal is forgotten': [
      (apply) => async (options) => {
        try {
          return await apply(options);
        } catch {
          return NO_REPORT;
        }
      },
      /another target/,
    ],
    'the last byte of a run is lost': [
      (apply) => (options) =>
        apply({
          ...options,
          write: (part, offset, bytes) => options.write(part, offset, bytes.subarray(0, -1)),
        }),
      /another target/,
    ],
    'a refusal is another exception': [
      (apply) => async (options) => {
        try {
          return await apply(options);
        } catch (cause) {
          throw new TypeError('Cannot read properties of undefined', { cause });
        }
      },
      /TypeError: Cannot read/,
    ],
  };
  for (const [name, [bug, found]] of Object.entries(deltaBugs)) {
    it(`delta: ${name}`, async () => {
      assert.match(await firstFinding(await deltaTarget(bug)), found);
    });
  }

  const verityBugs: Readonly<Record<string, (report: VerityReport) => VerityReport>> = {
    'one bad block is forgiven': (report) =>
      report.badCount === 1 ? { ...report, ok: true, bad: [], badCount: 0 } : report,
    'the last bad block is left out': (report) =>
      report.ok ? report : { ...report, badCount: Math.max(1, report.badCount - 1) },
    'a block is named that is one further': (report) => ({
      ...report,
      bad: report.bad.map(({ level, block }) => ({ level, block: block + 1 })),
    }),
  };
  for (const [name, bug] of Object.entries(verityBugs)) {
    it(`verity: ${name}`, async () => {
      await firstFinding(await verityTarget(async (image) => bug(await verifyImage(image))));
    });
  }

  it('verity: the tree is not looked at', async () => {
    const target = await verityTarget(async (image) => {
      const report = await verifyImage(image);
      const bad = report.bad.filter(({ level }) => level === 0);
      return { ...report, ok: bad.length === 0, bad, badCount: bad.length };
    });
    assert.match(await firstFinding(target), /ok is true, recomputed false/);
  });

  const proxied = (image: SquashfsImage, bug: Partial<SquashfsSubject>): SquashfsSubject => ({
    verify: bug.verify ?? (() => image.verify()),
    entries: bug.entries ?? (() => image.entries()),
    readFile: bug.readFile ?? ((file, sink) => image.readFile(file, sink)),
    close: () => image.close(),
  });

  const squashfsBugs: Readonly<Record<string, (image: SquashfsImage) => Partial<SquashfsSubject>>> =
    {
      'verify accepts what it refused': (image) => ({
        verify: () => {
          try {
            return image.verify();
          } catch {
            return {
              ok: true,
              files: 1,
              directories: 1,
              symlinks: 0,
              others: 0,
              bytes: 0,
              blocks: 0,
              usedBytes: 0,
            };
          }
        },
      }),
      'reading differs from time to time': (image) => ({
        readFile: (file, sink) =>
          image.readFile(file, (piece) => sink(Buffer.from(`${piece.length}${performance.now()}`))),
      }),
      'a name breaks the reader': (image) => ({
        *entries() {
          for (const entry of image.entries()) {
            if (entry.xattrs.length > 0) throw new TypeError('Cannot mix BigInt and other types');
            yield entry;
          }
        },
      }),
      'an entry is left out': (image) => ({
        *entries() {
          for (const entry of image.entries()) if (entry.type !== 'symlink') yield entry;
        },
      }),
    };
  for (const [name, bug] of Object.entries(squashfsBugs)) {
    it(`squashfs: ${name}`, async () => {
      await firstFinding(await squashfsTarget((image) => proxied(image, bug(image))));
    });
  }
});
