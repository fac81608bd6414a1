/** Checks a plain value against a schema and fills its defaults in. */
import type { ConfigPath, PathProblem } from './config-problem.ts';
import { describeValue, quoted } from './config-problem.ts';
import type { SchemaNode } from './node-config-schema.ts';
import { nearest } from './suggestion.ts';

/** A checked value: what could be understood, with every default, and each problem on the way. */
export interface SchemaCheck {
  /** Fits the schema when there are no problems. */
  readonly value: unknown;
  readonly problems: readonly PathProblem[];
}

/** Checks `value`, which comes from a YAML or JSON reader, against `schema`. Finds every problem. */
export function checkSchema(schema: SchemaNode, value: unknown): SchemaCheck {
  const problems: PathProblem[] = [];
  return { value: check(schema, { value, path: [], problems }), problems };
}

interface Place {
  readonly value: unknown;
  readonly path: ConfigPath;
  readonly problems: PathProblem[];
}

function check(schema: SchemaNode, place: Place): unknown {
  if (schema.properties !== undefined) return checkMapping(schema, place);
  if (schema.items !== undefined) return checkList(schema, place);
  if (schema.type === 'integer') return checkInteger(schema, place);
  return checkText(schema, place);
}

function expectedBy(schema: SchemaNode): string {
  return schema.title ?? schema.type ?? 'a value';
}

function report(schema: SchemaNode, place: Place, message: string, suggestion?: string): void {
  place.problems.push({
    path: place.path,
    message,
    expected: expectedBy(schema),
    ...(suggestion === undefined ? {} : { suggestion }),
  });
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function checkMapping(schema: SchemaNode, place: Place): unknown {
  const { value, path, problems } = place;
  const properties = schema.properties ?? {};
  if (!isMapping(value)) {
    const emptied = value === null && path.length > 0;
    report(schema, place, `found ${describeValue(value)}`, emptied ? '{}' : undefined);
    return value;
  }
  const known = Object.keys(properties);
  for (const key of Object.keys(value)) {
    if (Object.hasOwn(properties, key)) continue;
    const free = known.filter((name) => !Object.hasOwn(value, name));
    const suggestion = nearest(key, free);
    problems.push({
      path: [...path, key],
      atKey: true,
      message: `there is no setting ${quoted(key)}`,
      expected: `one of: ${known.join(', ')}`,
      ...(suggestion === undefined ? {} : { suggestion }),
    });
  }
  const result: Record<string, unknown> = {};
  for (const [key, child] of Object.entries(properties)) {
    const childPath = [...path, key];
    if (Object.hasOwn(value, key)) {
      result[key] = check(child, { value: value[key], path: childPath, problems });
    } else if (child.default !== undefined) {
      // A default may be incomplete itself: {} stands for the defaults of everything in it.
      result[key] = check(child, { value: child.default, path: childPath, problems });
    } else if (schema.required?.includes(key)) {
      problems.push({
        path: childPath,
        message: `the setting ${quoted(key)} is missing`,
        expected: expectedBy(child),
      });
    }
  }
  return result;
}

function checkList(schema: SchemaNode, place: Place): unknown {
  const { value, path, problems } = place;
  const items = schema.items ?? {};
  if (!Array.isArray(value)) {
    const suggestion = typeof value === 'string' ? `[${quoted(value)}]` : undefined;
    report(schema, place, `found ${describeValue(value)}`, value === null ? '[]' : suggestion);
    return value;
  }
  const { minItems = 0, maxItems = Number.POSITIVE_INFINITY } = schema;
  if (value.length < minItems || value.length > maxItems) {
    report(schema, place, `found a list of ${value.length}`);
  }
  return value.map((item, index) =>
    check(items, { value: item, path: [...path, index], problems }),
  );
}

function checkInteger(schema: SchemaNode, place: Place): unknown {
  const { value } = place;
  const { minimum = Number.MIN_SAFE_INTEGER, maximum = Number.MAX_SAFE_INTEGER } = schema;
  const isFit = Number.isSafeInteger(value) && Number(value) >= minimum && Number(value) <= maximum;
  if (typeof value !== 'number' || !isFit) {
    const isDigits = typeof value === 'string' && /^[0-9]{1,9}$/.test(value);
    report(schema, place, `found ${describeValue(value)}`, isDigits ? value : undefined);
  }
  return value;
}

function checkText(schema: SchemaNode, place: Place): unknown {
  const { value } = place;
  const choices = schema.enum ?? (schema.const === undefined ? undefined : [schema.const]);
  if (typeof value !== 'string') {
    const quotable = choices === undefined && typeof value === 'boolean';
    report(schema, place, `found ${describeValue(value)}`, quotable ? `"${value}"` : undefined);
  } else if (choices !== undefined) {
    if (!choices.includes(value)) {
      report(schema, place, `found ${describeValue(value)}`, nearest(value, choices));
    }
  } else if (!fitsText(schema, value)) {
    report(schema, place, `found ${describeValue(value)}`);
  }
  return value;
}

/** Lengths count characters, as JSON Schema does; a pattern is tried only on text of acceptable length. */
function fitsText(schema: SchemaNode, value: string): boolean {
  const { minLength = 0, maxLength = Number.POSITIVE_INFINITY, pattern } = schema;
  if (value.length > 2 * maxLength) return false;
  const characters = [...value].length;
  if (characters < minLength || characters > maxLength) return false;
  return pattern === undefined || new RegExp(pattern, 'u').test(value);
}
