/**
 * Lets this process die at its Nth change of the file system, as far as the disk can tell: that change and all after it
 * never happen; a write happens by half.
 *
 * As `--import` of another program, with KEEL_DIE_AT=N, it ends that program with SIGKILL there.
 */
import files from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Thrown by every change after the death. */
export class Died extends Error {
  override readonly name = 'Died';
}

type Call = (...args: never[]) => Promise<unknown>;

const NAMES = ['open', 'rename', 'mkdir', 'rm'] as const;
const HANDLE_NAMES = ['write', 'writeFile', 'sync'] as const;

/** Counts changes from now on, and dies at number `at` (from 1) when there is one. */
export async function watchFiles(die: () => void = () => undefined): Promise<FileWatch> {
  const probe = await files.open(join(tmpdir(), `keel-probe-${process.pid}`), 'w');
  const handle = Object.getPrototypeOf(probe);
  await probe.close();
  await files.rm(join(tmpdir(), `keel-probe-${process.pid}`));
  const watch = new FileWatch(die);
  const restore: (() => void)[] = [];
  const wrap = (owner: Record<string, Call>, name: string) => {
    const original = owner[name];
    if (original === undefined) throw new Error(`no ${name}`);
    owner[name] = async function (this: unknown, ...args: never[]) {
      const isRead = name === 'open' && (args[1] === undefined || String(args[1]) === 'r');
      const isDying = !isRead && watch.next();
      if (isDying && name === 'write') {
        const [bytes, ...rest] = args as unknown as [Uint8Array];
        await original.apply(this, [bytes.subarray(0, bytes.length >> 1), ...rest] as never[]);
      }
      if (isDying) die();
      if (watch.isDead) throw new Died();
      return original.apply(this, args);
    };
    restore.push(() => {
      owner[name] = original;
    });
  };
  for (const name of NAMES) wrap(files as unknown as Record<string, Call>, name);
  for (const name of HANDLE_NAMES) wrap(handle, name);
  syncBuiltinESMExports();
  watch.onClose = () => {
    for (const each of restore) each();
    syncBuiltinESMExports();
  };
  return watch;
}

/** What is watched. */
export class FileWatch {
  /** Changes so far. */
  count = 0;
  /** Number of the change that never happens. */
  dieAt = Number.POSITIVE_INFINITY;
  onClose: () => void = () => undefined;
  readonly die: () => void;

  constructor(die: () => void) {
    this.die = die;
  }

  get isDead(): boolean {
    return this.count >= this.dieAt;
  }

  /** Begins to count anew. */
  restart(dieAt: number): void {
    this.count = 0;
    this.dieAt = dieAt;
  }

  /** True for the change at which the process dies. */
  next(): boolean {
    this.count += 1;
    return this.count === this.dieAt;
  }

  /** Puts everything back. */
  close(): void {
    this.onClose();
  }
}

const at = Number(process.env.KEEL_DIE_AT ?? '');
if (at > 0) {
  const watch = await watchFiles(() => void process.kill(process.pid, 'SIGKILL'));
  watch.restart(at);
}
