/**
 * Reading a whole SquashFS on one core: our verifier, which checks every structure and decodes every block, against
 * sqfs2tar and unsquashfs, which decode every block and write it somewhere. In MB/s of content.
 */
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileSquashfs, SquashfsImage } from '@keelos/as-core/squashfs.ts';
import { ensureTools, findCommand } from '../scripts/lib/apt.mjs';
import { exec } from '../scripts/lib/exec.mjs';
import { findBuiltNode } from '../scripts/lib/node-image.mjs';
import { type Figure, figure } from './report.ts';
import { type BenchOptions, inTurn, megabytesPerSecond } from './rounds.ts';

const TOOLS = [
  { command: 'sqfs2tar', package: 'squashfs-tools-ng', why: 'a rival' },
  { command: 'unsquashfs', package: 'squashfs-tools', why: 'a rival' },
  { command: 'taskset', package: 'util-linux', why: 'keeps a rival to one core' },
];
const CORE = '0';

const pinned = (name: string, args: readonly string[]) =>
  exec('taskset', ['--cpu-list', CORE, findCommand(name) ?? name, ...args]);

/** One figure a rival. Works on `input`, or on the root of the built image. */
export async function squashfsRead({ runs, input }: BenchOptions): Promise<Figure[]> {
  await ensureTools(TOOLS);
  const image = input ?? (await findBuiltNode()).root;
  const sizeBytes = (await stat(image)).size;
  const modules = await compileSquashfs();
  const scratch = await mkdtemp(join(tmpdir(), 'keel-bench-'));
  const fd = openSync(image, 'r');
  let contentBytes = 0;
  try {
    const { own, ...rivals } = await inTurn(runs, {
      own: async () => {
        const opened = SquashfsImage.openWith(modules, { fd, sizeBytes });
        contentBytes = opened.verify().bytes;
        opened.close();
        return undefined;
      },
      sqfs2tar: async () => {
        await pinned('sh', ['-c', 'exec sqfs2tar "$0" > /dev/null', image]);
        return undefined;
      },
      unsquashfs: async () => {
        const dest = join(scratch, 'out');
        const start = performance.now();
        await pinned('unsquashfs', [
          ...['-processors', '1', '-quiet', '-no-progress', '-no-xattrs', '-dest', dest, image],
        ]);
        const seconds = (performance.now() - start) / 1000;
        await rm(dest, { recursive: true, force: true });
        return seconds;
      },
    });
    return Object.entries(rivals).map(([name, seconds]) =>
      figure({
        ...{ bench: 'squashfs-read', name: 'verify-all', unit: 'MB/s', better: 'higher' },
        values: megabytesPerSecond(contentBytes, own),
        rival: { name, values: megabytesPerSecond(contentBytes, seconds) },
      }),
    );
  } finally {
    closeSync(fd);
    await rm(scratch, { recursive: true, force: true });
  }
}
