/**
 * Protobuf messages as plain data, for JSON and YAML. The schema of this output is the API's own, with these rules:
 *
 * - field names in camelCase; every field is there, an absent one is null
 * - Timestamp: ISO 8601 text. Duration: a number of seconds, and the name ends in "Seconds"
 * - enum: lower-case name without its prefix, for example "backoff". bytes: hexadecimal digits
 * - 64-bit integers: numbers while exact, else text
 */
import {
  type DescEnum,
  type DescField,
  type DescMessage,
  type Message,
  ScalarType,
} from '@bufbuild/protobuf';
import { type Duration, durationMs, type Timestamp, timestampDate } from '@bufbuild/protobuf/wkt';

/** JSON data. */
export type Plain =
  | string
  | number
  | boolean
  | null
  | readonly Plain[]
  | { readonly [key: string]: Plain };
/** A JSON object. */
export type PlainObject = { readonly [key: string]: Plain };

const TIMESTAMP = 'google.protobuf.Timestamp';
const DURATION = 'google.protobuf.Duration';

/** Lower-case name of an enum value without the prefix that all values share: "running", "backoff". */
export function enumName(schema: DescEnum, number: number): string {
  const name = schema.value[number]?.name;
  if (name === undefined) return String(number);
  return name
    .slice(schema.sharedPrefix?.length ?? 0)
    .toLowerCase()
    .replaceAll('_', '-');
}

function scalar(type: ScalarType, value: unknown): Plain {
  if (type === ScalarType.BYTES) return Buffer.from(value as Uint8Array).toString('hex');
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : String(value);
  }
  return value as string | number | boolean;
}

function messageValue(schema: DescMessage, value: Message): Plain {
  if (schema.typeName === TIMESTAMP) return timestampDate(value as Timestamp).toISOString();
  if (schema.typeName === DURATION) return durationMs(value as Duration) / 1000;
  return toPlain(schema, value);
}

function element(field: DescField, value: unknown): Plain {
  if (field.message !== undefined) return messageValue(field.message, value as Message);
  if (field.enum !== undefined) return enumName(field.enum, value as number);
  return scalar(field.scalar ?? ScalarType.STRING, value);
}

function fieldValue(field: DescField, value: unknown): Plain {
  if (value === undefined) return null;
  if (field.fieldKind === 'list') return (value as unknown[]).map((one) => element(field, one));
  if (field.fieldKind === 'map') {
    const entries = Object.entries(value as Record<string, unknown>);
    return Object.fromEntries(entries.map(([key, one]) => [key, element(field, one)]));
  }
  return element(field, value);
}

/** Plain data of `message`, by the rules above. */
export function toPlain(schema: DescMessage, message: Message): PlainObject {
  const values = message as unknown as Record<string, unknown>;
  return Object.fromEntries(
    schema.fields.map((field) => {
      const suffix = field.message?.typeName === DURATION ? 'Seconds' : '';
      return [`${field.localName}${suffix}`, fieldValue(field, values[field.localName])];
    }),
  );
}
