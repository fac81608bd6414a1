/** The QEMU command line of a KeelOS machine. */

/** Who executes the guest's instructions. */
export type Accelerator = 'kvm' | 'tcg';

/**
 * Processor that a machine sees. Emulated, the fast string instructions (`rep movsb`, `rep stosb`) go byte by byte:
 * without them kernel and C library move and clear memory by words (measured: docs/decisions/0007-start-up.md).
 */
export const CPU_MODELS: Readonly<Record<Accelerator, string>> = {
  kvm: 'max',
  tcg: 'max,erms=off,fsrm=off',
};

/** Everything that the command line depends on. Paths are relative to the machine's folder or absolute. */
export interface QemuOptions {
  readonly accelerator: Accelerator;
  readonly memoryMiB: number;
  readonly cpus: number;
  readonly cpuModel: string;
  readonly firmwareCode: string;
  readonly firmwareVars: string;
  readonly disk: string;
  readonly diskFormat: 'raw' | 'qcow2';
  readonly consoleLog: string;
  readonly qmpSocket: string;
  readonly apiPort: number;
  /** Port of the API inside the machine. */
  readonly guestPort: number;
  readonly rtc?: string;
  readonly noReboot: boolean;
  /** The machine has a hardware watchdog. */
  readonly watchdog: boolean;
  /** Every write and flush of the disk goes into this file, too (QEMU's blklogwrites), which must be there. */
  readonly writeLog?: string;
  readonly extraArgs: readonly string[];
}

/** QEMU reads a comma as the end of a value; two are one. */
function escaped(value: string): string {
  return value.replaceAll(',', ',,');
}

function diskDrive({ disk, diskFormat, writeLog }: QemuOptions): string {
  const name = 'if=none,id=disk';
  if (writeLog === undefined) return `${name},format=${diskFormat},file=${escaped(disk)}`;
  return [
    `${name},driver=blklogwrites`,
    `file.driver=${diskFormat},file.file.driver=file,file.file.filename=${escaped(disk)}`,
    `log.driver=file,log.filename=${escaped(writeLog)}`,
  ].join();
}

/** Program and arguments. */
export function qemuCommand(options: QemuOptions): string[] {
  const pflash = `if=pflash,format=raw,unit=`;
  const threads = options.accelerator === 'tcg' ? 'tcg,thread=multi' : 'kvm';
  const forward = `hostfwd=tcp:127.0.0.1:${options.apiPort}-:${options.guestPort}`;
  // The chipset of q35 has a watchdog of its own, which cannot be taken out; that of pc has none.
  const machine = options.watchdog ? 'q35' : 'pc';
  return [
    'qemu-system-x86_64',
    ...['-name', 'keelos', '-nodefaults', '-no-user-config', '-display', 'none'],
    ...['-machine', `${machine},hpet=off`, '-accel', threads, '-cpu', options.cpuModel],
    ...['-smp', String(options.cpus), '-m', String(options.memoryMiB)],
    ...['-drive', `${pflash}0,readonly=on,file=${escaped(options.firmwareCode)}`],
    ...['-drive', `${pflash}1,file=${escaped(options.firmwareVars)}`],
    ...['-drive', diskDrive(options)],
    ...['-device', 'virtio-blk-pci,drive=disk,bootindex=0'],
    ...['-netdev', `user,id=net,${forward}`],
    // Without a boot ROM the firmware does not try to boot from the network.
    ...['-device', 'virtio-net-pci,netdev=net,romfile='],
    ...['-device', 'virtio-rng-pci'],
    ...(options.watchdog ? ['-device', 'i6300esb'] : []),
    ...['-watchdog-action', 'reset'],
    ...['-chardev', `file,id=console,append=on,path=${escaped(options.consoleLog)}`],
    ...['-serial', 'chardev:console'],
    ...['-qmp', `unix:${escaped(options.qmpSocket)},server=on,wait=off`],
    ...(options.rtc === undefined ? [] : ['-rtc', `base=${options.rtc}`]),
    ...(options.noReboot ? ['-no-reboot'] : []),
    ...options.extraArgs,
  ];
}

/** A command as one line for a POSIX shell. */
export function shellQuoted(command: readonly string[]): string {
  const quoted = command.map((word) =>
    /^[A-Za-z0-9_./:=,@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`,
  );
  return quoted.join(' ');
}
