/**
 * System calls that are written down.
 */
import { SystemCallError } from './native.ts';
import type { Syscalls } from './syscalls.ts';

/** A fake that shows what was called. */
export interface FakeSyscalls extends Syscalls {
  /** For example "mount proc /proc proc 14 ", "sync", "reboot powerOff". */
  readonly calls: string[];
  /** Decides whether a call fails, and with which code. */
  failing: (call: string) => string | undefined;
  /** When set, an unmount, remount or sync never ends. */
  hanging: (call: string) => boolean;
}

/** A kernel that says yes to everything. */
export function createFakeSyscalls(): FakeSyscalls {
  const calls: string[] = [];
  const record = (call: string) => {
    calls.push(call);
    const code = fake.failing(call);
    if (code !== undefined) throw new SystemCallError(call, code);
  };
  const recordLater = async (call: string): Promise<boolean> => {
    calls.push(call);
    if (fake.hanging(call)) await new Promise(() => {});
    return fake.failing(call) === undefined;
  };
  const fake: FakeSyscalls = {
    calls,
    failing: () => undefined,
    hanging: () => false,
    mount: (one) =>
      record(`mount ${one.source} ${one.target} ${one.type} ${one.flagBits} ${one.data}`),
    unmount: (target) => recordLater(`unmount ${target}`),
    async sync() {
      await recordLater('sync');
    },
    remount: (one) =>
      recordLater(`mount ${one.source} ${one.target} ${one.type} ${one.flagBits} ${one.data}`),
    setHostname: (name) => record(`hostname ${name}`),
    setClock: (timeMs) => record(`clock ${timeMs}`),
    disableCtrlAltDel: () => record('disable ctrl-alt-del'),
    reboot: (kind) => record(`reboot ${kind}`),
    endProcess: () => void calls.push('end process'),
    reap(pid) {
      record(`reap ${pid}`);
      return true;
    },
  };
  return fake;
}
