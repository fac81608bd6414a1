/**
 * `node apply-delta.ts OLDER DELTA NEWER`: the code of a node applies a delta to a bundle or a SquashFS and writes what
 * comes out. A process of its own, so that its memory can be told. What is written is root data, hash tree and kernel image.
 * Without arguments it compiles its modules and ends: what is more than that is the work's.
 */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileApply } from '@keelos/as-core/delta-apply.ts';
import { DeltaFile } from '@keelos/as-core/delta-file.ts';
import { bytesSource } from '@keelos/image/shell/delta-prove.ts';
import { hasFooter, readTail } from '@keelos/image/sys/bundle-file.ts';
import type { DeltaSourcePlace } from '@keelos/proto/verifier.ts';
import { applyDeltaHere } from '@keelos/ts-agent/sys/apply-delta-here.ts';

/** Where the kernel image lies in the older file; nowhere in a plain SquashFS. */
async function kernelExtents(path: string): Promise<DeltaSourcePlace['kernelExtents']> {
  const file = await open(path, 'r');
  try {
    if (!(await hasFooter(file))) return [];
    const { uki } = (await readTail(file)).manifest;
    return [{ offsetBytes: uki.offset, lengthBytes: uki.size }];
  } finally {
    await file.close();
  }
}

async function main([older = '', delta = '', newer = '']: readonly string[]): Promise<void> {
  const { manifest } = await DeltaFile.open(bytesSource(readFileSync(delta)));
  const scratch = await mkdtemp(join(tmpdir(), 'keel-apply-'));
  const [kernelPath, keptDevice] = [join(scratch, 'kernel'), join(scratch, 'kept')];
  await Promise.all([writeFile(kernelPath, ''), writeFile(keptDevice, '')]);
  const out = openSync(newer, 'w');
  try {
    const { rootHash, dataBytes } = manifest.source;
    const source = {
      ...{ rootDevice: older, kernelDevice: older, rootHash, dataBytes },
      kernelExtents: await kernelExtents(older),
    };
    await applyDeltaHere(
      { path: delta, source, keptDevice, fromBytes: 0, kernelPath },
      {
        say: (made) => {
          for (let done = 0; done < made.length; ) done += writeSync(out, made, done);
        },
        onProgress: () => undefined,
      },
    );
  } finally {
    closeSync(out);
    await rm(scratch, { recursive: true, force: true });
  }
}

if (process.argv.length > 2) await main(process.argv.slice(2));
else await compileApply();
