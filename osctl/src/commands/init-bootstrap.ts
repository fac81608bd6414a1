/** osctl init bootstrap */
import { KeelError } from '@keelos/proto/errors.ts';
import { EnrolmentService } from '@keelos/proto/gen/keel/v1/enrolment_pb.js';
import { fingerprintOf, readCertificate } from '../core/certificate.ts';
import { type Context, checkContextName, freeName, withContext } from '../core/contexts.ts';
import { type Endpoint, formatEndpoint, parseEndpoint } from '../core/endpoint.ts';
import { normaliseToken, parseFingerprint } from '../core/fingerprint.ts';
import { formatTime } from '../core/quantity.ts';
import { factLines } from '../core/render.ts';
import { handshakeError, mismatchError } from '../shell/diagnose.ts';
import { CALL_TIMEOUT_MS, type Command, type Invocation, textOption } from '../shell/invocation.ts';
import { newIdentity, validityOf } from '../shell/new-identity.ts';
import { openNodeClient } from '../shell/node-client.ts';
import { pemOf } from '../sys/channel.ts';
import { probeServer } from '../sys/tls-probe.ts';

const TOKEN_BYTES_MAX = 4096;

async function readToken(invocation: Invocation): Promise<string> {
  const token = textOption(invocation, 'token');
  const file = textOption(invocation, 'tokenFile');
  if ((token === undefined) === (file === undefined)) {
    throw new KeelError('E_USAGE', 'Cannot enrol: give the token by --token or by --token-file', {
      hint: 'The node prints it on its console as "enrolment-token". --token - reads it from standard input.',
    });
  }
  if (token !== undefined && token !== '-') return normaliseToken(token);
  const text = await invocation.host.terminal.readInput(file ?? '-', {
    sizeBytesMax: TOKEN_BYTES_MAX,
    what: 'the enrolment token',
  });
  return normaliseToken(text);
}

/** The server certificate at `endpoint` as PEM, after its fingerprint was found to be the expected one. */
async function fetchPinned(
  invocation: Invocation,
  endpoint: Endpoint,
  expected: string,
): Promise<string> {
  const timeoutMs = invocation.globals.timeoutMs ?? CALL_TIMEOUT_MS;
  const result = await probeServer(endpoint, { timeoutMs, signal: invocation.signal });
  if (result.kind !== 'server') throw handshakeError(endpoint, result);
  const found = fingerprintOf(result.certificate);
  if (found !== expected) throw mismatchError(endpoint, { expected, found });
  return pemOf(result.certificate);
}

function samePin(context: Context, fingerprint: string): boolean {
  const pinned = readCertificate(context.serverCertificate, 'a pinned server certificate');
  return pinned.fingerprint === fingerprint;
}

/**
 * Makes sure, before the token is spent, that the context can be written: its name is free (or belongs to the same
 * node), and the file can be replaced.
 */
async function prepareContexts(invocation: Invocation, fingerprint: string): Promise<void> {
  const name = invocation.globals.context;
  if (name !== undefined) checkContextName(name);
  await invocation.contexts.update((file) => {
    if (name === undefined || !Object.hasOwn(file.contexts, name)) return file;
    const present = file.contexts[name];
    const replace = invocation.options.force === true;
    if (present !== undefined && !replace && !samePin(present, fingerprint)) {
      throw new KeelError(
        'E_CONTEXT_EXISTS',
        `Cannot write context "${name}": it belongs to another node (${present.endpoint})`,
        { details: { context: name, endpoint: present.endpoint } },
      );
    }
    return file;
  });
}

async function saveContext(
  invocation: Invocation,
  { context, hostname, fingerprint }: { context: Context; hostname: string; fingerprint: string },
): Promise<string> {
  const mayReplace = (present: Context) => samePin(present, fingerprint);
  let name = '';
  await invocation.contexts.update((file) => {
    name = invocation.globals.context ?? freeName(file, { wanted: hostname, mayReplace });
    return withContext(file, { name, context, use: true });
  });
  return name;
}

async function bootstrap(invocation: Invocation) {
  const { globals, host, signal } = invocation;
  if (globals.endpoint === undefined) {
    throw new KeelError('E_USAGE', 'Cannot enrol: --endpoint is missing', {
      hint: 'Give the address that the node prints on its console.',
    });
  }
  const endpoint = parseEndpoint(globals.endpoint);
  const fingerprint = parseFingerprint(textOption(invocation, 'fingerprint') ?? '');
  validityOf(invocation);
  await prepareContexts(invocation, fingerprint);
  const token = await readToken(invocation);
  const startedMs = host.clock.monotonicMs();
  const serverCertificate = await fetchPinned(invocation, endpoint, fingerprint);
  const identity = await newIdentity(invocation);
  const { certificate, key } = identity;
  const context = { endpoint: formatEndpoint(endpoint), serverCertificate, certificate, key };
  const tookMs = host.clock.monotonicMs() - startedMs;
  const timeoutMs = Math.max(1, (globals.timeoutMs ?? CALL_TIMEOUT_MS) - tookMs);
  const client = openNodeClient({
    endpoint,
    identity: context,
    clock: host.clock,
    timeoutMs,
    signal,
  });
  try {
    const answer = await client.call(EnrolmentService.method.enrol, { token });
    const { hostname, machineId } = answer;
    const name = await saveContext(invocation, { context, hostname, fingerprint });
    const data = {
      context: name,
      endpoint: context.endpoint,
      hostname,
      machineId,
      fingerprintSha256: answer.fingerprintSha256,
      certificateExpires: identity.notAfter.toISOString(),
      contextsFile: invocation.contexts.path,
    };
    const lines = factLines([
      ['enrolled on', `${hostname} (${context.endpoint})`],
      ['context', `${name}, now the current one`],
      ['your certificate', `${answer.fingerprintSha256}`],
      ['', `expires ${formatTime(identity.notAfter)}; renew it before with osctl init renew`],
    ]);
    return { view: { data, lines } };
  } finally {
    client.close();
  }
}

/** The command. */
export const bootstrapCommand: Command = {
  name: 'bootstrap',
  summary: 'Enrol yourself on a node with the one-time token from its console',
  description:
    "Compares the node's certificate with --fingerprint before anything secret is sent, makes your key and certificate here, enrols the certificate, and writes a context (named after the node unless --context is given). The key never leaves this machine but into the contexts file.",
  options: [
    {
      flags: '--fingerprint <sha256>',
      description: 'certificate-sha256 from the console; colons and letter case do not matter',
      required: true,
      completion: 'none',
    },
    {
      flags: '--token <token>',
      description:
        'enrolment-token from the console, or - for standard input (others on this machine can see a command line)',
      completion: 'none',
    },
    { flags: '--token-file <path>', description: 'file with the token', completion: 'file' },
    {
      flags: '--validity <duration>',
      description: 'life of your certificate, 10m to 24h (default: 24h)',
      completion: 'none',
    },
    {
      flags: '--force',
      description: 'replace a context of that name that belongs to another node',
    },
  ],
  examples: [
    {
      command:
        'osctl init bootstrap --endpoint 127.0.0.1:50051 --fingerprint FINGERPRINT --token TOKEN',
      does: 'With the values from the console',
    },
  ],
  run: bootstrap,
};
