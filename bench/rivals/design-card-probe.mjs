// One question to one package, in a process of its own, since some of the answers end it:
// `node design-card-probe.mjs QUESTION [BYTES]` prints one line of JSON.

import { createRequire } from 'node:module';

const load = createRequire(import.meta.url);
const [question = '', size = '0'] = process.argv.slice(2);
const PLACE = 100;
const CHANGED_BYTES = 100;

/** @param {number} bytes */
function noise(bytes) {
  let state = 1;
  return Buffer.from(
    Array.from({ length: bytes }, () => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return state >>> 24;
    }),
  );
}

/** @param {number} bytes of a pair that differs in 100 bytes */
async function xdelta3(bytes) {
  const {
    init,
    xd3_decode_memory: decode,
    xd3_encode_memory: encode,
    xd3_smatch_cfg: config,
  } = load('xdelta3-wasm');
  await init();
  const source = noise(bytes);
  const target = Buffer.from(source);
  target.fill(7, PLACE, PLACE + CHANGED_BYTES);
  const room = bytes + 1000;
  const made = encode(target, source, room, config.DEFAULT);
  /** @param {Uint8Array} delta @param {Uint8Array} from */
  const applied = (delta, from) => {
    const { str, output } = decode(delta, from, room);
    return { isSuccess: str === 'SUCCESS', isRight: Buffer.compare(output, target) === 0 };
  };
  if (made.str !== 'SUCCESS') return { works: false, why: made.str };
  const other = Buffer.from(source);
  other[bytes >> 1] = (other[bytes >> 1] ?? 0) ^ 1;
  const wrongSource = applied(made.output, other);
  const flips = Array.from(made.output, (byte, index) => {
    const delta = Uint8Array.from(made.output);
    delta[index] = byte ^ 1;
    return applied(delta, source);
  });
  return {
    works: applied(made.output, source).isRight,
    acceptsWrongSource: wrongSource.isSuccess && !wrongSource.isRight,
    flips: flips.length,
    flipsAccepted: flips.filter(({ isSuccess, isRight }) => isSuccess && !isRight).length,
  };
}

/** @param {number} bytes of one input of its `Simple` interface */
async function zstdCodec(bytes) {
  const { ZstdCodec } = load('zstd-codec');
  const binding = await new Promise((done) => ZstdCodec.run(done));
  return { works: new binding.Simple().compress(noise(bytes), 3) !== null };
}

/** @param {number} bytes of one block of its `Streaming` interface */
async function zstdCodecStream(bytes) {
  const { ZstdCodec } = load('zstd-codec');
  const binding = await new Promise((done) => ZstdCodec.run(done));
  const frame = new binding.Streaming().compress(noise(bytes), 3);
  // RFC 8878 sections 3.1.1.1.1 and 3.1.1.1.2; without a window descriptor the content is the window.
  const [, , , , descriptor = 0, window = 0] = frame;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const base = 2 ** (10 + (window >> 3));
  const windowBytes = isSingleSegment ? bytes : base + (base / 8) * (window & 7);
  return { windowBytes, tellsContentSize: descriptor >> 6 !== 0 || isSingleSegment };
}

/** How long node-forge takes to load, what it costs, and what it can sign with. */
async function forge() {
  const startMs = performance.now();
  const rss = process.memoryUsage.rss();
  const package_ = load('node-forge');
  return {
    loadMs: performance.now() - startMs,
    residentBytes: process.memoryUsage.rss() - rss,
    hasEcdsa: 'ec' in package_ || 'ecdsa' in package_ || 'ec' in package_.pki,
  };
}

const answers = { xdelta3, 'zstd-codec': zstdCodec, 'zstd-codec-stream': zstdCodecStream, forge };
const answer = Object.entries(answers).find(([name]) => name === question)?.[1];
if (answer === undefined) throw new RangeError(`no question ${question}`);
process.stdout.write(`${JSON.stringify(await answer(Number(size)))}\n`);
