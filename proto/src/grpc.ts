/**
 * Bridges protobuf-es descriptors to the service definitions that grpc-js wants, for servers and clients alike.
 *
 * grpc-js itself is not imported: only its shapes are met.
 */
import type { DescMethod, DescService, Message } from '@bufbuild/protobuf';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { KeelError } from './errors.ts';

/** One method, in the shape of grpc-js `MethodDefinition`. */
export interface MethodDefinition {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestSerialize: (value: Message) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => Message;
  readonly responseSerialize: (value: Message) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Message;
}

/** Definition of a service: method name with a lower-case first letter, as protobuf-es names it, to its definition. */
export type ServiceDefinition = Readonly<Record<string, MethodDefinition>>;

function methodDefinition(method: DescMethod): MethodDefinition {
  const encode = (schema: DescMethod['input']) => (value: Message) =>
    Buffer.from(toBinary(schema, create(schema, value)));
  const decode = (schema: DescMethod['input']) => (bytes: Buffer) => {
    try {
      return fromBinary(schema, bytes);
    } catch (cause) {
      throw new KeelError(
        'E_INVALID_ARGUMENT',
        `Cannot read ${schema.typeName}: malformed message`,
        { cause },
      );
    }
  };
  const streamsRequests =
    method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming';
  const streamsResponses =
    method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming';
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: streamsRequests,
    responseStream: streamsResponses,
    requestSerialize: encode(method.input),
    requestDeserialize: decode(method.input),
    responseSerialize: encode(method.output),
    responseDeserialize: decode(method.output),
  };
}

/** Service definition of `service` for grpc-js. */
export function serviceDefinition(service: DescService): ServiceDefinition {
  return Object.fromEntries(
    service.methods.map((method) => [method.localName, methodDefinition(method)]),
  );
}
