/**
 * What is in the root file system: the whole list. docs/reference/image-contents.md is generated from it.
 *
 * A file that is not here is not in the image.
 */
import { CHANNEL_TRUST_FILE, TRUST_FILE } from '@keelos/proto/bundle.ts';
import type { ManifestEntry } from './rootfs-manifest.ts';

const LIBRARIES = '/usr/lib/x86_64-linux-gnu';
const GLIBC = 'LGPL-2.1-or-later';
const GCC_RUNTIME = 'GPL-3.0-or-later WITH GCC-exception-3.1';

function directory(path: string, reason: string): ManifestEntry {
  return { type: 'directory', path, reason };
}

function link(path: string, target: string, reason: string): ManifestEntry {
  return { type: 'symlink', path, target, reason };
}

function library(name: string, from: { package: string; file?: string; reason: string }) {
  const path = `${LIBRARIES}/${from.file ?? name}`;
  const licence = from.package === 'libc6' ? GLIBC : GCC_RUNTIME;
  const source = { kind: 'debian', package: from.package, path } as const;
  const target = `${LIBRARIES}/${name}`;
  return { type: 'file', path: target, mode: 0o644, source, licence, reason: from.reason } as const;
}

function own(name: string, reason: string): ManifestEntry {
  const source = { kind: 'own', path: `etc/${name}` } as const;
  const path = `/etc/${name}`;
  return { type: 'file', path, mode: 0o644, source, licence: 'Apache-2.0', reason };
}

/** The manifest, directories before what is in them. */
export const ROOTFS_MANIFEST: readonly ManifestEntry[] = [
  directory('/dev', 'mount point: device nodes'),
  directory('/efi', 'mount point: EFI system partition'),
  directory('/etc', 'static settings; read-only'),
  directory('/etc/keel', 'settings of KeelOS itself'),
  directory('/proc', 'mount point: processes'),
  directory('/run', 'mount point: memory, gone at reboot'),
  directory('/sys', 'mount point: kernel objects'),
  directory('/tmp', 'mount point: memory, gone at reboot'),
  directory('/usr', 'programs and libraries'),
  directory('/usr/bin', 'programs'),
  directory('/usr/lib', 'libraries'),
  directory('/usr/lib/keel', 'native parts of keel'),
  directory(LIBRARIES, 'shared libraries, in the folder that the loader searches'),
  directory('/usr/lib64', 'the dynamic loader'),
  directory('/usr/sbin', 'init'),
  directory('/var', 'mount point: state partition'),

  {
    type: 'file',
    path: '/usr/bin/keel',
    mode: 0o755,
    source: { kind: 'built', component: 'keel' },
    licence: 'Apache-2.0 AND MIT',
    reason:
      'KeelOS: PID 1 and agent, a Node.js single executable. Starts no script and reads no NODE_OPTIONS.',
  },
  {
    type: 'file',
    path: '/usr/lib/keel/koffi.node',
    mode: 0o644,
    source: {
      kind: 'npm',
      package: '@koromix/koffi-linux-x64',
      path: 'linux_x64/koffi.node',
    },
    licence: 'MIT',
    reason: 'system calls from TypeScript',
  },
  {
    type: 'file',
    path: '/usr/lib64/ld-linux-x86-64.so.2',
    mode: 0o755,
    source: { kind: 'debian', package: 'libc6', path: `${LIBRARIES}/ld-linux-x86-64.so.2` },
    licence: GLIBC,
    reason: 'dynamic loader: the kernel starts it for every program with shared libraries',
  },
  library('libc.so.6', { package: 'libc6', reason: 'C library' }),
  library('libm.so.6', { package: 'libc6', reason: 'needed by keel and koffi' }),
  library('libdl.so.2', { package: 'libc6', reason: 'needed by keel; empty since glibc 2.34' }),
  library('libpthread.so.0', {
    package: 'libc6',
    reason: 'needed by keel; empty since glibc 2.34',
  }),
  library('libstdc++.so.6', {
    package: 'libstdc++6',
    file: 'libstdc++.so.6.0.33',
    reason: 'needed by keel and koffi',
  }),
  library('libgcc_s.so.1', { package: 'libgcc-s1', reason: 'needed by keel and koffi' }),

  link('/lib64', 'usr/lib64', 'the loader’s path that is written into every program'),
  link('/sbin', 'usr/sbin', 'the kernel is told init=/sbin/init'),
  link('/usr/sbin/init', '../bin/keel', 'keel as PID 1'),
  link('/usr/bin/keel-agent', 'keel', 'keel as the agent'),

  {
    type: 'file',
    path: '/etc/os-release',
    mode: 0o644,
    source: { kind: 'built', component: 'os-release' },
    licence: 'Apache-2.0',
    reason: 'name, version and build time',
  },
  {
    type: 'file',
    path: TRUST_FILE,
    mode: 0o644,
    source: { kind: 'built', component: 'trust' },
    licence: 'Apache-2.0',
    reason:
      'public keys whose updates a node takes, how many must have signed, and the lowest epoch',
  },
  {
    type: 'file',
    path: CHANNEL_TRUST_FILE,
    mode: 0o644,
    source: { kind: 'built', component: 'channel-trust' },
    licence: 'Apache-2.0',
    reason: 'public keys that may say which release of a channel is the newest',
  },
  own('passwd', 'the one user: root, no password, no shell'),
  own('group', 'the one group'),
  own('nsswitch.conf', 'names are looked up in files, then DNS'),
  link('/etc/hostname', '/run/keel/etc/hostname', 'written by init at boot'),
  link('/etc/hosts', '/run/keel/etc/hosts', 'written by init at boot'),
  link('/etc/resolv.conf', '/run/keel/etc/resolv.conf', 'written by init at boot'),
  link('/etc/machine-id', '/run/keel/etc/machine-id', 'written by init at boot'),
];
