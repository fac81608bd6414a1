import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { linuxBlockDevices } from '../src/sys/block-device.ts';
import { linuxClock } from '../src/sys/clock.ts';
import { createFakeFiles } from '../src/sys/files.fake.ts';
import { type Files, linuxFiles } from '../src/sys/files.ts';
import { type LineReply, serveLines } from '../src/sys/line-server.ts';
import { createFakeLogFiles } from '../src/sys/log-file.fake.ts';
import { type LogFiles, linuxLogFiles } from '../src/sys/log-file.ts';
import { createLinuxProcesses } from '../src/sys/processes.ts';
import { linuxSyscalls } from '../src/sys/syscalls.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'keel-init-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const FILES: readonly (readonly [name: string, make: () => Files])[] = [
  ['files of Linux', () => linuxFiles],
  ['fake files', () => createFakeFiles()],
];
for (const [name, make] of FILES) {
  describe(name, () => {
    it('replace, read, list and remove', () => {
      const files = make();
      files.makeDirectory(join(folder, 'a'), 0o700);
      const path = join(folder, 'a', 'x');
      assert.equal(files.exists(path), false);
      files.replace(path, 'one', { mode: 0o600, durable: true });
      files.replace(path, Buffer.from('two'), { mode: 0o600, durable: false });
      assert.equal(files.readText(path), 'two');
      assert.deepEqual(files.list(join(folder, 'a')), ['x']);
      files.writeKernelFile(path, 'six');
      assert.deepEqual(files.readBytes(path), Buffer.from('six'));
      files.remove(path);
      files.remove(path);
      assert.equal(files.exists(path), false);
      assert.deepEqual(files.list(join(folder, 'missing')), []);
    });

    it('replace durably on the thread pool', async () => {
      const files = make();
      files.makeDirectory(join(folder, 'd'), 0o700);
      const path = join(folder, 'd', 'x');
      await files.replaceDurably(path, 'first', 0o600);
      await files.replaceDurably(path, Buffer.from('2nd'), 0o600);
      assert.equal(files.readText(path), '2nd');
      assert.deepEqual(files.list(join(folder, 'd')), ['x']);
    });

    it('say ENOENT with a code', () => {
      const files = make();
      assert.throws(() => files.readText(join(folder, 'none')), { code: 'ENOENT' });
      assert.throws(() => files.readBytes(join(folder, 'none')), { code: 'ENOENT' });
    });
  });
}

describe('files of Linux, beyond the fake', () => {
  it('set modes whatever the umask, and make no kernel file that is not there', async () => {
    const path = join(folder, 'x');
    linuxFiles.replace(path, '', { mode: 0o644, durable: false });
    assert.equal(statSync(path).mode & 0o777, 0o644);
    const missing = join(folder, 'none', 'x');
    await assert.rejects(linuxFiles.replaceDurably(missing, '', 0o600), { code: 'ENOENT' });
    await linuxFiles.replaceDurably(path, '', 0o666);
    assert.equal(statSync(path).mode & 0o777, 0o666);
    linuxFiles.makeDirectory(join(folder, 'shared'), 0o1777);
    assert.equal(statSync(join(folder, 'shared')).mode & 0o7777, 0o1777);
    assert.throws(() => linuxFiles.writeKernelFile(join(folder, 'none'), 'x'), { code: 'ENOENT' });
    symlinkSync('../somewhere', join(folder, 'link'));
    assert.equal(linuxFiles.readLink(join(folder, 'link')), '../somewhere');
  });
});

const LOG_FILES: readonly (readonly [name: string, make: () => LogFiles])[] = [
  ['log files of Linux', () => linuxLogFiles],
  ['fake log files', () => createFakeLogFiles()],
];
for (const [name, make] of LOG_FILES) {
  describe(name, () => {
    it('append, know their size, and are renamed', async () => {
      const files = make();
      const path = join(folder, 'log');
      const first = await files.open(path);
      assert.equal(first.initialBytes, 0);
      await first.append('é\n');
      await first.close();
      const second = await files.open(path);
      assert.equal(second.initialBytes, 3);
      await second.append('x');
      await second.close();
      await files.rename(path, `${path}.1`);
      assert.equal((await files.open(`${path}.1`)).initialBytes, 4);
      assert.equal((await files.open(path)).initialBytes, 0);
    });
  });
}

describe('processes of Linux', () => {
  function run(executable: string, args: readonly string[]) {
    const processes = createLinuxProcesses();
    let output = '';
    let pid = 0;
    const ended = new Promise<string>((resolve) => {
      let exit = '';
      let streams = 2;
      const done = () => {
        if (exit !== '' && (streams === 0 || pid === 0)) resolve(exit);
      };
      pid = processes.spawn(
        { executable, argv0: 'named', args, environment: { ONLY: 'this' } },
        {
          output: (_stream, chunk) => {
            output += chunk;
          },
          outputEnded() {
            streams -= 1;
            done();
          },
          exited(text) {
            exit = text;
            done();
          },
        },
      );
    });
    return { processes, pid, ended, output: () => output };
  }

  it('run with nothing but the given environment, in /, without input', async () => {
    const one = run('/bin/sh', [
      '-c',
      'echo $0; pwd; env | sort; readlink /proc/self/fd/0; exit 3',
    ]);
    assert.ok(one.processes.ownPids().has(one.pid));
    assert.equal(await one.ended, 'exit 3');
    const lines = one.output().trim().split('\n');
    assert.deepEqual(
      lines.filter((line) => !/^(PWD|OLDPWD|SHLVL|_)=/.test(line)),
      ['named', '/', 'ONLY=this', '/dev/null'],
    );
    assert.equal(one.processes.ownPids().size, 0);
  });

  it('report a signal, and a program that is not there', async () => {
    const killed = run('/bin/sleep', ['100']);
    killed.processes.signal(killed.pid, 'SIGKILL');
    assert.equal(await killed.ended, 'signal SIGKILL');
    killed.processes.signal(killed.pid, 'SIGTERM');
    const missing = run('/no/such/program', []);
    assert.equal(missing.pid, 0);
    assert.equal(await missing.ended, 'cannot start: ENOENT');
  });
});

