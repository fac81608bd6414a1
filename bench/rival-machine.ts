/** Runs a rival's disk (rival-disk.ts) as a node's would be run. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startVm } from '@keelos/image/shell/vm.ts';

/** What was on the console when the rival powered off, or when its time was over. */
export interface RivalConsole {
  readonly isOff: boolean;
  readonly text: string;
}

/** Starts the machine on a throw-away layer over `disk` and waits until it is off. */
export async function rivalConsole(disk: string, timeoutMs: number): Promise<RivalConsole> {
  const dir = await mkdtemp(join(tmpdir(), 'keel-bench-rival-'));
  try {
    const vm = await startVm({ dir, disk, overlay: true });
    const isOff = await vm.waitForExit({ timeoutMs });
    const text = await vm.consoleText();
    await vm.kill();
    return { isOff, text };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
