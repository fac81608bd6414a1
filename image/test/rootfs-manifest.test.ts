import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { currentPage, PAGE_PATH } from '@keelos/image/commands/doc.ts';
import { parseElf } from '@keelos/image/core/elf.ts';
import { ROOTFS_MANIFEST } from '@keelos/image/core/rootfs-manifest.data.ts';
import type { ManifestEntry, ManifestFile } from '@keelos/image/core/rootfs-manifest.ts';
import {
  executables,
  inspectFile,
  manifestFiles,
  manifestProblems,
  missingLibraries,
} from '@keelos/image/core/rootfs-manifest.ts';
import { KeelError } from '@keelos/proto/errors.ts';

const NODE = process.execPath;

function entry(change: Partial<ManifestFile> & { mode?: number }): ManifestEntry {
  const base: ManifestFile = {
    type: 'file',
    path: '/etc/x',
    mode: 0o644,
    source: { kind: 'own', path: 'etc/passwd' },
    licence: 'Apache-2.0',
    reason: 'test',
  };
  return { ...base, ...change } as ManifestEntry;
}

function isInvalid(pattern: RegExp) {
  return (error: unknown) =>
    error instanceof KeelError && error.code === 'E_IMAGE_INVALID' && pattern.test(error.message);
}

describe('root file system manifest', () => {
  it('keeps its own rules', () => {
    assert.deepEqual(manifestProblems(ROOTFS_MANIFEST), []);
    assert.deepEqual(executables(ROOTFS_MANIFEST), [
      '/usr/bin/keel',
      '/usr/lib64/ld-linux-x86-64.so.2',
    ]);
  });

  it('refuses what breaks a rule', () => {
    const many = Array.from({ length: 11 }, (_, at) =>
      entry({ path: `/usr/bin/p${at}`, mode: 0o755 }),
    );
    const link = { type: 'symlink', path: '/etc/l', reason: 'test' } as const;
    const cases: [string, readonly ManifestEntry[], RegExp][] = [
      ['setuid', [entry({ mode: 0o4755 as never })], /mode 4755: setuid/],
      ['setgid', [entry({ mode: 0o2755 as never })], /mode 2755/],
      ['group-writable', [entry({ mode: 0o664 as never })], /mode 664/],
      ['twice', [entry({ path: '/etc/passwd' })], /twice/],
      ['no folder', [entry({ path: '/opt/x' })], /no directory \/opt/],
      ['relative', [entry({ path: 'etc/x' })], /not a plain absolute path/],
      ['dots', [entry({ path: '/etc/../x' })], /not a plain absolute path/],
      ['too many executables', many, /13 executables, at most 12/],
      ['dangling link', [{ ...link, target: 'nowhere' }], /points at nowhere/],
      ['link to itself', [{ ...link, target: 'l' }], /points at l/],
    ];
    for (const [name, added, reason] of cases) {
      const problems = manifestProblems([...ROOTFS_MANIFEST, ...added]);
      assert.match(problems.join('; '), reason, name);
    }
  });

  it('refuses a script, whatever its mode, and an executable that is no ELF file', () => {
    const [plain] = manifestFiles([entry({})]);
    const [executable] = manifestFiles([entry({ mode: 0o755 })]);
    assert.ok(plain && executable);
    const script = Buffer.from('#!/bin/sh\n');
    assert.throws(() => inspectFile(plain, script), isInvalid(/a script/));
    assert.throws(() => inspectFile(executable, script), isInvalid(/a script/));
    assert.throws(() => inspectFile(executable, Buffer.from('text')), isInvalid(/not an ELF file/));
    assert.deepEqual(inspectFile(plain, Buffer.from('text')).needed, []);
  });

  it('finds every library that Node needs, and names the one that is missing', () => {
    const { needed } = parseElf(readFileSync(NODE));
    assert.ok(needed.includes('libstdc++.so.6') && needed.includes('libc.so.6'), needed.join());
    const facts = [{ path: '/usr/bin/keel', needed }];
    assert.deepEqual(missingLibraries(ROOTFS_MANIFEST, facts), []);
    const without = ROOTFS_MANIFEST.filter(({ path }) => !path.endsWith('/libm.so.6'));
    assert.deepEqual(missingLibraries(without, facts), ['/usr/bin/keel needs libm.so.6']);
  });

  it('reads or refuses an ELF file that is cut or flipped, and does nothing else', () => {
    const library = readFileSync(NODE).subarray(0, 4096);
    for (let length = 0; length < library.length; length += 7) {
      assert.throws(() => parseElf(library.subarray(0, length)), isInvalid(/Cannot read ELF/));
    }
    const koffi = readFileSync(
      new URL('../../node_modules/@koromix/koffi-linux-x64/linux_x64/koffi.node', import.meta.url),
    );
    for (let bit = 0; bit < 64 * 8 + 12 * 56 * 8; bit += 1) {
      const at = bit >> 3;
      const saved = koffi[at] ?? 0;
      koffi[at] = saved ^ (1 << (bit & 7));
      try {
        parseElf(koffi);
      } catch (error) {
        assert.ok(error instanceof KeelError, `bit ${bit}: ${error}`);
      }
      koffi[at] = saved;
    }
  });

  it('is what docs/reference/image-contents.md says', async () => {
    assert.equal(readFileSync(PAGE_PATH, 'utf8'), await currentPage());
  });
});
