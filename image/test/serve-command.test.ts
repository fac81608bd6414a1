/** keel-image publish and serve as programs: options, how they start and end. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { listening } from './listening.ts';
import { ServedDirectory } from './served-directory.ts';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));

describe('keel-image serve and publish, as programs', function () {
  this.timeout(120_000);

  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keel-serve-command-'));
    await new ServedDirectory(folder).publish([{ version: '1.0.0' }], { bundleBytes: 10_000 });
  });
  after(() => rm(folder, { recursive: true }));

  const run = (...args: string[]) =>
    spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });

  it('have help with examples, and exit code 2 for a wrong command line', () => {
    for (const command of ['publish', 'serve']) {
      const { status, stdout } = run(command, '--help');
      assert.equal(status, 0);
      assert.match(stdout, /Examples:\n {2}\$ keel-image/);
    }
    const dir = ['--dir', folder];
    const wrong = [
      ...[['publish'], ['serve'], ['publish', ...dir], ['serve', ...dir, '--listen', '8080']],
      ...[
        ['serve', ...dir, '--listen', 'x:70000'],
        ['serve', ...dir, '--connections', '1'],
      ],
      ...[
        ['serve', ...dir, '--tls-cert', 'x'],
        ['serve', ...dir, '--public-url', 'ftp://x'],
      ],
      ['publish', ...dir, '--key', 'x', '--expires-in-days', '91'],
    ];
    for (const args of wrong) {
      const { status, stderr } = run(...args);
      assert.equal(status, 2, args.join(' '));
      assert.notEqual(stderr, '', args.join(' '));
    }
  });

  it('serve until they are told to end, and write a line for each answer', async () => {
    const args = [
      'serve',
      '--dir',
      folder,
      '--listen',
      '[::1]:0',
      '--public-url',
      'https://u.example/',
    ];
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    const lines = text(child.stdout);
    const url = await listening(child.stderr);
    assert.match(url, /^http:\/\/\[::1\]:\d+$/);
    const page = await (await fetch(url)).text();
    assert.match(page, /osctl update --source https:\/\/u\.example\/releases\/1\.0\.0\//);
    child.kill('SIGHUP');
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
    const ended = new Promise((done) => child.once('exit', done));
    child.kill('SIGTERM');
    assert.equal(await ended, 0);
    const log = (await lines)
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      log.map(({ target, status }) => [target, status]),
      [
        ['/', 200],
        ['/healthz', 200],
      ],
    );
  });

  it('serve over TLS, and take a new certificate when they are told to', async () => {
    const [cert, key] = [join(folder, 'tls.crt'), join(folder, 'tls.key')];
    const make = (name: string) => {
      const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1'];
      const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'];
      const args = ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', cert];
      const { status, stderr } = spawnSync('openssl', args, { encoding: 'utf8' });
      assert.equal(status, 0, stderr);
    };
    make('first');
    const args = ['serve', '--dir', folder, '--listen', '127.0.0.1:0'];
    const child = spawn(process.execPath, [MAIN, ...args, '--tls-cert', cert, '--tls-key', key], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    try {
      const url = new URL(await listening(child.stderr));
      assert.equal(url.protocol, 'https:');
      const seen = () => subjectAt(Number(url.port), readFileSync(cert, 'utf8'));
      assert.deepEqual(await seen(), { name: 'first', status: 'HTTP/1.1 200 OK' });
      make('second');
      child.kill('SIGHUP');
      // Until it has read them the old one is served, which the new one does not vouch for.
      const endMs = performance.now() + 20_000;
      let found = await seen().catch(() => undefined);
      while (found === undefined && performance.now() < endMs) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        found = await seen().catch(() => undefined);
      }
      assert.deepEqual(found, { name: 'second', status: 'HTTP/1.1 200 OK' });
    } finally {
      const ended = new Promise((done) => child.once('exit', done));
      child.kill('SIGTERM');
      await ended;
    }
  });
});

/** Who a TLS server says that it is, and the first line of its answer. Fails when `ca` does not vouch for it. */
async function subjectAt(port: number, ca: string): Promise<{ name: string; status: string }> {
  const socket = connect({ host: '127.0.0.1', port, ca });
  try {
    await once(socket, 'secureConnect');
    const name = String(socket.getPeerCertificate().subject.CN);
    socket.end('GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    return { name, status: (await text(socket)).split('\r\n')[0] ?? '' };
  } finally {
    socket.destroy();
  }
}
