/**
 * Reads one YAML document from an untrusted author: a plain value, and the place of everything in it.
 *
 * Only the plain part of YAML 1.2 is read: mappings with text keys, lists, and scalars of the core schema. Anchors,
 * aliases, tags, directives and further documents are refused, so a document is never larger than it looks.
 */
import type { CST, ParsedNode } from 'yaml';
import { Composer, isMap, isScalar, isSeq, Lexer, LineCounter, Parser } from 'yaml';
import type { ConfigPath, ConfigProblem, PathProblem } from './config-problem.ts';
import { PROBLEMS_MAX, pathText, quoted } from './config-problem.ts';
import { DOCUMENT_BYTES_MAX } from './stored-config.ts';

/**
 * Most lexical pieces (names, punctuation, spaces, line ends). The parser takes time with the square of their number
 * for some malformed documents: without this bound 262,144 quotation marks keep it busy for minutes.
 */
export const YAML_PIECES_MAX = 8_192;
/** Deepest nesting of mappings and lists. */
export const YAML_DEPTH_MAX = 16;

/** A document that was read. */
export interface YamlDocument {
  readonly value: unknown;
  /** Gives problems their line and column. */
  locate(problem: PathProblem): ConfigProblem;
}

/** What came out of reading: `document` is there when the text could be understood, with or without problems. */
export interface YamlReading {
  readonly document?: YamlDocument;
  readonly problems: readonly ConfigProblem[];
}

/** Reads `text`. Never throws for any text. */
export function readYamlDocument(text: string): YamlReading {
  const places = new Places(text);
  const refused = [...refuseText(text, places), ...refuseComplexity(text, places)];
  if (refused.length > 0) return { problems: refused };
  const tokens = [...new Parser(places.addLine).parse(text)];
  const features = refuseFeatures(tokens, places);
  if (features.length > 0) return { problems: features };
  // Duplicate keys are found below, with the line of the first one.
  const composer = new Composer({ prettyErrors: false, uniqueKeys: false, version: '1.2' });
  const [document] = [...composer.compose(tokens, true, text.length)];
  const faults = [...(document?.errors ?? []), ...(document?.warnings ?? [])].map((fault) =>
    places.problem(fault.pos[0], { message: fault.message, expected: 'a YAML 1.2 document' }),
  );
  if (faults.length > 0) return { problems: faults.slice(0, PROBLEMS_MAX) };
  const problems: ConfigProblem[] = [];
  const value = readNode(document?.contents ?? null, [], { places, problems });
  return {
    document: { value, locate: (problem) => places.locate(problem) },
    problems: problems.slice(0, PROBLEMS_MAX),
  };
}

interface Finding {
  readonly path?: ConfigPath;
  readonly message: string;
  readonly expected: string;
  readonly suggestion?: string;
}

/** Where keys and values begin. */
class Places {
  readonly #text: string;
  readonly #lines = new LineCounter();
  readonly #keys = new Map<string, number>();
  readonly #values = new Map<string, number>();

  constructor(text: string) {
    this.#text = text;
  }

  readonly addLine = (offset: number): void => {
    this.#lines.addNewLine(offset);
  };

  setKey(path: ConfigPath, offset: number): void {
    this.#keys.set(JSON.stringify(path), offset);
  }

  setValue(path: ConfigPath, offset: number): void {
    this.#values.set(JSON.stringify(path), offset);
  }

  problem(offset: number, finding: Finding): ConfigProblem {
    const { path = [], ...rest } = finding;
    const { line, col } = this.#lines.linePos(offset);
    if (line === 0) return { line: 1, column: offset + 1, path: pathText(path), ...rest };
    const lineStart = offset - (col - 1);
    const column = [...this.#text.slice(lineStart, offset)].length + 1;
    return { line, column, path: pathText(path), ...rest };
  }

  locate(problem: PathProblem): ConfigProblem {
    const { path, atKey = false, ...rest } = problem;
    return this.problem(this.#offset(path, atKey), { path, ...rest });
  }

  /** Offset of the key or value at `path`, else of the nearest thing around it that is in the text. */
  #offset(path: ConfigPath, atKey: boolean): number {
    for (let length = path.length; length >= 0; length--) {
      const key = JSON.stringify(path.slice(0, length));
      const whole = length === path.length;
      const offset =
        whole && !atKey ? this.#values.get(key) : (this.#keys.get(key) ?? this.#values.get(key));
      if (offset !== undefined) return offset;
    }
    return 0;
  }
}

// Everything that YAML 1.2 section 5.1 does not count as printable, and halves of surrogate pairs.
const UNPRINTABLE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

function refuseText(text: string, places: Places): ConfigProblem[] {
  // A string has at most three bytes of UTF-8 for each unit: no need to encode what is far too long.
  const sizeBytes = text.length > DOCUMENT_BYTES_MAX ? text.length : Buffer.byteLength(text);
  if (sizeBytes > DOCUMENT_BYTES_MAX) {
    return [
      places.problem(0, {
        message: `the document has ${sizeBytes} bytes or more`,
        expected: `at most ${DOCUMENT_BYTES_MAX} bytes`,
      }),
    ];
  }
  if (text.search(UNPRINTABLE) === -1) return [];
  places.addLine(0);
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1))
    places.addLine(at + 1);
  const problems: ConfigProblem[] = [];
  for (const match of text.matchAll(UNPRINTABLE)) {
    if (problems.length === PROBLEMS_MAX) break;
    const code = match[0].charCodeAt(0).toString(16).padStart(4, '0');
    problems.push(
      places.problem(match.index, {
        message: `the character U+${code.toUpperCase()} cannot be in a document`,
        expected: 'printable text in UTF-8',
      }),
    );
  }
  return problems;
}

