import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { InitReply, LogLine } from '@keelos/proto/init-control.ts';
import type { ServiceDefinition } from '../src/core/services.data.ts';
import { createBootLedger } from '../src/shell/boot-ledger.ts';
import { createClockKeeper } from '../src/shell/clock-keeper.ts';
import { answerRequest } from '../src/shell/control.ts';
import { createLogDisk, FILE_BYTES_MAX, QUEUE_BYTES_MAX } from '../src/shell/log-disk.ts';
import { reapOrphans } from '../src/shell/reaper.ts';
import { FOLLOWERS_MAX } from '../src/shell/service-log.ts';
import { createServiceRunner } from '../src/shell/service-runner.ts';
import { createFakeLogFiles } from '../src/sys/log-file.fake.ts';
import { createFakeMachine } from './fake-machine.ts';

const AGENT: ServiceDefinition = {
  name: 'agent',
  executable: '/usr/bin/keel-agent',
  argv0: 'keel-agent',
  args: [],
  after: [],
  backoff: { firstMs: 500, maxMs: 30_000, stableMs: 60_000 },
  stopGraceMs: 5_000,
  pidsMax: 256,
  memoryMaxBytes: 1000,
  oomScoreAdjust: -900,
};
const GROUP = '/sys/fs/cgroup/keel/agent';

describe('service runner', () => {
  it('starts in a group of its own with a clean environment', () => {
    const machine = createFakeMachine();
    const runner = createServiceRunner(machine, [AGENT]);
    runner.start();
    const [process] = machine.processes.started;
    assert.ok(process);
    assert.deepEqual(Object.keys(process.request.environment).sort(), [
      'HOME',
      'LANG',
      'MALLOC_ARENA_MAX',
      'MALLOC_TRIM_THRESHOLD_',
      'PATH',
      'TZ',
    ]);
    assert.equal(process.request.argv0, 'keel-agent');
    assert.equal(machine.files.readText(`${GROUP}/cgroup.procs`), '100');
    assert.equal(machine.files.readText(`${GROUP}/memory.max`), '1000');
    assert.equal(machine.files.readText(`${GROUP}/pids.max`), '256');
    assert.equal(machine.files.readText('/proc/100/oom_score_adj'), '-900');
  });

  it('comes back after a crash, with growing pauses, and shows it', async () => {
    const machine = createFakeMachine();
    const runner = createServiceRunner(machine, [AGENT]);
    runner.start();
    for (const pauseMs of [500, 1000, 2000]) {
      machine.processes.started.at(-1)?.exit('signal SIGKILL');
      const before = machine.processes.started.length;
      assert.equal(runner.list()[0]?.state, 'backoff');
      await machine.clock.advance(pauseMs - 1);
      assert.equal(machine.processes.started.length, before);
      await machine.clock.advance(1);
      assert.equal(machine.processes.started.length, before + 1);
    }
    const [status] = runner.list();
    assert.equal(status?.restarts, 3);
    assert.equal(status?.lastExit, 'signal SIGKILL');
    assert.equal(status?.sinceMs, machine.clock.wallMs());
  });

  it('tries again after its back-off what cannot even be spawned', async () => {
    const machine = createFakeMachine();
    machine.processes.refusal = 'ENOMEM';
    const runner = createServiceRunner(machine, [AGENT]);
    runner.start();
    assert.equal(machine.processes.started.length, 0);
    assert.equal(runner.list()[0]?.state, 'backoff');
    assert.equal(runner.list()[0]?.lastExit, 'cannot start: ENOMEM');
    await machine.clock.advance(500);
    assert.equal(machine.processes.started.length, 1);
    assert.equal(runner.list()[0]?.state, 'running');
    const stopped = runner.stop();
    assert.deepEqual(machine.processes.signals, ['SIGTERM 100']);
    await stopped;
  });

  it('runs a service whose group cannot be made', () => {
    const machine = createFakeMachine();
    machine.files.broken.set(GROUP, 'ENOENT');
    createServiceRunner(machine, [AGENT]).start();
    assert.equal(machine.processes.started.length, 1);
    assert.match(machine.log.lines.join('\n'), /control group of agent/);
  });

  it('keeps captured lines and hands them to a bounded number of followers', () => {
    const machine = createFakeMachine();
    const runner = createServiceRunner(machine, [AGENT]);
    runner.start();
    const log = runner.log('agent');
    const events = machine.processes.started[0]?.events;
    assert.ok(log && events);
    events.output('stdout', Buffer.from('one\ntw'));
    const seen: string[] = [];
    const stop = log.follow((line) => seen.push(line.line));
    events.output('stderr', Buffer.from('err\n'));
    events.output('stdout', Buffer.from('o\nlast'));
    events.outputEnded('stdout');
    assert.deepEqual(seen, ['err', 'two', 'last']);
    assert.deepEqual(
      log.tail().map((line) => `${line.stream} ${line.line}`),
      ['stdout one', 'stderr err', 'stdout two', 'stdout last'],
    );
    stop?.();
    for (let count = 0; count < FOLLOWERS_MAX; count += 1) assert.ok(log.follow(() => {}));
    assert.equal(
      log.follow(() => {}),
      undefined,
    );
    assert.equal(runner.log('other'), undefined);
  });
});

