/** Other people's zstd, each as a pair of functions over one frame. */
import { createRequire } from 'node:module';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { decompress as fzstdDecode } from 'fzstd';
import { findCommand } from '../../scripts/lib/apt.mjs';
import { exec } from '../../scripts/lib/exec.mjs';

/** Codec for single frames. */
export interface Codec {
  decode(frame: Uint8Array): Uint8Array;
  /** Not there when the package only decodes. */
  encode?(bytes: Uint8Array, level: number): Uint8Array;
}

/** libzstd inside Node, native. */
export const nodeZlib: Codec = {
  decode: (frame) => zstdDecompressSync(frame),
  encode: (bytes, level) =>
    zstdCompressSync(bytes, {
      params: { [constants.ZSTD_c_compressionLevel]: level },
      pledgedSrcSize: bytes.length,
      chunkSize: bytes.length + 65_536,
    }),
};

/** The package fzstd: a decoder in plain JavaScript. */
export const fzstd: Codec = { decode: (frame) => fzstdDecode(frame) };

interface ZstdCodecPackage {
  readonly ZstdCodec: {
    run(use: (binding: { readonly Simple: new () => ZstdSimple }) => void): void;
  };
}

interface ZstdSimple {
  compress(bytes: Uint8Array, level: number): Uint8Array | null;
  decompress(frame: Uint8Array): Uint8Array | null;
}

/** The package zstd-codec. It carries no types, and catches every exception of the process: its handlers are removed. */
export async function zstdCodec(): Promise<Codec> {
  const handlers = process.listeners('uncaughtException');
  const { ZstdCodec } = createRequire(import.meta.url)('zstd-codec') as ZstdCodecPackage;
  const simple = await new Promise<ZstdSimple>((done) => {
    ZstdCodec.run(({ Simple }) => done(new Simple()));
  });
  for (const each of process.listeners('uncaughtException')) {
    if (!handlers.includes(each)) process.removeListener('uncaughtException', each);
  }
  const whole = (bytes: Uint8Array | null) => {
    if (bytes === null) throw new Error('zstd-codec gave nothing');
    return bytes;
  };
  return {
    decode: (frame) => whole(simple.decompress(frame)),
    encode: (bytes, level) => whole(simple.compress(bytes, level)),
  };
}

/** MB/s of the command `zstd`, as it measures itself in memory, in blocks of `blockBytes`. */
export async function zstdCommand(
  file: string,
  { level, blockBytes }: { readonly level: number; readonly blockBytes: number },
): Promise<{ encode: number; decode: number }> {
  const program = findCommand('zstd') ?? 'zstd';
  const args = [`-b${level}`, '-i1', `-B${blockBytes}`, '--single-thread', file];
  const { stdout, stderr } = await exec(program, args);
  const found = /([\d.]+) MB\/s,\s+([\d.]+) MB\/s\s*$/m.exec(
    `${stdout}\n${stderr}`.replaceAll('\r', '\n'),
  );
  if (found === null) throw new Error(`zstd measured nothing: ${stdout}${stderr}`);
  return { encode: Number(found[1]), decode: Number(found[2]) };
}
