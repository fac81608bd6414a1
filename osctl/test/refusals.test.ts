import assert from 'node:assert/strict';
import { KeelError } from '@keelos/proto/errors.ts';
import { freePort } from './fake-node.ts';
import { operatorOfEachTest } from './operator.ts';

const BOOTSTRAP = ['init', 'bootstrap', '--endpoint', '127.0.0.1:1', '--fingerprint'];

describe('what osctl says when it cannot do it', () => {
  const operator = operatorOfEachTest();

  it('names the commands of a group, and the help of the command that was meant', async () => {
    const group = await operator.host.run(['get']);
    assert.equal(group.exitCode, 2);
    assert.match(group.err, /hint: The commands are config, boot, .*\. See osctl get --help\.\n/);
    assert.match(
      (await operator.host.run(['init'])).err,
      /bootstrap, renew\. See osctl init --help\./,
    );
    const single = await operator.host.run(['validate']);
    assert.equal(single.exitCode, 2);
    assert.match(single.err, /hint: See osctl validate --help\.\n/);
  });

  it('says that --config names a directory, whatever its mode', async () => {
    const { host } = operator;
    const ran = await host.run(['config', 'list', '--config', host.folder]);
    assert.equal(ran.exitCode, 5);
    assert.match(
      ran.err,
      /Cannot read contexts file \S+: it is a directory\nhint: Name a file in it/,
    );
  });

  it('counts a local file that is not there as wrong input, not as missing on the node', async () => {
    const ran = await operator.host.run(['validate', '-f', '/nope']);
    assert.equal(ran.exitCode, 5);
    assert.match(ran.err, /Cannot read the configuration from \/nope: there is no such file/);
  });

  it('says once that a service does not exist, and where their names are', async () => {
    await operator.given({
      streamServiceLog: async function* () {
        await Promise.reject(
          new KeelError('E_NOT_FOUND', 'Cannot read log: there is no service x'),
        );
        yield {};
      },
    });
    const ran = await operator.host.run(['logs', 'nosuch']);
    assert.equal(ran.exitCode, 6);
    assert.equal(
      ran.err,
      'osctl: Cannot show the log of nosuch: there is no service of that name\nhint: osctl services shows the names of all services.\n',
    );
  });

  it('says which revisions there are', async () => {
    let history: object[] = [];
    await operator.given({ getConfig: () => ({ history }) });
    const args = ['get', 'config', '--revision', '99'];
    const none = await operator.host.run(args);
    assert.equal(none.exitCode, 6);
    assert.match(none.err, /Cannot find revision 99: the node keeps no revision/);
    assert.match(none.err, /hint: osctl get config without --revision/);
    history = [{ revision: 3n }];
    assert.match(
      (await operator.host.run(args)).err,
      /revision 99: the node keeps only revision 3\n/,
    );
  });

  it('shows its own release although the node does not answer', async () => {
    await operator.given({});
    const endpoint = `127.0.0.1:${await freePort()}`;
    const ran = await operator.host.run(['version', '--endpoint', endpoint, '-o', 'json']);
    assert.equal(ran.exitCode, 3);
    const data = JSON.parse(ran.out);
    assert.equal(data.client.api, 'keel.v1');
    assert.equal(data.server, null);
    assert.equal(JSON.parse(ran.err).error.code, 'E_UNREACHABLE');
  });

  it('refuses a token with a group too few here, without a try at the node', async () => {
    const ran = await operator.host.run([
      ...[...BOOTSTRAP, 'ab'.repeat(32)],
      ...['--token', 'AAAA-BBBB-CCCC-DDDD'],
    ]);
    assert.equal(ran.exitCode, 5);
    assert.match(ran.err, /Cannot use the enrolment token: it has 16 characters, expected 20/);
  });

  it('writes absent settings as null and modes as octal text', async () => {
    await operator.given({
      applyConfig: () => ({ changes: [{ path: 'hostname', oldJson: '', newJson: '"n"' }] }),
      listImageFiles: async function* () {
        yield { path: '/sbin/init', mode: 0o755 };
      },
    });
    operator.host.stdin = 'hostname: n\n';
    const diff = JSON.parse((await operator.host.run(['diff', '-f', '-', '-o', 'json'])).out);
    assert.equal(diff.changes[0].oldJson, null);
    assert.equal(diff.changes[0].newJson, '"n"');
    const files = JSON.parse((await operator.host.run(['get', 'image-files', '-o', 'json'])).out);
    assert.equal(files.files[0].mode, '0755');
  });
});
