/**
 * Holds the API to its promises: `node proto/src/tools/api-lock.ts` lints the .proto files and compares them with
 * proto/api.lock.json, the API that is promised to be understood for ever. `--update` takes the API as it is now into
 * that file: when a release adds to it, or when a promise is broken on purpose (say so in CHANGELOG.md).
 */
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { buf, buildApi, CHECKOUT } from './buf.ts';

const LOCK = resolve(CHECKOUT, 'proto/api.lock.json');

/** Findings in the .proto files of `folder`: one line each, none when lint and comparison are content. */
export async function checkApi(folder: string, lock = LOCK): Promise<readonly string[]> {
  const findings: string[] = [];
  for (const args of [['lint'], ['breaking', '--against', lock]]) {
    const { ok, stdout, stderr } = await buf(args, folder);
    if (ok) continue;
    const lines = `${stdout}\n${stderr}`.split('\n').filter((line) => line.trim() !== '');
    findings.push(...(lines.length === 0 ? [`buf ${args[0]} failed`] : lines));
  }
  return findings;
}

/** Text of the lock file for the API in `folder`: one line for each file, so that a change is a readable difference. */
export async function apiLock(folder: string): Promise<string> {
  const { file } = await buildApi({ folder, withComments: false });
  return `{"file":[\n${file.map((each) => JSON.stringify(each)).join(',\n')}\n]}\n`;
}

async function main(): Promise<number> {
  const folder = join(CHECKOUT, 'proto');
  if (process.argv.includes('--update')) {
    await writeFile(LOCK, await apiLock(folder));
    return 0;
  }
  const findings = await checkApi(folder);
  for (const finding of findings) process.stderr.write(`${finding}\n`);
  return findings.length === 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = await main();
