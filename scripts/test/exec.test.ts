import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { missingTools } from '../lib/apt.mjs';
import { parseIndexTargets, renderSources } from '../lib/debian.mjs';
import { exec } from '../lib/exec.mjs';
import { createProgress, formatSeconds } from '../lib/progress.mjs';

describe('exec', () => {
  it('returns both streams and passes input, environment and directory', async () => {
    const script = 'cat; printf "$A" >&2; pwd';
    const { stdout, stderr } = await exec('sh', ['-c', script], {
      input: 'in\n',
      env: { A: 'b' },
      cwd: '/',
    });
    assert.deepEqual([stdout, stderr], ['in\n/\n', 'b']);
  });

  it('takes a name out of the environment', async () => {
    const { stdout } = await exec('sh', ['-c', 'echo "[$HOME]"'], { env: { HOME: undefined } });
    assert.equal(stdout, '[]\n');
  });

  it('fails with the status, the last lines and the log', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'keel-exec-'));
    try {
      const logFile = join(folder, 'log');
      const run = exec('sh', ['-c', 'seq 100; echo worse >&2; exit 3'], { logFile });
      await assert.rejects(run, (error: Error) => {
        assert.match(error.message, /exit status 3/);
        assert.match(error.message, /\| worse/);
        assert.ok(error.message.includes(logFile));
        return true;
      });
      assert.match(await readFile(logFile, 'utf8'), /^\$ sh -c .*\n(.|\n)*99\n100\n/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('stops what runs too long, what writes too much, and what is no longer wanted', async () => {
    await assert.rejects(exec('sleep', ['60'], { timeoutMs: 50 }), /still running after 50 ms/);
    await assert.rejects(exec('cat', ['/dev/zero']), /wrote more than/);
    const signal = AbortSignal.timeout(50);
    await assert.rejects(exec('sleep', ['60'], { signal }), /stopped on request/);
    await assert.rejects(exec('sleep', ['60'], { signal }), /stopped on request/);
  });

  it('lets what runs too long clean up, and kills it when it does not end then', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'keel-late-'));
    try {
      const script = `trap 'touch cleaned; kill $!; exit 0' TERM; sleep 60 & wait`;
      const late = exec('sh', ['-c', script], { cwd: folder, timeoutMs: 300 });
      await assert.rejects(late, /still running after 300 ms/);
      assert.ok(existsSync(join(folder, 'cleaned')));
    } finally {
      await rm(folder, { recursive: true });
    }
    const stubborn = `trap '' TERM; while :; do sleep 1; done`;
    const killed = exec('sh', ['-c', stubborn], { timeoutMs: 300, graceMs: 100 });
    await assert.rejects(killed, /still running after 300 ms/);
  });

  it('shows the output of a command where its own goes, and names the command that failed', async () => {
    const module = resolve(import.meta.dirname, '../lib/exec.mjs');
    const script = `import { exec } from ${JSON.stringify(module)};
      const options = { show: true };
      await exec('sh', ['-c', 'echo out; echo err >&2'], options);
      await exec('sh', ['-c', 'exit 4'], options).catch(({ message }) => console.log(message));`;
    const { stdout, stderr } = await exec(process.execPath, [
      ...['--input-type=module', '--eval', script],
    ]);
    assert.equal(
      stdout,
      'out\nCommand failed (exit status 4): sh -c exit 4\n(its output is above)\n',
    );
    assert.equal(stderr, 'err\n');
  });

  it('takes any exit status for an answer when asked to, but no command that it had to stop', async () => {
    const options = { anyExit: true };
    const ended = await exec('sh', ['-c', 'echo out; echo err >&2; exit 3'], options);
    assert.deepEqual(ended, { exitCode: 3, stdout: 'out\n', stderr: 'err\n' });
    assert.equal((await exec('sh', ['-c', 'kill -9 $$'], options)).exitCode, -1);
    const late = exec('sleep', ['60'], { ...options, timeoutMs: 50 });
    await assert.rejects(late, /still running after 50 ms/);
  });

  it('says that a command does not exist', async () => {
    await assert.rejects(exec('no-such-command', []), /Cannot run no-such-command/);
  });
});

describe('progress', () => {
  it('says start, state and end of a step, and keeps the time', async () => {
    const lines: string[] = [];
    let nowMs = 0;
    const progress = createProgress({
      write: (line) => void lines.push(line),
      nowMs: () => nowMs,
      intervalMs: 1,
    });
    const result = await progress.step('bake', { estimateSeconds: 90 }, async ({ detail }) => {
      detail('half done');
      nowMs = 61_000;
      while (lines.length < 2) await new Promise((done) => setTimeout(done, 1));
      return 7;
    });
    assert.equal(result, 7);
    assert.equal(lines[0], '> bake (about 1 min 30 s)');
    assert.equal(lines[1], '  bake: half done, 1 min 01 s of about 1 min 30 s');
    assert.equal(lines.at(-1), '+ bake: done after 1 min 01 s');
    assert.deepEqual(progress.timings, [{ title: 'bake', seconds: 61, ok: true }]);
  });

  it('says that a step failed, and passes the error on', async () => {
    const lines: string[] = [];
    const progress = createProgress({ json: true, write: (line) => void lines.push(line) });
    const run = progress.step('burn', {}, () => Promise.reject(new Error('hot')));
    await assert.rejects(run, /hot/);
    assert.equal(JSON.parse(lines.at(-1) ?? '').event, 'failed');
    assert.equal(progress.timings[0]?.ok, false);
  });

  it('writes durations for people', () => {
    assert.deepEqual([0.4, 59.6, 125].map(formatSeconds), ['0 s', '1 min 00 s', '2 min 05 s']);
  });
});

describe('missingTools', () => {
  it('finds the commands and files that are not there', () => {
    const tool = { package: 'p', why: 'w' };
    const missing = missingTools([
      { ...tool, command: 'sh' },
      { ...tool, command: 'no-such-command' },
      { ...tool, file: '/etc/passwd' },
      { ...tool, file: '/no/such/file' },
    ]);
    assert.deepEqual(
      missing.map(({ command, file }) => command ?? file),
      ['no-such-command', '/no/such/file'],
    );
    assert.throws(() => missingTools([tool]), TypeError);
  });
});

describe('the sources of a second suite', () => {
  const targets = (label: string, security: string) =>
    parseIndexTargets(
      `http://mirror/debian/|bookworm|main|${label}\n` +
        `http://mirror/debian/|bookworm-updates|main|${label}\n` +
        `http://mirror/debian-security/|bookworm-security|main|${security}\n` +
        'http://elsewhere/tools|stable|main|Tools\n\n',
    );
  const wanted =
    'Types: deb\nURIs: http://mirror/debian/\nSuites: trixie trixie-updates\nComponents: main\nSigned-By: /k\n\n' +
    'Types: deb\nURIs: http://mirror/debian-security/\nSuites: trixie-security\nComponents: main\nSigned-By: /k\n';

  it("use the machine's mirrors and nobody else's", () => {
    const known = targets('Debian', 'Debian-Security');
    assert.equal(renderSources(known, 'trixie', '/k'), wanted);
  });

  it('are found by their paths when no lists have been downloaded', () => {
    const bare = targets('$(LABEL)', '$(LABEL)');
    assert.equal(renderSources(bare, 'trixie', '/k'), wanted);
  });

  it('are an error when the machine uses no Debian mirror', () => {
    assert.throws(() => renderSources([], 'trixie', undefined), /Cannot find a Debian mirror/);
  });
});
