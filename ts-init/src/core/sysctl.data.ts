/**
 * Kernel parameters that PID 1 sets, each with its reason. Documentation: Documentation/admin-guide/sysctl in the
 * kernel's source.
 */

/** One parameter. */
export interface SysctlRow {
  readonly key: string;
  readonly value: string;
  readonly why: string;
  /** Left out where the kernel does not have it. */
  readonly optional?: boolean;
}

/** All parameters. */
export const SYSCTLS: readonly SysctlRow[] = [
  { key: 'kernel.printk', value: '4 4 1 7', why: 'only errors reach the console' },
  { key: 'kernel.kptr_restrict', value: '2', why: 'kernel addresses help attackers' },
  { key: 'kernel.dmesg_restrict', value: '1', why: 'the kernel log holds addresses' },
  {
    key: 'kernel.unprivileged_bpf_disabled',
    value: '1',
    why: 'BPF is for the network plugin, which has the capability',
    optional: true,
  },
  {
    key: 'net.core.bpf_jit_harden',
    value: '2',
    why: 'constants in BPF programs must not become code gadgets',
    optional: true,
  },
  {
    key: 'kernel.yama.ptrace_scope',
    value: '1',
    why: 'a process may trace its own children only; 2 would break debuggers inside containers',
    optional: true,
  },
  {
    key: 'kernel.perf_event_paranoid',
    value: '3',
    why: 'no performance counters without capability',
    optional: true,
  },
  {
    key: 'kernel.kexec_load_disabled',
    value: '1',
    why: 'the kernel is replaced by the boot loader only',
    optional: true,
  },
  { key: 'kernel.sysrq', value: '0', why: 'no commands from a keyboard', optional: true },
  {
    key: 'kernel.panic',
    value: '10',
    why: 'a panic restarts the machine, also when the command line forgot',
  },
  {
    key: 'kernel.panic_on_oops',
    value: '1',
    why: 'kubelet expects it; after an oops nothing is certain',
  },
  { key: 'kernel.randomize_va_space', value: '2', why: 'address space layout randomisation' },
  { key: 'fs.protected_symlinks', value: '1', why: 'symlink attacks in shared directories' },
  { key: 'fs.protected_hardlinks', value: '1', why: "hard links to files one can't write" },
  { key: 'fs.protected_fifos', value: '2', why: 'planted FIFOs in shared directories' },
  { key: 'fs.protected_regular', value: '2', why: 'planted files in shared directories' },
  { key: 'fs.suid_dumpable', value: '0', why: 'no core of a privileged process' },
  {
    key: 'kernel.core_pattern',
    value: '|/bin/false',
    why: 'no core files: they hold keys and fill disks; the program does not exist',
  },
  {
    key: 'dev.tty.ldisc_autoload',
    value: '0',
    why: 'line disciplines are an attack surface',
    optional: true,
  },
  {
    key: 'vm.unprivileged_userfaultfd',
    value: '0',
    why: 'makes use-after-free bugs easy to hit',
    optional: true,
  },
  { key: 'vm.overcommit_memory', value: '1', why: 'kubelet expects it' },
  {
    key: 'vm.mmap_min_addr',
    value: '65536',
    why: 'null pointer bugs in the kernel',
    optional: true,
  },
  {
    key: 'net.ipv4.conf.all.rp_filter',
    value: '2',
    why: 'spoofed sources; loose, because pod networks are asymmetric',
  },
  { key: 'net.ipv4.conf.default.rp_filter', value: '2', why: 'as above, for later interfaces' },
  { key: 'net.ipv4.conf.all.accept_redirects', value: '0', why: 'routes come from us only' },
  { key: 'net.ipv4.conf.default.accept_redirects', value: '0', why: 'routes come from us only' },
  { key: 'net.ipv4.conf.all.secure_redirects', value: '0', why: 'routes come from us only' },
  { key: 'net.ipv4.conf.all.send_redirects', value: '0', why: 'a node is not a router for others' },
  { key: 'net.ipv4.conf.all.accept_source_route', value: '0', why: 'source routing is an attack' },
  { key: 'net.ipv4.tcp_syncookies', value: '1', why: 'SYN floods', optional: true },
  { key: 'net.ipv4.icmp_echo_ignore_broadcasts', value: '1', why: 'amplification' },
  {
    key: 'net.ipv6.conf.all.accept_redirects',
    value: '0',
    why: 'routes come from us only',
    optional: true,
  },
  {
    key: 'net.ipv6.conf.default.accept_redirects',
    value: '0',
    why: 'routes come from us only',
    optional: true,
  },
  {
    key: 'net.ipv6.conf.all.accept_source_route',
    value: '0',
    why: 'source routing is an attack',
    optional: true,
  },
];
