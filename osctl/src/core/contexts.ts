/** The contexts file: which nodes this operator manages. Everything here is pure: nothing is written to the disk. */
import { KeelError } from '@keelos/proto/errors.ts';
import { parse, stringify } from 'yaml';

/** One node with what it takes to talk to it. */
export interface Context {
  /** HOST:PORT. */
  readonly endpoint: string;
  /** The pinned server certificate, PEM. */
  readonly serverCertificate: string;
  /** The operator's client certificate, PEM. */
  readonly certificate: string;
  /** The operator's private key, PEM (PKCS #8). Secret. */
  readonly key: string;
}

/** The whole file. */
export interface ContextsFile {
  /** Name of the context that is used when none is named. */
  readonly currentContext?: string;
  readonly contexts: Readonly<Record<string, Context>>;
}

/** A file with no context. */
export const NO_CONTEXTS: ContextsFile = { contexts: {} };
/** Largest contexts file, in bytes. */
export const CONTEXTS_BYTES_MAX = 4 * 1024 * 1024;

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const FIELDS = ['endpoint', 'serverCertificate', 'certificate', 'key'] as const;
const HEADER = '# Contexts of osctl. Holds private keys: keep the mode at 0600.\n';

/**
 * `name`, when it may be the name of a context.
 *
 * @throws KeelError E_USAGE when not.
 */
