/** `keel-image doc`: writes docs/reference/image-contents.md, or checks that it is current. */
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { contentsPage } from '../core/contents-page.ts';
import { ROOTFS_MANIFEST } from '../core/rootfs-manifest.data.ts';
import { manifestFiles } from '../core/rootfs-manifest.ts';
import { readDebianLock } from '../sys/debian-parts.ts';
import { lockedPackages } from '../sys/npm-lock.ts';

/** The generated page. */
export const PAGE_PATH = fileURLToPath(
  new URL('../../../docs/reference/image-contents.md', import.meta.url),
);

/** What the page must say now. */
export async function currentPage(): Promise<string> {
  const { packages } = await readDebianLock();
  const npmFolders = manifestFiles(ROOTFS_MANIFEST).flatMap(({ source }) =>
    source.kind === 'npm' ? [`node_modules/${source.package}`] : [],
  );
  const debian = Object.entries(packages).map(([name, { version, sha256 }]) => [
    name,
    { version, hash: sha256 },
  ]);
  const npm = (await lockedPackages(npmFolders)).map(({ name, version, integrity }) => [
    name,
    { version, hash: integrity },
  ]);
  return contentsPage(ROOTFS_MANIFEST, Object.fromEntries([...debian, ...npm]));
}

/** The command. */
export function docCommand(): Command {
  return new Command('doc')
    .description('Write docs/reference/image-contents.md from the manifest.')
    .option('--check', 'write nothing; exit with 1 when the page is out of date')
    .addHelpText('after', '\nExamples:\n  $ keel-image doc\n  $ keel-image doc --check')
    .action(async (options: { check?: boolean }) => {
      const page = await currentPage();
      if (options.check !== true) {
        await writeFile(PAGE_PATH, page);
        return;
      }
      const found = await readFile(PAGE_PATH, 'utf8').catch(() => '');
      if (found !== page) throw new Error(`${PAGE_PATH} is out of date: run keel-image doc`);
    });
}
