/**
 * Every command that README.md and docs/ show, run against a node that `npm run quickstart` has made.
 *
 * Convention for writers: see fences.ts and CONTRIBUTING.md. Replaced before a command runs: `127.0.0.1:50051` by the
 * node's endpoint, and the words FINGERPRINT and TOKEN by what its console shows.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '@keelos/image/sys/qemu-process.ts';
import { parseAnnouncement } from '@keelos/proto/console.ts';
import { type Ended, runProgram } from '@keelos/tests/program.ts';
import { CHECKOUT, keepLogs } from '@keelos/tests/test-node.ts';
import { exec } from '../../scripts/lib/exec.mjs';
import { guardFolder } from '../../scripts/lib/left-behind.mjs';
import type { Block } from './fences.ts';
import { readPages } from './pages.ts';

const QUICKSTART_TIMEOUT_MS = 300_000;
const BLOCK_TIMEOUT_MS = 240_000;
const FOLLOW_MS = 5_000;
const AGAIN_SECONDS_MAX = 60;
const DOCUMENTED_ENDPOINT = '127.0.0.1:50051';
/** What the working folder must not show: commands would write into it, or it is only in the way. */
const NOT_LINKED = new Set(['.git', '.vm', 'node.yaml']);

interface Quickstart {
  readonly ok: boolean;
  readonly endpoint: string;
  readonly console: string;
  readonly steps: readonly { readonly name: string; readonly seconds: number }[];
}

const all = await readPages();
const blocks = withoutRepeats(all.flatMap((page) => page.blocks));

/** Identical blocks run once: a token, for one, works once. */
function withoutRepeats(from: readonly Block[]): Block[] {
  const seen = new Set<string>();
  return from.filter((block) => {
    if (block.kind === 'file') return true;
    const key = `${block.kind} ${block.exit} ${block.text}`;
    return !seen.has(key) && seen.add(key) !== undefined;
  });
}

describe('docs', () => {
  let folder: string;
  let guard: ReturnType<typeof guardFolder>;
  let work: string;
  let environment: Record<string, string>;
  let node: Quickstart;
  let isTokenUsed = true;

  before(async function () {
    this.timeout(QUICKSTART_TIMEOUT_MS);
    folder = await mkdtemp(join(tmpdir(), 'keel-docs-'));
    guard = guardFolder(folder); // the machine that quickstart leaves would outlive a killed test
    work = join(folder, 'checkout');
    await mkdir(work);
    for (const name of await readdir(CHECKOUT)) {
      if (!NOT_LINKED.has(name)) await symlink(join(CHECKOUT, name), join(work, name));
    }
    environment = {
      KEEL_VM_DIR: join(folder, 'vm'),
      KEEL_VM_PORT: String(await freePort()),
      OSCTL_CONFIG: join(folder, 'osctl', 'config.yaml'),
      PATH: `${join(CHECKOUT, 'node_modules/.bin')}:${process.env.PATH ?? ''}`,
    };
    node = await quickstart();
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') {
      await keepLogs(join(folder, 'vm'), this.currentTest.fullTitle());
    }
  });
  after(async function () {
    this.timeout(BLOCK_TIMEOUT_MS);
    await run('npm run --silent vm -- reset');
    await rm(folder, { recursive: true, force: true });
    guard.close();
  });

  const run = (script: string, timeoutMs = BLOCK_TIMEOUT_MS) =>
    runProgram('bash', ['-euo', 'pipefail', '-c', script], {
      cwd: work,
      env: environment,
      timeoutMs,
    });

  async function quickstart(): Promise<Quickstart> {
    const ended = await run('npm run --silent quickstart -- --json', QUICKSTART_TIMEOUT_MS);
    assert.equal(ended.exitCode, 0, ended.stderr);
    return JSON.parse(ended.stdout) as Quickstart;
  }

  const announcement = async () => {
    const found = parseAnnouncement(await readFile(node.console, 'utf8'));
    assert.ok(found !== undefined, 'no announcement on the console');
    return found;
  };

  /** Fills in what differs from node to node. */
  async function prepared(text: string): Promise<string> {
    if (/\bTOKEN\b/.test(text)) {
      if (isTokenUsed) {
        const { token } = await announcement();
        assert.equal((await run('osctl reboot --wait --timeout 200s')).exitCode, 0);
        assert.notEqual((await announcement()).token, token, 'the reboot printed no new token');
      }
      isTokenUsed = true;
    }
    const filled = text.replaceAll(DOCUMENTED_ENDPOINT, node.endpoint);
    if (!/\b(FINGERPRINT|TOKEN)\b/.test(filled)) return filled;
    const { fingerprint, token = '' } = await announcement();
    return filled.replaceAll(/\bFINGERPRINT\b/g, fingerprint).replaceAll(/\bTOKEN\b/g, token);
  }

  async function runBlock(block: Block): Promise<void> {
    // An earlier one of these has ended the node, or thrown it away.
    if (block.isLast) node = await quickstart();
    const text = await prepared(block.text);
    if (block.kind === 'file') {
      await rm(join(work, block.file), { force: true });
      await writeFile(join(work, block.file), `${text}\n`);
      return;
    }
    if (block.kind === 'follow') {
      assert.notEqual(await followed(text), '', 'it printed nothing');
      return;
    }
    const commands = split(text);
    for (const [index, command] of commands.entries()) {
      const expected = index === commands.length - 1 ? block.exit : 0;
      const ended = await run(command);
      assert.equal(ended.exitCode, expected, described(command, ended));
      if (/^(npx )?osctl reboot\b(?!.*--wait)/.test(command)) await quickstart();
    }
  }

  async function followed(script: string): Promise<string> {
    let text = '';
    const signal = AbortSignal.timeout(FOLLOW_MS);
    const ended = exec('bash', ['-c', script], {
      cwd: work,
      env: environment,
      anyExit: true,
      signal,
      onOutput: (chunk) => {
        text += chunk;
      },
    });
    const early = await ended.catch((error: Error) => {
      if (!signal.aborted) throw error;
    });
    if (early !== undefined) throw new Error(`ended by itself: ${described(script, early)}`);
    return text.trim();
  }

  it('follow the convention', () => {
    assert.deepEqual(
      all.flatMap((page) => page.problems),
      [],
    );
    assert.ok(blocks.length > 0, 'no page shows a command');
  });

  it(`quickstart again takes less than ${AGAIN_SECONDS_MAX} s to the same, healthy node`, async function () {
    this.timeout(QUICKSTART_TIMEOUT_MS);
    const startedMs = performance.now();
    const again = await quickstart();
    const seconds = (performance.now() - startedMs) / 1000;
    assert.ok(again.ok);
    assert.equal(again.endpoint, node.endpoint);
    assert.ok(seconds < AGAIN_SECONDS_MAX, `${seconds} s: ${JSON.stringify(again.steps)}`);
  });

  for (const block of [...blocks].sort((a, b) => Number(a.isLast) - Number(b.isLast))) {
    const first = block.kind === 'file' ? `write ${block.file}` : (block.text.split('\n')[0] ?? '');
    it(`${block.page}:${block.line} ${first}`, async function () {
      this.timeout(BLOCK_TIMEOUT_MS);
      await runBlock(block);
    });
  }
});

/** Commands of a block: one a line, continued by a backslash. */
function split(text: string): string[] {
  const lines = text.replaceAll(/\\\n\s*/g, ' ').split('\n');
  return lines.map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'));
}

function described(command: string, ended: Ended): string {
  return `$ ${command}\nexit status ${ended.exitCode}\n${ended.stdout}${ended.stderr}`;
}