/** Counts pieces with the lexer, which reads on only as far as it is asked to. */
function refuseComplexity(text: string, places: Places): ConfigProblem[] {
  if (text.length > DOCUMENT_BYTES_MAX) return [];
  let pieces = 0;
  for (const _ of new Lexer().lex(text)) {
    pieces += 1;
    if (pieces <= YAML_PIECES_MAX) continue;
    return [
      places.problem(0, {
        message: 'the document has too many parts',
        expected: `at most ${YAML_PIECES_MAX} names, values, comments, signs and line ends`,
      }),
    ];
  }
  return [];
}

const REFUSED_TOKENS: Readonly<Record<string, string>> = {
  anchor: 'an anchor (&…)',
  alias: 'an alias (*…)',
  tag: 'a tag (!…)',
  directive: 'a directive (%…)',
};

/** Looks through the tokens without recursion: a document may be nested as deep as it is long. */
function refuseFeatures(tokens: readonly CST.Token[], places: Places): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  let documents = 0;
  const pending: { readonly token: CST.Token; readonly depth: number }[] = tokens
    .map((token) => ({ token, depth: 0 }))
    .reverse();
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { token, depth } = next;
    const refused = REFUSED_TOKENS[token.type];
    if (refused !== undefined) {
      problems.push(
        places.problem(token.offset, {
          message: `${refused} is not allowed`,
          expected: 'plain mappings, lists and values, each written out',
        }),
      );
    }
    if (token.type === 'document' && ++documents === 2) {
      problems.push(
        places.problem(token.offset, {
          message: 'a second document begins',
          expected: 'one document',
        }),
      );
    }
    const collection = 'items' in token;
    if (collection && depth === YAML_DEPTH_MAX) {
      problems.push(
        places.problem(token.offset, {
          message: 'the nesting is too deep',
          expected: `at most ${YAML_DEPTH_MAX} levels`,
        }),
      );
      break;
    }
    if (problems.length >= PROBLEMS_MAX) break;
    const childDepth = collection ? depth + 1 : depth;
    for (const child of childrenOf(token).reverse())
      pending.push({ token: child, depth: childDepth });
  }
  return problems.slice(0, PROBLEMS_MAX);
}

/** Tokens inside a token, in the order of the text. */
function childrenOf(token: CST.Token): CST.Token[] {
  const parts: (CST.Token | null | undefined | readonly CST.Token[])[] = [];
  if ('start' in token && Array.isArray(token.start)) parts.push(token.start);
  if ('props' in token) parts.push(token.props);
  if ('items' in token) {
    for (const item of token.items) parts.push(item.start, item.key, item.sep, item.value);
  }
  if ('value' in token) parts.push(token.value);
  if ('end' in token && Array.isArray(token.end)) parts.push(token.end);
  return parts.flat().filter((part) => part !== null && part !== undefined);
}

interface Reader {
  readonly places: Places;
  readonly problems: ConfigProblem[];
}

function readNode(node: ParsedNode | null, path: ConfigPath, reader: Reader): unknown {
  if (node === null) return null;
  reader.places.setValue(path, node.range[0]);
  if (isScalar(node)) return node.value ?? null;
  if (isSeq(node)) {
    return node.items.map((item, index) => readNode(item as ParsedNode, [...path, index], reader));
  }
  if (!isMap(node)) return null;
  // No prototype: a key "__proto__" is a key like any other.
  const result: Record<string, unknown> = Object.create(null);
  const firstLines = new Map<string, number>();
  for (const pair of node.items) {
    const keyNode = pair.key as ParsedNode | null;
    const offset = keyNode?.range[0] ?? node.range[0];
    const key = isScalar(keyNode) ? keyText(keyNode.value, keyNode.source) : undefined;
    if (key === undefined) {
      reader.problems.push(
        reader.places.problem(offset, {
          path,
          message: 'a key is not text',
          expected: 'the name of a setting before the colon',
        }),
      );
      continue;
    }
    const place = reader.places.problem(offset, { message: '', expected: '' });
    const firstLine = firstLines.get(key);
    if (firstLine !== undefined) {
      reader.problems.push({
        ...place,
        path: pathText([...path, key]),
        message: `the key ${quoted(key)} is there already, in line ${firstLine}`,
        expected: 'each key once',
      });
      continue;
    }
    firstLines.set(key, place.line);
    const childPath = [...path, key];
    reader.places.setKey(childPath, offset);
    result[key] = readNode(pair.value as ParsedNode | null, childPath, reader);
    if (pair.value === null) reader.places.setValue(childPath, offset);
  }
  return result;
}

function keyText(value: unknown, source: string | undefined): string | undefined {
  if (typeof value === 'string') return value;
  return value === null || value === undefined ? undefined : (source ?? String(value));
}
