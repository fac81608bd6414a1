/**
 * Ranges of a bundle from keel-image serve, against nginx with the same directory on the same machine: wrk asks both, in
 * turn, over the loopback. Both write an access log. In MB/s of bodies.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '@keelos/image/sys/qemu-process.ts';
import { bundlePath } from '@keelos/proto/channel.ts';
import { ServedDirectory } from '../image/test/served-directory.ts';
import { ensureTools, findCommand } from '../scripts/lib/apt.mjs';
import { exec } from '../scripts/lib/exec.mjs';
import { type Figure, figure } from './report.ts';
import { type BenchOptions, inTurn } from './rounds.ts';

const TOOLS = [
  { command: 'nginx', package: 'nginx-light', why: 'a rival of keel-image serve' },
  { command: 'wrk', package: 'wrk', why: 'asks both servers' },
];
const MAIN = fileURLToPath(new URL('../image/src/main.ts', import.meta.url));
const BUNDLE_BYTES = 60_000_000;
/** A small part of the bundle: the rest is read from the disk, or what the kernel kept of it. */
const SMALL_MEMORY_MIB = 4;
const CONNECTIONS = 32;
const SECONDS = 5;
const START_MS = 30_000;
const KIB = 1024;

/** Bytes of a range to what a figure is called. */
const RANGES = { 'range-64k': 64 * KIB, 'range-1m': KIB * KIB, 'range-8m': 8 * KIB * KIB } as const;

/** Random ranges; at the end one line with what came. */
const SCRIPT = `
local size, length
function init(args) size = tonumber(args[1]); length = tonumber(args[2]); math.randomseed(1) end
function request()
  local first = math.random(0, size - length)
  return wrk.format("GET", nil, { Range = "bytes=" .. first .. "-" .. (first + length - 1) })
end
function done(summary)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d\\n", summary.bytes, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout))
end
`;

function nginxConfig(folder: string, root: string, port: number): string {
  return `
${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off;
worker_processes auto;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events { worker_connections 1024; }
http {
  access_log ${folder}/access.log;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  sendfile on;
  keepalive_requests 1000000;
  server { listen 127.0.0.1:${port}; root ${root}; }
}
`;
}

async function untilOpen(port: number): Promise<void> {
  const endMs = performance.now() + START_MS;
  for (;;) {
    const isOpen = await new Promise<boolean>((done) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => done(socket.destroy() !== undefined));
      socket.once('error', () => done(false));
    });
    if (isOpen) return;
    if (performance.now() > endMs) throw new Error(`nobody listens at port ${port}`);
    await sleep(50);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = new Promise((done) => child.once('exit', done));
  child.kill('SIGTERM');
  await ended;
}

/** Millions of bytes a second that wrk gets. */
async function measured(url: string, of: { script: string; length: number }): Promise<number> {
  const args = [
    '-t1',
    `-c${CONNECTIONS}`,
    `-d${SECONDS}s`,
    '--timeout',
    '30s',
    '-s',
    of.script,
    url,
  ];
  const sizes = ['--', String(BUNDLE_BYTES), String(of.length)];
  const { stdout } = await exec('wrk', [...args, ...sizes], { timeoutMs: 60_000 });
  const [, bytes, micros, errors] = /RESULT (\d+) (\d+) (\d+)/.exec(stdout) ?? [];
  if (errors !== '0') throw new Error(`wrk: ${stdout}`);
  return Number(bytes) / Number(micros);
}

/** `keel-image serve` with an access log. */
function ownServer(
  folder: string,
  of: { readonly dir: string; readonly port: number; readonly memoryMib?: number },
): ChildProcess {
  const { dir, port, memoryMib } = of;
  const memory = memoryMib === undefined ? [] : ['--memory', String(memoryMib)];
  const args = ['serve', '--dir', dir, '--listen', `127.0.0.1:${port}`, ...memory];
  const server = spawn(process.execPath, [MAIN, ...args]);
  server.stdout.pipe(createWriteStream(join(folder, `own-${port}.log`)));
  server.stderr.resume();
  return server;
}

/** One figure a size of range, and one of a bundle of which most is not in the memory of the server. */
export async function serve({ runs }: BenchOptions): Promise<Figure[]> {
  await ensureTools(TOOLS);
  const folder = await mkdtemp(join(tmpdir(), 'keel-bench-serve-'));
  const children: ChildProcess[] = [];
  try {
    const dir = join(folder, 'releases');
    await mkdir(dir);
    await new ServedDirectory(dir).publish([{ version: '1.0.0' }], { bundleBytes: BUNDLE_BYTES });
    const ports = [await freePort(), await freePort(), await freePort()] as const;
    const [ownPort, smallPort, rivalPort] = ports;
    const own = ownServer(folder, { dir, port: ownPort });
    const small = ownServer(folder, { dir, port: smallPort, memoryMib: SMALL_MEMORY_MIB });
    await writeFile(join(folder, 'nginx.conf'), nginxConfig(folder, dir, rivalPort));
    const config = ['-p', folder, '-c', join(folder, 'nginx.conf')];
    const rival = spawn(findCommand('nginx') ?? 'nginx', config, { stdio: 'ignore' });
    children.push(own, small, rival);
    await Promise.all(ports.map(untilOpen));
    const script = join(folder, 'ranges.lua');
    await writeFile(script, SCRIPT);
    const path = bundlePath({ version: '1.0.0', arch: 'x86_64' });
    const figures: Figure[] = [];
    const rows = [
      ...Object.entries(RANGES).map(([name, length]) => [name, length, ownPort] as const),
      ['range-1m-beyond-memory', RANGES['range-1m'], smallPort] as const,
    ];
    for (const [name, length, port] of rows) {
      const values = await inTurn(runs, {
        own: () => measured(`http://127.0.0.1:${port}/${path}`, { script, length }),
        nginx: () => measured(`http://127.0.0.1:${rivalPort}/${path}`, { script, length }),
      });
      figures.push(
        figure({
          ...{ bench: 'serve', name, unit: 'MB/s', better: 'higher', values: values.own },
          rival: { name: 'nginx', values: values.nginx },
        }),
      );
    }
    return figures;
  } catch (error) {
    const said = await readFile(join(folder, 'error.log'), 'utf8').catch(() => '');
    throw said === '' ? error : new Error(`nginx: ${said}`, { cause: error });
  } finally {
    await Promise.all(children.map(end));
    await rm(folder, { recursive: true, force: true });
  }
}
