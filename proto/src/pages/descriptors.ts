/** The part of a FileDescriptorSet in its JSON form (descriptor.proto) that the API page needs, and its comments. */

/** A field of a message. */
export interface FieldDescriptor {
  readonly name: string;
  readonly number: number;
  /** For example "TYPE_UINT64". */
  readonly type: string;
  readonly label?: string;
  /** Full name with a leading dot, for messages and enums. */
  readonly typeName?: string;
  readonly proto3Optional?: boolean;
}

/** A message. */
export interface MessageDescriptor {
  readonly name: string;
  readonly field?: readonly FieldDescriptor[];
  readonly nestedType?: readonly MessageDescriptor[];
  readonly options?: { readonly mapEntry?: boolean };
}

/** An enum. */
export interface EnumDescriptor {
  readonly name: string;
  readonly value?: readonly { readonly name: string; readonly number: number }[];
}

/** A method of a service. */
export interface MethodDescriptor {
  readonly name: string;
  readonly inputType: string;
  readonly outputType: string;
  readonly clientStreaming?: boolean;
  readonly serverStreaming?: boolean;
}

/** A service. */
export interface ServiceDescriptor {
  readonly name: string;
  readonly method?: readonly MethodDescriptor[];
}

/** A .proto file. */
export interface FileDescriptor {
  readonly name: string;
  readonly package: string;
  readonly messageType?: readonly MessageDescriptor[];
  readonly enumType?: readonly EnumDescriptor[];
  readonly service?: readonly ServiceDescriptor[];
  readonly sourceCodeInfo?: {
    readonly location: readonly {
      readonly path?: readonly number[];
      readonly leadingComments?: string;
    }[];
  };
}

/** Every file of an API, as `buf build -o -#format=json` prints it. */
export interface FileDescriptorSet {
  readonly file: readonly FileDescriptor[];
}

/** Field numbers in descriptor.proto, of which the paths of comments are made. */
export const DescriptorField = {
  messageOfFile: 4,
  enumOfFile: 5,
  serviceOfFile: 6,
  methodOfService: 2,
  fieldOfMessage: 2,
  valueOfEnum: 2,
} as const;

/** Looks up the comment before the element at a path, as one line; empty when there is none. */
export function commentsOf(file: FileDescriptor): (path: readonly number[]) => string {
  const comments = new Map<string, string>();
  for (const { path = [], leadingComments } of file.sourceCodeInfo?.location ?? []) {
    if (leadingComments === undefined) continue;
    comments.set(path.join('.'), leadingComments.trim().replaceAll(/\s*\n\s*/g, ' '));
  }
  return (path) => comments.get(path.join('.')) ?? '';
}
