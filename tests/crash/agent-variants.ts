/**
 * The agent's own modules, as they are or with a few words of them changed. Every variant is a whole copy of the agent in
 * this process: a module that a variant imports belongs to the variant.
 */
import { registerHooks } from 'node:module';

/** A change of one module of the agent. */
export interface SourceEdit {
  /** Below ts-agent/src, for example "shell/esp.ts". */
  readonly file: string;
  /** What stands there now, exactly once. */
  readonly find: string;
  readonly replace: string;
}

/** Modules of one variant, by their paths below ts-agent/src. */
export type LoadModule = (path: string) => Promise<unknown>;

const PARAMETER = 'variant';
const AGENT_SOURCE = /\/ts-agent\/src\/(.+\.ts)$/;

interface Variant {
  readonly edits: readonly SourceEdit[];
  /** Edits whose module has been loaded. */
  readonly used: Set<SourceEdit>;
}

const variants = new Map<string, Variant>();

registerHooks({
  resolve(specifier, context, next) {
    const resolved = next(specifier, context);
    const name = variantOf(context.parentURL ?? '');
    const isAgent = AGENT_SOURCE.test(new URL(resolved.url).pathname);
    if (name === undefined || !isAgent || variantOf(resolved.url) !== undefined) return resolved;
    return { ...resolved, url: `${resolved.url}?${PARAMETER}=${name}` };
  },
  load(url, context, next) {
    const loaded = next(url, context);
    const variant = variants.get(variantOf(url) ?? '');
    const path = AGENT_SOURCE.exec(new URL(url).pathname)?.[1];
    if (variant === undefined || path === undefined || loaded.source == null) return loaded;
    const source = edited(Buffer.from(loaded.source as Uint8Array).toString('utf8'), path, variant);
    return { ...loaded, source };
  },
});

function variantOf(url: string): string | undefined {
  if (!url.startsWith('file:')) return undefined;
  return new URL(url).searchParams.get(PARAMETER) ?? undefined;
}

function edited(source: string, path: string, variant: Variant): string {
  let text = source;
  for (const edit of variant.edits.filter(({ file }) => file === path)) {
    if (text.split(edit.find).length !== 2) {
      throw new Error(`${path} does not have "${edit.find}" exactly once: the edit needs another`);
    }
    text = text.replace(edit.find, () => edit.replace);
    variant.used.add(edit);
  }
  return text;
}

/** Makes a variant; its modules are loaded when they are asked for. */
export function agentVariant(name: string, edits: readonly SourceEdit[]): LoadModule {
  const own = encodeURIComponent(name);
  variants.set(name, { edits, used: new Set() });
  return (path) => import(`${import.meta.resolve(`@keelos/ts-agent/${path}`)}?${PARAMETER}=${own}`);
}

/** Edits of a variant whose module nobody has loaded: they changed nothing. */
export function unusedEdits(name: string): readonly SourceEdit[] {
  const variant = variants.get(name);
  return variant?.edits.filter((edit) => !variant.used.has(edit)) ?? [];
}