describe('system calls of Linux', () => {
  it('say why they fail', () => {
    const nowhere = {
      source: 'none',
      target: '/no/such/place',
      type: 'tmpfs',
      flagBits: 0,
      data: '',
    };
    assert.throws(() => linuxSyscalls.mount(nowhere), /Cannot mount \/no\/such\/place: E/);
    assert.equal(linuxSyscalls.reap(process.pid), false);
  });

  it('unmount on another thread, and report failure as such', async () => {
    assert.equal(await linuxSyscalls.unmount('/no/such/place'), false);
    await linuxSyscalls.sync();
  });
});

describe('the clock of Linux', () => {
  it('never calls back before the time that was asked for, whatever part of a millisecond it is', async () => {
    const monotonicMs = () => linuxClock.monotonicUs() / 1000;
    const early = await Promise.all(
      Array.from({ length: 100 }, (_, index) => {
        const delayMs = 10 + index * 0.37;
        const endMs = monotonicMs() + delayMs;
        return new Promise<number>((resolve) => {
          linuxClock.after(delayMs, () => resolve(endMs - monotonicMs()));
        });
      }),
    );
    assert.ok(Math.max(...early) <= 0, `${Math.max(...early)} ms too early`);
  });
});

describe('line server', () => {
  const LIMITS = {
    lineBytesMax: 100,
    connectionsMax: 2,
    timeoutMs: 200,
    pendingBytesMax: 100_000,
    onError: (error: Error) => assert.fail(error),
  };

  /** Sends bytes, returns everything until the server closes. */
  function talk(path: string, bytes: string): Promise<string> {
    return new Promise((resolve) => {
      let text = '';
      const socket = connect(path, () => socket.write(bytes));
      socket.on('data', (chunk) => {
        text += chunk;
      });
      // A reset is one of the ways to be refused.
      socket.on('error', () => {});
      socket.on('close', () => resolve(text));
    });
  }

  async function serving(
    answer: (line: string, reply: LineReply) => void,
    use: (path: string) => Promise<void>,
  ) {
    const path = join(folder, 'sock');
    // What a crash left behind.
    writeFileSync(path, '');
    const close = serveLines({ ...LIMITS, path }, answer);
    try {
      assert.equal(statSync(path).mode & 0o777, 0o600);
      await use(path);
    } finally {
      close();
    }
  }
  const echo = (line: string, reply: LineReply) => {
    reply.send(`got ${line}`);
    reply.end();
  };

  it('answers a line and closes, refuses a long one and one that does not come', async () => {
    await serving(echo, async (path) => {
      assert.equal(await talk(path, 'hello\nignored'), 'got hello\n');
      assert.equal(await talk(path, `${'x'.repeat(100)}\n`), `got ${'x'.repeat(100)}\n`);
      assert.equal(await talk(path, `${'x'.repeat(101)}\n`), '');
      assert.equal(await talk(path, 'x'.repeat(200)), '');
      assert.equal(await talk(path, 'no end'), '', 'closed after the time-out');
    });
  });

  it('serves a bounded number at once', async () => {
    const held: LineReply[] = [];
    await serving(
      (_line, reply) => held.push(reply),
      async (path) => {
        const two = [talk(path, 'a\n'), talk(path, 'b\n')];
        while (held.length < 2) await new Promise((resolve) => setImmediate(resolve));
        assert.equal(await talk(path, 'c\n'), '');
        assert.equal(held.length, 2);
        for (const reply of held) {
          reply.send('late');
          reply.end();
        }
        assert.deepEqual(await Promise.all(two), ['late\n', 'late\n']);
      },
    );
  });

  it('tells when a reader is too slow, and when it is gone', async () => {
    const path = join(folder, 'slow');
    const result = await new Promise<string>((resolve) => {
      const close = serveLines({ ...LIMITS, path }, (_line, reply) => {
        let sent = 0;
        while (sent < 10_000 && reply.send('x'.repeat(1000))) sent += 1;
        reply.onClose(() => {
          close();
          resolve(sent < 10_000 ? 'bounded' : 'unbounded');
        });
        socket.destroy();
      });
      const socket = connect(path, () => socket.write('go\n'));
      socket.pause();
    });
    assert.equal(result, 'bounded');
  });
});

describe('growing a file system that is no ext4', () => {
  it('fails at the first refusal, with what is known of it', async () => {
    await assert.rejects(linuxBlockDevices.growExt4('/proc', 100), /refused, the kernel log/);
  });
});

describe('reaping as PID 1', function () {
  this.timeout(20_000);
  const flags = ['--user', '--map-root-user', '--pid', '--fork', '--mount-proc'];

  it('collects orphans and leaves own children to Node', function () {
    if (spawnSync('unshare', [...flags, '/bin/true']).status !== 0) this.skip();
    const program = join(import.meta.dirname, 'reaping-pid-1.ts');
    assert.ok(existsSync(program));
    const output = execFileSync('unshare', [...flags, process.execPath, program], {
      encoding: 'utf8',
    });
    const result = JSON.parse(output);
    assert.equal(result.pid, 1);
    assert.ok(result.orphansSeen >= 20, output);
    assert.equal(result.zombiesLeft, 0, output);
    assert.deepEqual(new Set(result.exits), new Set(['exit 7']), output);
    assert.equal(result.exits.length, 20, output);
  });
});
