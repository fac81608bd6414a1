import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ERRORS, ExitCode } from '@keelos/proto/errors.ts';
import { apiPage } from '@keelos/proto/pages/api-page.ts';
import { errorsPage } from '@keelos/proto/pages/errors-page.ts';
import { nodeConfigPage, nodeConfigSchemaFile } from '@keelos/proto/pages/node-config-page.ts';
import { buildApi, CHECKOUT } from '@keelos/proto/tools/buf.ts';

/** Targets of links inside a page that have no heading there. */
function deadLinks(page: string): string[] {
  const headings = new Set(
    [...page.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
      title.toLowerCase().replaceAll(' ', '-'),
    ),
  );
  return [...page.matchAll(/\]\(#([^)]*)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !headings.has(target));
}

describe('reference pages', () => {
  it('have every service, method, message, field and enum of the API, each with its meaning', async () => {
    const api = await buildApi();
    const page = apiPage(api);
    const own = api.file.filter((file) => file.package === 'keel.v1');
    assert(own.length >= 7);
    for (const file of own) {
      for (const { name } of [
        ...(file.messageType ?? []),
        ...(file.enumType ?? []),
        ...(file.service ?? []),
      ]) {
        assert.match(page, new RegExp(`^### ${name}\n\n(?=\\S)`, 'm'));
      }
      const rows = [
        ...(file.messageType ?? []).flatMap((message) => message.field ?? []),
        ...(file.enumType ?? []).flatMap((type) => type.value ?? []),
        ...(file.service ?? []).flatMap((service) => service.method ?? []),
      ];
      for (const { name } of rows)
        assert.match(page, new RegExp(`^\\| \`${name}\` \\| .* \\| \\S.* \\|$`, 'm'));
    }
    assert.deepEqual(deadLinks(page), []);
  });

  it('tell lists, maps, optional fields and streams apart', async () => {
    const page = apiPage(await buildApi());
    for (const row of [
      '| `details` | 3 | map of string to string |',
      '| `history` | 3 | list of [ConfigRevision](#configrevision) |',
      '| `expected_revision` | 3 | optional uint64 |',
      '| `time` | 2 | `google.protobuf.Timestamp` |',
      '| [StreamKernelLogRequest](#streamkernellogrequest) | stream of [StreamKernelLogResponse](#streamkernellogresponse) |',
    ]) {
      assert(page.includes(row), row);
    }
  });

  it('have every error and exit code', () => {
    const page = errorsPage();
    for (const code of Object.keys(ERRORS)) assert(page.includes(`\n### ${code}\n`), code);
    for (const [name, number] of Object.entries(ExitCode))
      assert(page.includes(`| ${number} | ${name} |`), name);
    assert.deepEqual(deadLinks(page), []);
  });

  it('show the example of the node configuration, every setting, and its schema', async () => {
    const example = await readFile(join(CHECKOUT, 'proto/examples/node.yaml'), 'utf8');
    const page = nodeConfigPage(example);
    assert(page.includes(example.trim()));
    for (const setting of [
      'hostname',
      'network.interfaces[].gateways[]',
      'enrolment.consoleToken',
    ]) {
      assert(page.includes(`| \`${setting}\` |`), setting);
    }
    const schema = JSON.parse(nodeConfigSchemaFile());
    assert.deepEqual(schema.required, ['apiVersion']);
    assert.deepEqual(schema.properties.network.properties.interfaces.items.required, [
      'name',
      'addresses',
    ]);
  });
});
