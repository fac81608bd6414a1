import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ApplyConfigRequest } from '@keelos/proto/gen/keel/v1/config_pb.js';
import { operatorOfEachTest } from './operator.ts';

describe('osctl and the configuration', () => {
  const operator = operatorOfEachTest();
  const { given } = operator;

  it('applies a document, and shows what changes and when', async () => {
    const { requests } = await given({
      applyConfig: () => ({
        changes: [{ path: 'hostname', newJson: '"n1"', effect: 1 }],
        revision: 3n,
        rebootRequired: false,
      }),
    });
    operator.host.stdin = 'apiVersion: keel/v1\nhostname: n1\n';
    const ran = await operator.host.run(['apply', '-f', '-', '--expected-revision', '2']);
    assert.equal(ran.exitCode, 0, ran.err);
    assert.match(ran.out, /hostname +\(absent\) +"n1" +at once\n\nStored as revision 3\.\n$/);
    const request = requests[0] as ApplyConfigRequest;
    assert.deepEqual(
      [request.yaml, request.dryRun, request.expectedRevision],
      [operator.host.stdin, false, 2n],
    );
    const diff = await operator.host.run(['diff', '-f', '-']);
    assert.match(diff.out, /1 setting would change\.\n$/);
    assert.equal((requests[1] as ApplyConfigRequest).dryRun, true);
  });

  it('prints the configuration as it was written, and older revisions', async () => {
    const yaml = '# mine\napiVersion: keel/v1\n';
    await given({
      getConfig: () => ({
        yaml,
        revision: 2n,
        history: [
          { revision: 2n, yaml },
          { revision: 1n, yaml: 'old: 1\n' },
        ],
      }),
    });
    assert.equal((await operator.host.run(['get', 'config'])).out, yaml);
    assert.equal((await operator.host.run(['get', 'config', '--revision', '1'])).out, 'old: 1\n');
    const none = await operator.host.run(['get', 'config', '--revision', '9']);
    assert.equal(none.exitCode, 6);
    assert.match(none.err, /Cannot find revision 9: the node keeps the revisions 2, 1/);
    assert.match((await operator.host.run(['get', 'config', '--history'])).out, /2 +yes/);
  });

  it('validates a document without a node', async () => {
    const file = join(operator.host.folder, 'node.yaml');
    await writeFile(file, 'apiVersion: keel/v1\nhostnam: n1\n');
    const ran = await operator.host.run(['validate', '-f', file]);
    assert.equal(ran.exitCode, 5);
    assert.ok(ran.out.startsWith(`${file}:2:1: hostnam: `), ran.out);
    assert.match(ran.out, /did you mean "hostname"\?/);
    const json = JSON.parse((await operator.host.run(['validate', '-f', file, '-o', 'json'])).out);
    assert.equal(json.valid, false);
    assert.deepEqual(Object.keys(json.problems[0]), [
      ...['line', 'column', 'path', 'message', 'expected', 'suggestion'],
    ]);
    await writeFile(file, 'apiVersion: keel/v1\nhostname: n1\n');
    assert.equal((await operator.host.run(['validate', '-f', file])).exitCode, 0);
    assert.equal((await operator.host.run(['validate', '-f', `${file}.none`])).exitCode, 5);
  });
});
