/**
 * What `@grpc/proto-loader` is inside the image. @grpc/grpc-js loads it for channelz and ORCA alone, which are switched
 * off; the package would read .proto files at run time and bring 146 KB of protobufjs.
 */

/** Refuses. */
export function loadSync(): never {
  throw new Error('.proto files are not read at run time');
}
