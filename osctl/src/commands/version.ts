/** osctl version */
import { KeelError } from '@keelos/proto/errors.ts';
import {
  type GetVersionResponse,
  GetVersionResponseSchema,
  SystemService,
} from '@keelos/proto/gen/keel/v1/system_pb.js';
import packageJson from '../../package.json' with { type: 'json' };
import { toPlain } from '../core/plain.ts';
import { factLines } from '../core/render.ts';
import { CLIENT_API, skewWarning } from '../core/version-skew.ts';
import { type Command, warn, withNode } from '../shell/invocation.ts';

/** Release of this osctl. */
export const CLIENT_VERSION = packageJson.version;

function clientData() {
  return { version: CLIENT_VERSION, api: CLIENT_API, node: process.versions.node };
}

/** The command. */
export const versionCommand: Command = {
  name: 'version',
  summary: 'Show the release of osctl and of the node',
  description: 'Warns when the two are more than one minor release apart.',
  options: [{ flags: '--client', description: 'show only osctl itself; no node is called' }],
  examples: [
    { command: 'osctl version', does: 'Both releases' },
    { command: 'osctl version --client -o json', does: 'Only this program, for scripts' },
  ],
  run: async (invocation) => {
    const client = clientData();
    const clientLine: [string, string] = ['osctl', `${client.version} (API ${client.api})`];
    const clientView = {
      data: { client, server: null, skew: null },
      lines: factLines([clientLine]),
    };
    if (invocation.options.client === true) {
      return { view: clientView };
    }
    return await withNode(invocation, async ({ client: node }) => {
      let server: GetVersionResponse;
      try {
        server = await node.call(SystemService.method.getVersion, {});
      } catch (error) {
        // A node that does not answer is no reason to keep back what is known here.
        if (!(error instanceof KeelError)) throw error;
        return { view: clientView, failure: error };
      }
      const skew = skewWarning(client.version, server) ?? null;
      if (skew !== null) warn(invocation, skew);
      const data = { client, server: toPlain(GetVersionResponseSchema, server), skew };
      const lines = factLines([
        clientLine,
        ['node', `${server.version} (API ${server.api}, ${server.arch})`],
        ['kernel', server.kernel],
        ['node.js', server.node],
      ]);
      return { view: { data, lines } };
    });
  },
};
