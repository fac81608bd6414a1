/** grpc.reflection.v1: tools learn the API from the node, from the very descriptors that serve it. */
import type { DescFile, DescService } from '@bufbuild/protobuf';
import { createRegistry, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { GrpcStatus } from '@keelos/proto/errors.ts';
import type {
  ServerReflection,
  ServerReflectionRequest,
  ServerReflectionResponse,
} from '@keelos/proto/gen/grpc/reflection/v1/reflection_pb.js';
import type { ServiceMethods } from '../shell/calls.ts';

type Answer = ServerReflectionResponse['messageResponse'];

/** Methods that tell about `services`. */
export function reflectionMethods(
  services: readonly DescService[],
): ServiceMethods<typeof ServerReflection> {
  return {
    async *serverReflectionInfo(requests) {
      for await (const request of requests) {
        yield {
          validHost: request.host,
          originalRequest: request,
          messageResponse: answerTo(request, services),
        };
      }
    },
  };
}

function answerTo(request: ServerReflectionRequest, services: readonly DescService[]): Answer {
  const question = request.messageRequest;
  const files = filesOf(services);
  switch (question.case) {
    case 'listServices':
      return {
        case: 'listServicesResponse',
        value: {
          $typeName: 'grpc.reflection.v1.ListServiceResponse',
          service: services.map(({ typeName }) => ({
            $typeName: 'grpc.reflection.v1.ServiceResponse',
            name: typeName,
          })),
        },
      };
    case 'fileByFilename':
      return fileAnswer(
        files.find((file) => file.proto.name === question.value),
        question.value,
      );
    case 'fileContainingSymbol':
      return fileAnswer(fileOfSymbol(files, question.value), question.value);
    case 'allExtensionNumbersOfType':
      // No message of this API is extended.
      return {
        case: 'allExtensionNumbersResponse',
        value: {
          $typeName: 'grpc.reflection.v1.ExtensionNumberResponse',
          baseTypeName: question.value,
          extensionNumber: [],
        },
      };
    case 'fileContainingExtension':
      return notFound(`extension of ${question.value.containingType}`);
    default:
      return failure(GrpcStatus.INVALID_ARGUMENT, 'there is no question');
  }
}

/** Files of the services and all that they import, imports first. */
function filesOf(services: readonly DescService[]): readonly DescFile[] {
  const found = new Set<DescFile>();
  const visit = (file: DescFile): void => {
    if (found.has(file)) return;
    for (const dependency of file.dependencies) visit(dependency);
    found.add(file);
  };
  for (const { file } of services) visit(file);
  return [...found];
}

function fileOfSymbol(files: readonly DescFile[], symbol: string): DescFile | undefined {
  const registry = createRegistry(...files);
  const whole = registry.get(symbol);
  if (whole !== undefined) return whole.file;
  const at = symbol.lastIndexOf('.');
  const parent = registry.get(symbol.slice(0, Math.max(0, at)));
  const member = symbol.slice(at + 1);
  const members =
    parent?.kind === 'service'
      ? parent.methods
      : parent?.kind === 'message'
        ? parent.fields
        : parent?.kind === 'enum'
          ? parent.values
          : [];
  return members.some(({ name }) => name === member) ? parent?.file : undefined;
}

function fileAnswer(file: DescFile | undefined, asked: string): Answer {
  if (file === undefined) return notFound(asked);
  return {
    case: 'fileDescriptorResponse',
    value: {
      $typeName: 'grpc.reflection.v1.FileDescriptorResponse',
      fileDescriptorProto: withImports(file).map((one) =>
        toBinary(FileDescriptorProtoSchema, one.proto),
      ),
    },
  };
}

/** The file first: some clients look at nothing else. */
function withImports(file: DescFile): readonly DescFile[] {
  const found = new Set<DescFile>();
  const visit = (one: DescFile): void => {
    if (found.has(one)) return;
    found.add(one);
    for (const dependency of one.dependencies) visit(dependency);
  };
  visit(file);
  return [...found];
}

function notFound(asked: string): Answer {
  return failure(GrpcStatus.NOT_FOUND, `there is no ${asked}`);
}

function failure(errorCode: number, errorMessage: string): Answer {
  return {
    case: 'errorResponse',
    value: { $typeName: 'grpc.reflection.v1.ErrorResponse', errorCode, errorMessage },
  };
}
