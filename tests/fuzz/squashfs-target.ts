/** SquashFS images: refused with a code, or verified, and then listed and read twice with the same result. */
import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  compileSquashfs,
  SquashfsImage,
  type SquashfsModules,
  type VerifyReport,
} from '@keelos/as-core/squashfs.ts';
import { readCorpus } from './corpus.ts';
import { Finding, refusal, type Target } from './target.ts';

/** More than any sample needs; a job that wants more is refused. */
const WORK_BYTES_MAX = 64 * 1024 * 1024;
/** What the process may grow by: instances that were dropped are in it until V8 collects them. */
const MEMORY_BYTES_MAX = 512 * 1024 * 1024;

/** What is under test. */
export type SquashfsSubject = Pick<SquashfsImage, 'verify' | 'entries' | 'readFile' | 'close'>;

/** @param plant stands in front of an image, for tests of the harness */
export async function squashfsTarget(
  plant: (image: SquashfsImage) => SquashfsSubject = (image) => image,
): Promise<Target> {
  const modules = await compileSquashfs();
  const residentBytes = process.memoryUsage.rss();
  const folder = mkdtempSync(join(tmpdir(), 'keel-fuzz-'));
  const fd = openSync(join(folder, 'image'), 'w+');
  return {
    name: 'squashfs',
    samples: readCorpus('squashfs'),
    millisecondsMax: 2000,
    run(input) {
      ftruncateSync(fd, 0);
      writeSync(fd, input, 0, input.length, 0);
      return judge(() => plant(openImage(modules, { fd, sizeBytes: input.length })));
    },
    memory: () => ({
      bytes: process.memoryUsage.rss() - residentBytes,
      bytesMax: MEMORY_BYTES_MAX,
    }),
    async close() {
      closeSync(fd);
      rmSync(folder, { recursive: true });
    },
  };
}

function openImage(
  modules: SquashfsModules,
  source: { fd: number; sizeBytes: number },
): SquashfsImage {
  return SquashfsImage.openWith(modules, { ...source, workBytesMax: WORK_BYTES_MAX });
}

function judge(open: () => SquashfsSubject): string {
  let report: VerifyReport;
  let image: SquashfsSubject;
  try {
    image = open();
  } catch (error) {
    return refusal(error);
  }
  try {
    report = image.verify();
  } catch (error) {
    const code = refusal(error);
    // Reading alone is judged less strictly, but by the same rules: it ends, or it refuses.
    readAgain(image);
    return code;
  }
  const first = digestOf(image);
  const second = digestOf(open());
  image.close();
  if (first.digest !== second.digest) throw new Finding('read twice, and not the same');
  const inodes = report.files + report.directories + report.symlinks + report.others;
  if (first.inodes !== inodes)
    throw new Finding(`${inodes} inodes verified, ${first.inodes} listed`);
  return 'accepted';
}

function readAgain(image: SquashfsSubject): void {
  try {
    digestOf(image);
  } catch (error) {
    refusal(error);
  }
}

/** Digest of everything that the reader tells of an image. */
function digestOf(image: SquashfsSubject): { digest: string; inodes: number } {
  const hash = createHash('sha256');
  const inodes = new Set<number>();
  for (const entry of image.entries()) {
    inodes.add(entry.inode);
    const { pathBytes, xattrs, reference, ...rest } = entry;
    hash.update(pathBytes).update(`\0${reference}\0${JSON.stringify(rest, plain)}\0`);
    for (const { name, value } of xattrs) hash.update(`${name}\0`).update(value);
    if (entry.type !== 'file') continue;
    image.readFile(entry, (piece) => void hash.update(piece));
  }
  return { digest: hash.digest('hex'), inodes: inodes.size };
}

function plain(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}` : value;
}
