/**
 * zstd frames: a right one is accepted, and what is accepted is read as libzstd inside Node reads it.
 *
 * Two things are not asked. That Node refuses what we refuse: on 64-bit machines libzstd decodes Huffman streams by
 * another loop than in WebAssembly, and does not look there whether each is used up to its last bit. And that a damaged
 * frame without checksum, when it is accepted at all, gives the same wrong bytes: the two loops (and libzstd 1.5.4 and
 * 1.5.7) differ at the end of such a stream. Then our bytes must be the same from a fresh decoder: nothing of what was in
 * memory before may show.
 */
import { zstdDecompressSync } from 'node:zlib';
import { compileZstd, DECODER_MEMORY_BYTES_MAX, ZstdDecoder } from '@keelos/as-core/zstd.ts';
import { readCorpus } from './corpus.ts';
import { Finding, refusal, type Target } from './target.ts';

const CONTENT_BYTES_MAX = 256 * 1024;
const OPTIONS = { contentBytesMax: CONTENT_BYTES_MAX };
/** A good frame goes through after so many executions: a refusal must not spoil the decoder. */
const GOOD_FRAME_EVERY = 64;

/** What is under test. */
export interface ZstdSubject {
  decode(frame: Uint8Array, options: { readonly contentBytesMax: number }): Uint8Array;
  readonly memoryBytes: number;
}

/** @param plant stands in front of the decoder, for tests of the harness */
export async function zstdTarget(
  plant: (decoder: ZstdDecoder) => ZstdSubject = (decoder) => decoder,
): Promise<Target> {
  const modules = await compileZstd();
  const subject = plant(new ZstdDecoder(modules));
  const judge = judgeOf(subject, () => new ZstdDecoder(modules));
  const samples = readCorpus('zstd');
  const contents = samples.map((frame) => zstdDecompressSync(frame));
  let executions = 0;
  return {
    name: 'zstd',
    samples,
    millisecondsMax: 500,
    run(input, index) {
      const isRight = Buffer.compare(input, samples[index] ?? samples[0]) === 0;
      const outcome = judge(input, isRight);
      executions += 1;
      if (executions % GOOD_FRAME_EVERY === 0) {
        const next = (executions / GOOD_FRAME_EVERY) % samples.length;
        const content = subject.decode(samples[next] ?? samples[0], OPTIONS);
        if (contents[next]?.equals(content) !== true) throw new Finding('a good frame is spoilt');
      }
      return outcome;
    },
    memory: () => ({ bytes: subject.memoryBytes, bytesMax: DECODER_MEMORY_BYTES_MAX }),
    async close() {},
  };
}

type Judge = (frame: Uint8Array, isRight: boolean) => string;

function judgeOf(subject: ZstdSubject, fresh: () => ZstdDecoder): Judge {
  return (frame, isRight) => {
    let content: Uint8Array;
    try {
      content = subject.decode(frame, OPTIONS);
    } catch (error) {
      const code = refusal(error);
      if (isRight) throw new Finding(`${code}, but the frame is right`);
      return code;
    }
    const native = nativeDecode(frame);
    if (native === undefined) throw new Finding('accepted what libzstd inside Node refuses');
    if (native.equals(content)) return 'accepted';
    if (isRight || native.length !== content.length || hasChecksum(frame)) {
      throw new Finding('other content than libzstd inside Node');
    }
    if (Buffer.compare(fresh().decode(frame, OPTIONS), content) !== 0) {
      throw new Finding('other content than from a fresh decoder');
    }
    return 'accepted, a damaged stream';
  };
}

/** RFC 8878 section 3.1.1.1.1: Content_Checksum_flag. */
function hasChecksum(frame: Uint8Array): boolean {
  return ((frame[4] ?? 0) & 4) !== 0;
}

/** Content as libzstd inside Node reads it; undefined when it refuses. */
function nativeDecode(frame: Uint8Array): Buffer | undefined {
  try {
    return zstdDecompressSync(frame, { maxOutputLength: CONTENT_BYTES_MAX });
  } catch {
    // Its reason is not the question.
    return undefined;
  }
}