describe('log on disk', () => {
  const line = (text: string): LogLine => ({ timeMs: 0, stream: 'stdout', line: text });

  /** Lets the writing go on until `condition` holds. */
  const until = async (condition: () => boolean) => {
    for (let turn = 0; turn < 1000; turn += 1) {
      await nextTurn();
      if (condition()) return;
    }
    assert.fail('the writing does not come to it');
  };

  it('writes what came before it was opened, and rotates', async () => {
    const files = createFakeLogFiles();
    const disk = createLogDisk(files, () => assert.fail());
    disk.write(line('early'));
    disk.start('/log');
    await disk.close();
    assert.equal(files.contents.get('/log'), '1970-01-01T00:00:00.000Z stdout early\n');
    const again = createLogDisk(files, () => assert.fail());
    again.start('/log');
    for (let count = 0; count < 200; count += 1) {
      again.write(line(`${count} ${'x'.repeat(16_000)}`));
      const isWritten = () => (files.contents.get('/log') ?? '').includes(` ${count} x`);
      if (count % 10 === 0) await until(isWritten);
    }
    await again.close();
    const sizes = ['/log', '/log.1'].map((path) => files.contents.get(path)?.length ?? 0);
    assert.deepEqual([...files.contents.keys()].sort(), ['/log', '/log.1']);
    for (const size of sizes) assert.ok(size > 0 && size <= FILE_BYTES_MAX, `${size}`);
  });

  it('goes on when the disk is full, and tells how much was lost once', async () => {
    const files = createFakeLogFiles();
    const failures: unknown[] = [];
    const disk = createLogDisk(files, (reason) => failures.push(reason));
    let tries = 0;
    files.obstacle = async () => {
      tries += 1;
      throw new Error('ENOSPC');
    };
    disk.start('/log');
    for (const [index, text] of ['a', 'b'].entries()) {
      disk.write(line(text));
      await until(() => tries > index);
    }
    assert.equal(failures.length, 1);
    files.obstacle = undefined;
    disk.write(line('c'));
    await disk.close();
    assert.match(files.contents.get('/log') ?? '', /^\.\.\. 2 lines were lost\n.* stdout c\n$/);
  });

  it('does not let a disk that hangs take more than the queue', async () => {
    const files = createFakeLogFiles();
    const disk = createLogDisk(files, () => assert.fail());
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    let isHanging = false;
    files.obstacle = () => {
      isHanging = true;
      return gate;
    };
    disk.start('/log');
    for (let count = 0; count < 1000; count += 1) disk.write(line('x'.repeat(1000)));
    await until(() => isHanging);
    release();
    await disk.close();
    const written = files.contents.get('/log') ?? '';
    assert.ok(written.length <= 2 * QUEUE_BYTES_MAX, `${written.length}`);
    assert.ok(written.length >= QUEUE_BYTES_MAX - 2_000, `${written.length}`);
    disk.write(line('ignored after close'));
  });
});

