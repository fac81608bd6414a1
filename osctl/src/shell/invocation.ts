/** What a command gets and what it gives back. */
import type { KeelError } from '@keelos/proto/errors.ts';
import { type CertificateFacts, expiryWarning, readCertificate } from '../core/certificate.ts';
import type { CommandSpec, GroupSpec } from '../core/command-spec.ts';
import { chooseContext } from '../core/contexts.ts';
import { type Endpoint, parseEndpoint } from '../core/endpoint.ts';
import { warningText } from '../core/failure.ts';
import { type OutputFormat, printable, renderElement, type View } from '../core/render.ts';
import type { ContextStore } from '../sys/context-store.ts';
import type { Host } from '../sys/host.ts';
import { type NodeClient, openNodeClient } from './node-client.ts';

/** Values of the global options. */
export interface GlobalValues {
  readonly output: OutputFormat;
  readonly context?: string;
  readonly endpoint?: string;
  readonly timeoutMs?: number;
}

/** Values of a command's own options by their key: text, number (kind "count") or true. */
export type OptionValues = Readonly<Record<string, string | number | boolean | undefined>>;

/** One run of one command. */
export interface Invocation {
  readonly arguments: readonly string[];
  readonly options: OptionValues;
  readonly globals: GlobalValues;
  readonly host: Host;
  readonly contexts: ContextStore;
  /** Aborted by Ctrl-C; its reason is a KeelError E_CANCELLED. */
  readonly signal: AbortSignal;
}

/** What a command ends with. */
export interface Outcome {
  readonly view?: View;
  /** An error that is reported after the view was printed. */
  readonly failure?: KeelError;
}

/** The body of a command. */
export type Run = (invocation: Invocation) => Promise<Outcome>;
/** A command of osctl. */
export type Command = CommandSpec<Run>;
/** A group of commands of osctl. */
export type Group = GroupSpec<Run>;

/** Time for one call unless --timeout says otherwise, in milliseconds. */
export const CALL_TIMEOUT_MS = 30_000;
/** Time for a --wait unless --timeout says otherwise, in milliseconds. */
export const WAIT_TIMEOUT_MS = 10 * 60_000;

/** A node that a command may call. */
export interface NodeSession {
  readonly contextName: string;
  readonly endpoint: Endpoint;
  readonly certificate: CertificateFacts;
  readonly client: NodeClient;
  /** PEM of the pinned server certificate. */
  readonly serverCertificate: string;
  /** A further client whose calls have at most `timeoutMs`; the caller closes it. */
  reopen(timeoutMs: number): NodeClient;
}

/** Prints a warning on stderr. */
export function warn({ host, globals }: Invocation, message: string): void {
  host.terminal.err(warningText(message, globals.output));
}

/** Tells a person on stderr what a wait is waiting for; programs are not told. */
export function tellWaiting({ host, globals }: Invocation, seen: string): void {
  if (globals.output === 'table') host.terminal.err(`waiting: ${printable(seen)}\n`);
}

/** Prints one element of a stream. */
export async function emit({ host, globals }: Invocation, view: View): Promise<void> {
  await host.terminal.out(renderElement(view, globals.output));
}

/** The value of a text option; undefined when it was not given. */
export function textOption({ options }: Invocation, key: string): string | undefined {
  const value = options[key];
  return typeof value === 'string' ? value : undefined;
}

/** The value of a count option; undefined when it was not given. */
export function countOption({ options }: Invocation, key: string): number | undefined {
  const value = options[key];
  return typeof value === 'number' ? value : undefined;
}

/** The positional argument at `index`, which the parser has found to be there. */
export function argument(invocation: Invocation, index: number): string {
  const value = invocation.arguments[index];
  if (value === undefined) throw new TypeError(`no argument ${index}`);
  return value;
}

/**
 * Runs `use` with a client for the chosen context, and closes it. Warns when the client certificate ends soon.
 *
 * @throws KeelError E_CONTEXT_MISSING, E_CONTEXT_FILE, and what the calls throw
 */
export async function withNode<T>(
  invocation: Invocation,
  use: (session: NodeSession) => Promise<T>,
): Promise<T> {
  const { globals, host, contexts, signal } = invocation;
  const { name, context } = chooseContext(await contexts.load(), globals.context);
  const endpoint = parseEndpoint(globals.endpoint ?? context.endpoint);
  const certificate = readCertificate(
    context.certificate,
    `the client certificate of context "${name}"`,
  );
  const warning = expiryWarning(certificate, host.clock.now());
  if (warning !== undefined) warn(invocation, warning);
  const reopen = (timeoutMs: number) =>
    openNodeClient({ endpoint, identity: context, clock: host.clock, timeoutMs, signal });
  const client = reopen(globals.timeoutMs ?? CALL_TIMEOUT_MS);
  try {
    const { serverCertificate } = context;
    return await use({
      contextName: name,
      endpoint,
      certificate,
      client,
      serverCertificate,
      reopen,
    });
  } finally {
    client.close();
  }
}