export function checkContextName(name: string): string {
  if (NAME.test(name) && name !== '__proto__') return name;
  throw new KeelError('E_USAGE', `Cannot use context name "${name}": it has other characters`, {
    hint: 'Use letters, digits, dots, dashes and underscores, at most 63, a letter or digit first.',
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseContext(value: unknown, refuse: (reason: string) => KeelError): Context {
  if (!isRecord(value)) throw refuse('is not a mapping');
  for (const field of FIELDS) {
    if (typeof value[field] !== 'string') throw refuse(`has no ${field}`);
  }
  const { endpoint, serverCertificate, certificate, key } = value as Record<string, string>;
  return {
    endpoint: endpoint ?? '',
    serverCertificate: serverCertificate ?? '',
    certificate: certificate ?? '',
    key: key ?? '',
  };
}

/**
 * Reads a contexts file; unknown fields are dropped. `path` is for messages only.
 *
 * @throws KeelError E_CONTEXT_FILE when it is not one.
 */
export function parseContexts(text: string, path: string): ContextsFile {
  const refuse = (reason: string, cause?: unknown) =>
    new KeelError('E_CONTEXT_FILE', `Cannot read contexts file ${path}: ${reason}`, {
      cause,
      details: { path },
    });
  let value: unknown;
  try {
    value = parse(text);
  } catch (cause) {
    throw refuse(`not YAML: ${String((cause as Error).message).split('\n')[0]}`, cause);
  }
  if (value === null || value === undefined) return NO_CONTEXTS;
  if (!isRecord(value)) throw refuse('it is not a mapping');
  const { currentContext, contexts = {} } = value;
  if (!isRecord(contexts)) throw refuse('contexts is not a mapping');
  if (currentContext !== undefined && typeof currentContext !== 'string') {
    throw refuse('currentContext is not text');
  }
  const parsed: Record<string, Context> = {};
  for (const [name, context] of Object.entries(contexts)) {
    if (!NAME.test(name)) throw refuse(`"${name}" is not a name of a context`);
    parsed[name] = parseContext(context, (reason) => refuse(`context "${name}" ${reason}`));
  }
  return { ...(currentContext === undefined ? {} : { currentContext }), contexts: parsed };
}

/** Text of the file; {@link parseContexts} reads it back. */
export function serialiseContexts(file: ContextsFile): string {
  return HEADER + stringify(file, { lineWidth: 0 });
}

/** Names, sorted. */
export function contextNames(file: ContextsFile): string[] {
  return Object.keys(file.contexts).sort();
}

function missing(file: ContextsFile, name: string): KeelError {
  const names = contextNames(file);
  const known = names.length === 0 ? 'there are no contexts yet' : `there is ${names.join(', ')}`;
  return new KeelError('E_CONTEXT_MISSING', `Cannot find context "${name}": ${known}`);
}

/**
 * The context of that name, or the current one when `name` is undefined.
 *
 * @throws KeelError E_CONTEXT_MISSING when there is none.
 */
export function chooseContext(
  file: ContextsFile,
  name: string | undefined,
): { readonly name: string; readonly context: Context } {
  const chosen = name ?? file.currentContext;
  if (chosen === undefined) {
    const names = contextNames(file);
    throw new KeelError(
      'E_CONTEXT_MISSING',
      names.length === 0
        ? 'Cannot choose a node: there are no contexts yet'
        : `Cannot choose a node: no context is current (there is ${names.join(', ')})`,
      names.length === 0
        ? { hint: 'Enrol with osctl init bootstrap; the node prints what it takes on its console.' }
        : { hint: 'Choose one with osctl config use NAME, or give --context NAME.' },
    );
  }
  const context = Object.hasOwn(file.contexts, chosen) ? file.contexts[chosen] : undefined;
  if (context === undefined) throw missing(file, chosen);
  return { name: chosen, context };
}

/** `file` with `context` under `name`, made current when asked. Does not write to the disk. */
export function withContext(
  file: ContextsFile,
  { name, context, use }: { name: string; context: Context; use: boolean },
): ContextsFile {
  const current = use ? name : file.currentContext;
  return {
    ...(current === undefined ? {} : { currentContext: current }),
    contexts: { ...file.contexts, [checkContextName(name)]: context },
  };
}

/**
 * `file` with `name` as the current context. Does not write to the disk.
 *
 * @throws KeelError E_CONTEXT_MISSING
 */
export function withCurrent(file: ContextsFile, name: string): ContextsFile {
  chooseContext(file, name);
  return { ...file, currentContext: name };
}

/**
 * `file` without context `name`; when it was current, none is. Does not write to the disk.
 *
 * @throws KeelError E_CONTEXT_MISSING
 */
export function withoutContext(file: ContextsFile, name: string): ContextsFile {
  chooseContext(file, name);
  const contexts = Object.fromEntries(
    Object.entries(file.contexts).filter(([other]) => other !== name),
  );
  const current = file.currentContext === name ? undefined : file.currentContext;
  return { ...(current === undefined ? {} : { currentContext: current }), contexts };
}

/**
 * `file` with context `from` called `to`. Does not write to the disk.
 *
 * @throws KeelError E_CONTEXT_MISSING, E_CONTEXT_EXISTS
 */
export function withRenamed(
  file: ContextsFile,
  { from, to }: { from: string; to: string },
): ContextsFile {
  const { context } = chooseContext(file, from);
  if (Object.hasOwn(file.contexts, to)) {
    throw new KeelError(
      'E_CONTEXT_EXISTS',
      `Cannot rename context "${from}": there is a "${to}" already`,
      { hint: `Remove it first with osctl config remove ${to}, or choose another name.` },
    );
  }
  const use = file.currentContext === from;
  return withContext(withoutContext(file, from), { name: to, context, use });
}

/** The first of `wanted`, `wanted-2`, `wanted-3` … that is no context yet or for which `mayReplace` holds. */
export function freeName(
  file: ContextsFile,
  { wanted, mayReplace }: { wanted: string; mayReplace: (context: Context) => boolean },
): string {
  const base = NAME.test(wanted) ? wanted : 'node';
  const taken = Object.keys(file.contexts).length;
  for (let number = 1; number <= taken + 1; number += 1) {
    const name = number === 1 ? base : `${base.slice(0, 50)}-${number}`;
    const present = Object.hasOwn(file.contexts, name) ? file.contexts[name] : undefined;
    if (present === undefined || mayReplace(present)) return name;
  }
  throw new RangeError('more names tried than contexts exist');
}
