/** docs/reference/api.md from the descriptors of the API and their comments. */
import type {
  EnumDescriptor,
  FieldDescriptor,
  FileDescriptor,
  FileDescriptorSet,
  MessageDescriptor,
  MethodDescriptor,
  ServiceDescriptor,
} from './descriptors.ts';
import { commentsOf, DescriptorField as F } from './descriptors.ts';
import { pageHead, table } from './markdown.ts';

const API_PACKAGE = 'keel.v1';

/** The page. */
export function apiPage(api: FileDescriptorSet): string {
  const files = api.file.filter((file) => file.package === API_PACKAGE);
  const foreign = api.file.filter((file) => file.package.startsWith('grpc.'));
  return [
    ...pageHead('API', 'proto/keel/v1/*.proto'),
    `The agent serves the gRPC package \`${API_PACKAGE}\` on port 50051, over TLS 1.3 with a certificate on both sides. The fields`,
    'of an error are in [ErrorDetail](#errordetail), the codes in [errors.md](errors.md). Fields are only ever added: a number is',
    'never used for another meaning (checked against `proto/api.lock.json`).',
    '',
    '## Services',
    '',
    ...table(
      ['Service', 'Purpose'],
      files.flatMap((file) =>
        (file.service ?? []).map((service, index) => [
          link(service.name),
          sentence(service.name, commentsOf(file)([F.serviceOfFile, index])),
        ]),
      ),
    ),
    ...(foreign.length === 0
      ? []
      : [
          'The agent also answers the standard services of gRPC:',
          `${foreign.flatMap(foreignServices).join(', ')}.`,
          '',
        ]),
    ...files.flatMap(serviceSections),
    '## Messages and enums',
    '',
    ...files.flatMap(typeSections),
  ].join('\n');
}

function foreignServices(file: FileDescriptor): string[] {
  return (file.service ?? []).map(({ name }) => `\`${file.package}.${name}\``);
}

function serviceSections(file: FileDescriptor): string[] {
  const comment = commentsOf(file);
  return (file.service ?? []).flatMap((service, index) => [
    `### ${service.name}`,
    '',
    sentence(service.name, comment([F.serviceOfFile, index])),
    '',
    ...methodTable(service, (method) =>
      comment([F.serviceOfFile, index, F.methodOfService, method]),
    ),
  ]);
}

function methodTable(service: ServiceDescriptor, comment: (index: number) => string): string[] {
  return table(
    ['Method', 'Request', 'Response', 'Meaning'],
    (service.method ?? []).map((method, index) => [
      `\`${method.name}\``,
      messageOf(method, 'input'),
      messageOf(method, 'output'),
      sentence(method.name, comment(index)),
    ]),
  );
}

function messageOf(method: MethodDescriptor, side: 'input' | 'output'): string {
  const name = shortName(side === 'input' ? method.inputType : method.outputType);
  const streams = side === 'input' ? method.clientStreaming : method.serverStreaming;
  return `${streams === true ? 'stream of ' : ''}${link(name)}`;
}

function typeSections(file: FileDescriptor): string[] {
  const comment = commentsOf(file);
  return [
    ...(file.messageType ?? []).flatMap((message, index) => [
      `### ${message.name}`,
      '',
      sentence(message.name, comment([F.messageOfFile, index])),
      '',
      ...fieldTable(message, (field) => comment([F.messageOfFile, index, F.fieldOfMessage, field])),
    ]),
    ...(file.enumType ?? []).flatMap((type, index) => [
      `### ${type.name}`,
      '',
      sentence(type.name, comment([F.enumOfFile, index])),
      '',
      ...valueTable(type, (value) => comment([F.enumOfFile, index, F.valueOfEnum, value])),
    ]),
  ];
}

function fieldTable(message: MessageDescriptor, comment: (index: number) => string): string[] {
  const fields = message.field ?? [];
  if (fields.length === 0) return [];
  return table(
    ['Field', 'Number', 'Type', 'Meaning'],
    fields.map((field, index) => [
      `\`${field.name}\``,
      String(field.number),
      fieldType(field, message),
      comment(index),
    ]),
  );
}

function valueTable(type: EnumDescriptor, comment: (index: number) => string): string[] {
  return table(
    ['Value', 'Number', 'Meaning'],
    (type.value ?? []).map(({ name, number }, index) => [
      `\`${name}\``,
      String(number),
      comment(index),
    ]),
  );
}

function fieldType(field: FieldDescriptor, message: MessageDescriptor): string {
  const entry = message.nestedType?.find(
    (nested) =>
      nested.options?.mapEntry === true &&
      field.typeName?.endsWith(`.${message.name}.${nested.name}`),
  );
  if (entry !== undefined) {
    const [key, value] = entry.field ?? [];
    if (key !== undefined && value !== undefined)
      return `map of ${typeName(key)} to ${typeName(value)}`;
  }
  if (field.label === 'LABEL_REPEATED') return `list of ${typeName(field)}`;
  return `${field.proto3Optional === true ? 'optional ' : ''}${typeName(field)}`;
}

function typeName(field: FieldDescriptor): string {
  if (field.typeName === undefined) return field.type.replace('TYPE_', '').toLowerCase();
  if (!field.typeName.startsWith(`.${API_PACKAGE}.`)) return `\`${field.typeName.slice(1)}\``;
  return link(shortName(field.typeName));
}

function shortName(fullName: string): string {
  return fullName.slice(fullName.lastIndexOf('.') + 1);
}

function link(name: string): string {
  return `[${name}](#${name.toLowerCase()})`;
}

/** A comment begins with the name of what it is about, as buf's lint and Go's readers like it; a page has that already. */
function sentence(name: string, comment: string): string {
  if (!comment.startsWith(`${name} `)) return comment;
  const rest = comment.slice(name.length + 1).replace(/^is /, '');
  return rest.charAt(0).toUpperCase() + rest.slice(1);
}
