/** Length of functions, measured by the linter. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Longest function, in lines without empty ones and comments. */
export const FUNCTION_LINES_MAX = 70;

const TIMEOUT_MS = 60_000;
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

/** Functions over the limit in `folders` of `root`: `path:line`. Tests are left out: a describe is a function too. */
export async function longFunctions(
  root: string,
  { biome, folders }: { readonly biome: string; readonly folders: readonly string[] },
): Promise<readonly string[]> {
  const config = await mkdtemp(join(tmpdir(), 'keel-tidy-'));
  try {
    await writeFile(
      join(config, 'biome.json'),
      JSON.stringify({
        linter: {
          rules: {
            recommended: false,
            complexity: {
              noExcessiveLinesPerFunction: {
                level: 'error',
                options: { maxLines: FUNCTION_LINES_MAX, skipBlankLines: true },
              },
            },
          },
        },
      }),
    );
    const args = [
      'lint',
      `--config-path=${config}`,
      '--reporter=json',
      '--max-diagnostics=none',
      ...folders,
    ];
    const { stdout } = await promisify(execFile)(biome, args, {
      cwd: root,
      timeout: TIMEOUT_MS,
      maxBuffer: OUTPUT_BYTES_MAX,
    }).catch((error: { stdout?: string }) => {
      // The linter ends with 1 when it finds something: that is an answer.
      if (error.stdout === undefined || error.stdout === '') throw error;
      return { stdout: error.stdout };
    });
    return findings(stdout);
  } finally {
    await rm(config, { recursive: true });
  }
}

interface Report {
  readonly summary: { readonly unchanged: number };
  readonly diagnostics: readonly {
    readonly category: string;
    readonly message: string;
    readonly location: { readonly path: string; readonly start: { readonly line: number } };
  }[];
}

function findings(text: string): string[] {
  const { summary, diagnostics }: Report = JSON.parse(text);
  if (summary.unchanged === 0)
    throw new Error('Cannot measure functions: the linter looked at no file');
  return diagnostics
    .filter(({ category }) => category.endsWith('noExcessiveLinesPerFunction'))
    .map(({ location, message }) => `${location.path}:${location.start.line}: ${message}`);
}
