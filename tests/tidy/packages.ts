/** What every package.json and the lock file must keep. */
import { importsOf } from './imports.ts';
import { type Rule, sources, type Tree } from './tree.ts';

interface Manifest {
  readonly name?: string;
  readonly license?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

interface LockEntry {
  readonly resolved?: string;
  readonly link?: boolean;
  readonly dev?: boolean;
  readonly license?: string;
  readonly integrity?: string;
}

function manifests(tree: Tree): { path: string; manifest: Manifest }[] {
  return [...tree]
    .filter(([path]) => /(^|\/)package\.json$/.test(path))
    .map(([path, content]) => ({ path, manifest: JSON.parse(content.toString('utf8')) }));
}

/** Dependencies are named with one exact version. */
export const exactVersions: Rule = (tree) =>
  manifests(tree).flatMap(({ path, manifest }) =>
    Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })
      .filter(([, version]) => !/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/.test(version))
      .map(([name, version]) => `${path}: ${name} has the version "${version}", not an exact one`),
  );

/** Every package says that it is under the project's licence. */
export const ownLicence: Rule = (tree) =>
  manifests(tree)
    .filter(({ manifest }) => manifest.license !== 'Apache-2.0')
    .map(({ path }) => `${path}: the licence is not Apache-2.0`);

function lockEntries(tree: Tree): [string, LockEntry][] {
  const content = tree.get('package-lock.json');
  if (content === undefined) return [];
  return Object.entries(JSON.parse(content.toString('utf8')).packages as Record<string, LockEntry>);
}

/** The lock file names no download address, and a checksum for everything that is downloaded. */
export const lockWithoutAddresses: Rule = (tree) =>
  lockEntries(tree).flatMap(([path, { resolved, link, integrity }]) => {
    if (resolved !== undefined && /^[a-z+]+:/.test(resolved))
      return [`package-lock.json: ${path} is resolved to ${resolved}`];
    const isDownloaded = path.includes('node_modules/') && link !== true;
    return isDownloaded && integrity === undefined
      ? [`package-lock.json: ${path} has no checksum`]
      : [];
  });

/** Licences under which a dependency may be in what ships. */
export const LICENCES: readonly string[] = [
  ...['MIT', 'Apache-2.0', 'ISC', '0BSD', 'BSD-2-Clause', 'BSD-3-Clause', 'BlueOak-1.0.0'],
  '(Apache-2.0 AND BSD-3-Clause)',
];

/** Run-time dependencies have a licence that fits. */
export const fittingLicences: Rule = (tree) =>
  lockEntries(tree)
    .filter(
      ([path, { dev, link }]) => path.includes('node_modules/') && dev !== true && link !== true,
    )
    .filter(([, { license }]) => license === undefined || !LICENCES.includes(license))
    .map(
      ([path, { license }]) => `package-lock.json: ${path} has the licence "${license ?? 'none'}"`,
    );

/** Every run-time dependency that a package names is explained in docs/dependencies.md. */
export const explainedDependencies: Rule = (tree) => {
  const page = tree.get('docs/dependencies.md')?.toString('utf8') ?? '';
  const names = manifests(tree).flatMap(({ manifest }) => Object.keys(manifest.dependencies ?? {}));
  return [...new Set(names)]
    .filter((name) => !name.startsWith('@keelos/') && !page.includes(`\`${name}\``))
    .map((name) => `docs/dependencies.md: says nothing of ${name}`);
};

/** Every run-time dependency is imported by the package that names it. */
export const usedDependencies: Rule = (tree) =>
  manifests(tree).flatMap(({ path, manifest }) => {
    const folder = path.slice(0, -'package.json'.length);
    const imported = new Set(
      sources(tree)
        .filter((source) => source.path.startsWith(`${folder}src/`))
        .flatMap(({ text }) => importsOf(text).map(({ specifier }) => specifier)),
    );
    return Object.keys(manifest.dependencies ?? {})
      .filter((name) => ![...imported].some((each) => each === name || each.startsWith(`${name}/`)))
      .map((name) => `${path}: nothing in ${folder}src imports ${name}`);
  });
