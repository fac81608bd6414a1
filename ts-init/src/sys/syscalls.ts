/**
 * System calls that Node does not offer.
 */
import { checked, inBackground, libcFunction } from './native.ts';

/** What mount(2) takes. */
export interface MountRequest {
  readonly source: string;
  readonly target: string;
  readonly type: string;
  readonly flagBits: number;
  readonly data: string;
}

/** The calls. All throw SystemCallError unless said otherwise. */
export interface Syscalls {
  mount(request: MountRequest): void;
  /** umount2(2) on another thread; false when it failed. */
  unmount(target: string): Promise<boolean>;
  /** sync(2) on another thread. */
  sync(): Promise<void>;
  /** mount(2) on another thread; false when it failed. */
  remount(request: MountRequest): Promise<boolean>;
  setHostname(name: string): void;
  setClock(timeMs: number): void;
  /** From now on ctrl-alt-del is a SIGINT for PID 1. */
  disableCtrlAltDel(): void;
  /** reboot(2). Does not return when it works. */
  reboot(kind: 'reboot' | 'powerOff'): void;
  /** Ends this process at once, without waiting for its threads. Does not return, nor throw. */
  endProcess(): void;
  /** Collects a dead child without waiting; true when it was collected. */
  reap(pid: number): boolean;
}

const CLOCK_REALTIME = 0;
const WNOHANG = 1;
const RB_AUTOBOOT = 0x01234567;
const RB_POWER_OFF = 0x4321fedc;
const RB_DISABLE_CAD = 0;

const mount = libcFunction(
  'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
);
const umount2 = libcFunction('int umount2(const char *target, int flags)');
const syncCall = libcFunction('void sync()');
const sethostname = libcFunction('int sethostname(const char *name, size_t length)');
const clockSettime = libcFunction('int clock_settime(int clock, const void *time)');
const rebootCall = libcFunction('int reboot(int command)');
const waitpid = libcFunction('int waitpid(int pid, void *status, int options)');

/** The calls of the running kernel. */
export const linuxSyscalls: Syscalls = {
  mount(request) {
    const { source, target, type, flagBits, data } = request;
    checked(`mount ${target}`, mount()(source, target, type, flagBits, data));
  },
  unmount: (target) => inBackground(umount2(), target, 0),
  async sync() {
    await inBackground(syncCall());
  },
  remount({ source, target, type, flagBits, data }) {
    return inBackground(mount(), source, target, type, flagBits, data);
  },
  setHostname(name) {
    checked('set host name', sethostname()(name, Buffer.byteLength(name)));
  },
  setClock(timeMs) {
    const time = Buffer.alloc(16);
    time.writeBigInt64LE(BigInt(Math.floor(timeMs / 1000)), 0);
    time.writeBigInt64LE(BigInt(Math.floor(timeMs % 1000) * 1_000_000), 8);
    checked('set clock', clockSettime()(CLOCK_REALTIME, time));
  },
  disableCtrlAltDel() {
    checked('disable ctrl-alt-del', rebootCall()(RB_DISABLE_CAD));
  },
  reboot(kind) {
    checked(kind, rebootCall()(kind === 'reboot' ? RB_AUTOBOOT : RB_POWER_OFF));
  },
  // Not exit, which would wait for the thread pool and so for a disk that hangs.
  endProcess: () => process.abort(),
  reap: (pid) => waitpid()(pid, null, WNOHANG) === pid,
};
