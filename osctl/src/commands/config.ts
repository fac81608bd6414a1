/** osctl config …: the contexts */

import { readCertificate } from '../core/certificate.ts';
import {
  type Context,
  chooseContext,
  contextNames,
  withCurrent,
  withoutContext,
  withRenamed,
} from '../core/contexts.ts';
import { formatRelative, formatTime } from '../core/quantity.ts';
import { factLines, tableLines } from '../core/render.ts';
import { argument, type Command, type Group, type Invocation } from '../shell/invocation.ts';

interface ContextRow {
  readonly name: string;
  readonly current: boolean;
  readonly endpoint: string;
  readonly subject: string;
  readonly certificateExpires: string;
  readonly serverFingerprintSha256: string;
}

function rowOf(name: string, context: Context, current: boolean): ContextRow {
  const own = readCertificate(context.certificate, `the client certificate of context "${name}"`);
  const server = readCertificate(
    context.serverCertificate,
    `the server certificate of context "${name}"`,
  );
  return {
    name,
    current,
    endpoint: context.endpoint,
    subject: own.subject,
    certificateExpires: own.notAfter.toISOString(),
    serverFingerprintSha256: server.fingerprint,
  };
}

async function rows({ contexts }: Invocation): Promise<ContextRow[]> {
  const file = await contexts.load();
  return contextNames(file).map((name) =>
    rowOf(name, chooseContext(file, name).context, file.currentContext === name),
  );
}

const CONTEXT_ARGUMENT = {
  name: 'name',
  description: 'name of the context',
  completion: 'context',
} as const;

const list: Command = {
  name: 'list',
  summary: 'List the contexts',
  options: [{ flags: '--names', description: 'names only, one a line' }],
  examples: [{ command: 'osctl config list', does: 'The current one is marked with *' }],
  run: async (invocation) => {
    const found = await rows(invocation);
    const now = invocation.host.clock.now();
    const data = { contexts: found.map((row) => ({ ...row })) };
    if (invocation.options.names === true) {
      return { view: { data, lines: found.map(({ name }) => name) } };
    }
    const lines = tableLines(
      [
        { header: ' ', value: (row) => (row.current ? '*' : ' ') },
        { header: 'name', value: (row) => row.name },
        { header: 'endpoint', value: (row) => row.endpoint },
        {
          header: 'your certificate ends',
          value: (row) => formatRelative(new Date(row.certificateExpires), now),
        },
      ],
      found,
    );
    const none = ['There are no contexts yet. Make one with osctl init bootstrap.'];
    return { view: { data, lines: found.length === 0 ? none : lines } };
  },
};

const use: Command = {
  name: 'use',
  summary: 'Make a context the current one',
  arguments: [CONTEXT_ARGUMENT],
  examples: [{ command: 'osctl config use node-1', does: 'Commands now go to node-1' }],
  run: async (invocation) => {
    const name = argument(invocation, 0);
    await invocation.contexts.update((file) => withCurrent(file, name));
    return { view: { data: { currentContext: name }, lines: [`Current context: ${name}`] } };
  },
};

const show: Command = {
  name: 'show',
  summary: 'Show one context, without its key',
  arguments: [
    {
      ...CONTEXT_ARGUMENT,
      optional: true,
      description: 'name of the context; else the current one',
    },
  ],
  options: [
    {
      flags: '--raw',
      description: 'with certificates and PRIVATE KEY in PEM, for other gRPC tools',
    },
  ],
  examples: [
    { command: 'osctl config show', does: 'The current context' },
    {
      command: 'osctl config show --raw -o json | jq -r .serverCertificate > node.pem',
      does: 'The pinned certificate as a file',
    },
  ],
  run: async (invocation) => {
    const file = await invocation.contexts.load();
    const wanted = invocation.arguments[0] ?? invocation.globals.context;
    const { name, context } = chooseContext(file, wanted);
    const row = rowOf(name, context, file.currentContext === name);
    const secrets =
      invocation.options.raw === true
        ? {
            serverCertificate: context.serverCertificate,
            certificate: context.certificate,
            key: context.key,
          }
        : {};
    const lines = factLines([
      ['name', row.current ? `${name} (current)` : name],
      ['endpoint', row.endpoint],
      ['you', row.subject],
      ['your certificate ends', formatTime(new Date(row.certificateExpires))],
      ['node certificate', row.serverFingerprintSha256],
    ]);
    const pem = Object.values(secrets).flatMap((text) => text.trimEnd().split('\n'));
    return { view: { data: { ...row, ...secrets }, lines: [...lines, ...pem] } };
  },
};

const remove: Command = {
  name: 'remove',
  summary: 'Forget a context and its key',
  arguments: [CONTEXT_ARGUMENT],
  examples: [{ command: 'osctl config remove node-1', does: 'The node itself is not told' }],
  run: async (invocation) => {
    const name = argument(invocation, 0);
    await invocation.contexts.update((file) => withoutContext(file, name));
    return { view: { data: { removed: name }, lines: [`Removed context ${name}`] } };
  },
};

const rename: Command = {
  name: 'rename',
  summary: 'Give a context another name',
  arguments: [
    { ...CONTEXT_ARGUMENT, name: 'from', description: 'its name' },
    { name: 'to', description: 'its new name' },
  ],
  examples: [{ command: 'osctl config rename keel-1f0c2a9b node-1', does: 'A shorter name' }],
  run: async (invocation) => {
    const [from, to] = [argument(invocation, 0), argument(invocation, 1)];
    await invocation.contexts.update((file) => withRenamed(file, { from, to }));
    return { view: { data: { from, to }, lines: [`Renamed context ${from} to ${to}`] } };
  },
};

const path: Command = {
  name: 'path',
  summary: 'Show where the contexts file is',
  examples: [{ command: 'osctl config path', does: 'Whether it exists or not' }],
  run: async ({ contexts }) => ({
    view: { data: { path: contexts.path }, lines: [contexts.path] },
  }),
};

/** The commands. */
export const configGroup: Group = {
  name: 'config',
  summary: 'Contexts: the nodes that you manage, with your certificates',
  commands: [list, use, show, remove, rename, path],
};
