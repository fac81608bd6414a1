/** What readers must find. */
import { ERRORS } from '@keelos/proto/errors.ts';
import { isTest, type Rule, sources } from './tree.ts';

/** Files that people and programs look for by name. */
export const EXPECTED_FILES: readonly string[] = [
  ...['LICENSE', 'README.md', 'CONTRIBUTING.md', 'AGENTS.md', 'CHANGELOG.md', 'SECURITY.md'],
  ...['.editorconfig', '.ci/run', 'package-lock.json', 'docs/dependencies.md'],
  'docs/overview/what-is-keelos.md',
  'docs/getting-started/quickstart-qemu.md',
  'docs/learn-more/architecture.md',
  'docs/certificate-management.md',
  'docs/operational-guides/lifecycle-management.md',
  'docs/platform-installation/local-qemu.md',
  ...['osctl', 'api', 'errors', 'node-config', 'kernel', 'image-contents'].map(
    (name) => `docs/reference/${name}.md`,
  ),
];

/** Expected files that are not there. */
export const expectedFiles: Rule = (tree) =>
  EXPECTED_FILES.filter((path) => !tree.has(path)).map((path) => `${path}: is not there`);

/** Every error code is documented, and reported by some code that ships. */
export const errorCodes: Rule = (tree) => {
  const page = tree.get('docs/reference/errors.md')?.toString('utf8') ?? '';
  const code = sources(tree)
    .filter(({ path }) => path !== 'proto/src/errors.ts' && !isTest(path))
    .map(({ text }) => text)
    .join('\n');
  return Object.keys(ERRORS).flatMap((name) => [
    ...(page.includes(`\n### ${name}\n`)
      ? []
      : [`docs/reference/errors.md: says nothing of ${name}`]),
    ...(new RegExp(`['"\`]${name}['"\`]`).test(code)
      ? []
      : [`proto/src/errors.ts: nothing reports ${name}`]),
  ]);
};

/** Links between pages lead to files that are there. */
export const pageLinks: Rule = (tree) =>
  [...tree]
    .filter(([path]) => path.endsWith('.md'))
    .flatMap(([path, content]) =>
      [...content.toString('utf8').matchAll(/\]\(([^)#\s]+)(#[^)\s]*)?\)/g)].flatMap(
        ({ 1: target = '' }) => {
          if (/^[a-z]+:/.test(target)) return [];
          const resolved = new URL(target, `file:///${path}`).pathname.slice(1).replace(/\/$/, '');
          const isThere =
            tree.has(resolved) || [...tree.keys()].some((name) => name.startsWith(`${resolved}/`));
          return isThere ? [] : [`${path}: the link to ${target} leads nowhere`];
        },
      ),
    );