describe('control requests', () => {
  const START_MS = 1_700_000_000_000;

  function talk() {
    const machine = createFakeMachine({ '/etc/os-release': `BUILD_EPOCH=${START_MS / 1000 - 5}` });
    const services = createServiceRunner(machine, [AGENT]);
    const ledger = createBootLedger(machine);
    const clock = createClockKeeper(machine, (report) => ledger.set({ clock: report }));
    clock.setAtBoot();
    services.start();
    const left: string[] = [];
    const settled: string[] = [];
    const names: string[] = [];
    const ask = (request: unknown, room = Number.POSITIVE_INFINITY) => {
      const replies: InitReply[] = [];
      const state = { ended: false, close: () => {} };
      answerRequest(
        JSON.stringify(request),
        {
          send(text) {
            if (replies.length >= room) return false;
            replies.push(JSON.parse(text) as InitReply);
            return true;
          },
          end() {
            state.ended = true;
          },
          onClose(callback) {
            state.close = callback;
          },
        },
        {
          services,
          clock,
          ledger,
          trial: { settle: (outcome, reason) => void settled.push(`${outcome} ${reason}`) },
          leave: (kind, reason) => left.push(`${kind} ${reason}`),
          setHostname: (name) => names.push(name),
        },
      );
      return { replies, state };
    };
    return { machine, ledger, ask, left, names, settled };
  }

  it('answers each kind of request and closes', () => {
    const { machine, ledger, ask, left, names, settled } = talk();
    assert.deepEqual(ask({ op: 'reboot', reason: 'test' }).replies, [{ type: 'ok' }]);
    assert.deepEqual(left, ['reboot test']);
    assert.deepEqual(ask({ op: 'setHostname', hostname: 'node-7' }).replies, [{ type: 'ok' }]);
    assert.deepEqual(names, ['node-7']);
    const settle = { op: 'settleTrial', outcome: 'given-up', reason: 'a probe is red' };
    assert.deepEqual(ask(settle).replies, [{ type: 'ok' }]);
    assert.deepEqual(settled, ['given-up a probe is red']);
    assert.deepEqual(ask({ op: 'markBoot', step: 'api-listening' }).replies, [{ type: 'ok' }]);
    assert.equal(ledger.report().steps.at(-1)?.name, 'api-listening');
    assert.ok(machine.files.readText('/run/keel/boot-report.json').includes('api-listening'));
    assert.deepEqual(ask({ op: 'keepAlive', service: 'agent' }).replies, [{ type: 'ok' }]);
    const unknown = ask({ op: 'keepAlive', service: 'kubelet' }).replies[0];
    assert.equal(unknown?.type === 'error' && unknown.code, 'E_NOT_FOUND');
    const list = ask({ op: 'listServices' });
    assert.equal(list.replies[0]?.type, 'services');
    assert.ok(list.state.ended);
    const refused = ask({ op: 'nonsense' });
    assert.equal(refused.replies[0]?.type, 'error');
    assert.ok(refused.state.ended);
  });

  it('raises the clock forward only, within the window, and remembers it', () => {
    const { machine, ledger, ask } = talk();
    const up = { op: 'raiseClock', timeMs: START_MS + 86_400_000, source: 'operator' };
    assert.deepEqual(ask(up).replies, [{ type: 'ok' }]);
    assert.ok(machine.syscalls.calls.includes(`clock ${up.timeMs}`));
    assert.equal(ledger.report().clock.source, 'operator');
    const before = machine.syscalls.calls.length;
    assert.deepEqual(ask({ ...up, timeMs: START_MS - 1 }).replies, [{ type: 'ok' }]);
    assert.equal(machine.syscalls.calls.length, before);
    const wild = ask({ ...up, timeMs: Date.UTC(2099, 0, 1) }).replies[0];
    assert.equal(wild?.type === 'error' && wild.code, 'E_INVALID_ARGUMENT');
  });

  it('reads a log, follows it, and lets a slow reader go', () => {
    const { machine, ask } = talk();
    const events = machine.processes.started[0]?.events;
    assert.ok(events);
    events.output('stdout', Buffer.from('a\nb\nc\n'));
    const read = { op: 'readLog', service: 'agent', follow: false };
    const texts = (replies: readonly InitReply[]) =>
      replies.map((reply) => (reply.type === 'log' ? reply.line.line : reply.type));
    assert.deepEqual(texts(ask(read).replies), ['a', 'b', 'c', 'ok']);
    assert.deepEqual(texts(ask({ ...read, tailLines: 1 }).replies), ['c', 'ok']);
    const follow = ask({ ...read, follow: true, tailLines: 1 });
    const slow = ask({ ...read, follow: true, tailLines: 1 }, 2);
    events.output('stdout', Buffer.from('d\ne\n'));
    assert.deepEqual(texts(follow.replies), ['c', 'd', 'e']);
    assert.ok(!follow.state.ended);
    assert.deepEqual(texts(slow.replies), ['c', 'd']);
    assert.ok(slow.state.ended);
    follow.state.close();
    events.output('stdout', Buffer.from('f\n'));
    assert.equal(follow.replies.length, 3);
    const missing = ask({ ...read, service: 'nobody' }).replies[0];
    assert.equal(missing?.type === 'error' && missing.code, 'E_NOT_FOUND');
  });
});

describe('reaper', () => {
  it('collects orphans that died, not own children, not the living', () => {
    const machine = createFakeMachine({
      '/proc/1/task/1/children': '100 101 102 103\n',
      '/proc/100/stat': '100 (agent) Z 1 ',
      '/proc/101/stat': '101 (orphan) Z 1 ',
      '/proc/102/stat': '102 (alive) S 1 ',
    });
    createServiceRunner(machine, [AGENT]).start();
    assert.deepEqual(reapOrphans(machine), [101]);
    assert.deepEqual(machine.syscalls.calls, ['reap 101']);
  });

  it('looks at all processes where the kernel does not list children', () => {
    const machine = createFakeMachine({
      '/proc/55/stat': '55 (x) Z 1 ',
      '/proc/56/stat': '56 (x) Z 2 ',
      '/proc/meminfo': '',
    });
    assert.deepEqual(reapOrphans(machine), [55]);
  });
});
