/** The process that verifies, from its request to its answer (proto/src/verifier.ts). */
import { readSync, writeFileSync, writeSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { BundleReader } from '@keelos/as-core/bundle.ts';
import { compileModule } from '@keelos/as-core/load.ts';
import { DIGEST_BYTES, VerityHasher } from '@keelos/as-core/verity-hasher.ts';
import type { VerifierAnswer, VerifierRequest } from '@keelos/proto/verifier.ts';
import { VERIFIER_BYTES_FD, VERIFIER_REQUEST_BYTES_MAX } from '@keelos/proto/verifier.ts';
import type { ImageFindings } from '../core/slot-contents.ts';
import { applyDeltaHere, openDeltaHere } from './apply-delta-here.ts';
import { reachApi } from './reach-api.ts';
import { verifyImageHere } from './verify-here.ts';

/**
 * Machine code is made once, by this thread, before it is run, and never replaced: emulators are known to run code wrongly
 * that changes under them, and with code that is replaced while several threads run it V8 lost track of its code pages.
 * The optimizing compiler does all of WebAssembly at once; JavaScript, of which little runs here, is interpreted.
 */
const STEADY_CODE = [
  ...['--no-liftoff', '--no-wasm-tier-up', '--no-wasm-dynamic-tiering'],
  ...[
    '--no-wasm-lazy-compilation',
    '--wasm-num-compilation-tasks=0',
    '--no-wasm-async-compilation',
  ],
  ...['--no-wasm-native-module-cache', '--no-flush-liftoff-code'],
  ...['--no-opt', '--no-maglev', '--no-sparkplug', '--regexp-interpret-all'],
];
/** Ended by the kernel before the agent and PID 1 when memory runs out. */
const OOM_SCORE_ADJUST = '500';
const STDIN = 0;
const STDOUT = 1;

type Answer = VerifierAnswer<ImageFindings>;

/** Answers the one request. What goes wrong is an answer; what ends the process before it is seen by who started it. */
export async function serveVerification(): Promise<void> {
  for (const flag of STEADY_CODE) setFlagsFromString(flag);
  try {
    writeFileSync('/proc/self/oom_score_adj', OOM_SCORE_ADJUST);
  } catch {
    // Not allowed, or no such file: then it is ended in its turn.
  }
  try {
    say(await answer(JSON.parse(readRequest()) as VerifierRequest));
  } catch (error) {
    const { message } = error instanceof Error ? error : new Error(String(error));
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    say({ kind: 'error', code, message });
  }
}

async function answer(request: VerifierRequest): Promise<Answer> {
  if (request.task === 'read-bundle') return readBundle(request);
  if (request.task === 'reach-api') return { kind: 'reached', problem: await reachApi(request) };
  if (request.task === 'read-trust') {
    const reader = await BundleReader.create();
    return { kind: 'trust', trust: reader.readTrust(Buffer.from(request.bytes, 'base64')) };
  }
  if (request.task === 'read-channel-head') {
    const reader = await BundleReader.create();
    const head = reader.readChannelHead(Buffer.from(request.bytes, 'base64'));
    const signed = Buffer.from(head.signedBytes).toString('base64');
    return { kind: 'channel-head', signed, signatures: head.signatures };
  }
  const onProgress = (doneBytes: number) => say({ kind: 'progress', doneBytes });
  if (request.task === 'open-delta') {
    return { kind: 'delta', delta: await openDeltaHere(request.path) };
  }
  if (request.task === 'apply-delta') {
    const say = (bytes: Uint8Array) => writeFully(VERIFIER_BYTES_FD, bytes);
    return { kind: 'applied', ...(await applyDeltaHere(request, { say, onProgress })) };
  }
  if (request.task === 'verify-image') {
    const { place, withFileSystem } = request;
    return {
      kind: 'findings',
      findings: await verifyImageHere(place, { withFileSystem, onProgress }),
    };
  }
  const salt = Buffer.from(request.salt, 'hex');
  const blocks = request.blocks.map((block) => Buffer.from(block, 'base64'));
  const hasher = new VerityHasher(await compileModule('verity'), salt);
  const digests = Buffer.from(hasher.hash(Buffer.concat(blocks)));
  const digestOf = (index: number) =>
    digests.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES).toString('hex');
  return { kind: 'digests', digests: blocks.map((_, index) => digestOf(index)) };
}

async function readBundle({
  tail: bytes,
  sizeBytes,
}: Extract<VerifierRequest, { task: 'read-bundle' }>): Promise<Answer> {
  const reader = await BundleReader.create();
  const { manifestBytes, ...tail } = reader.readTail(Buffer.from(bytes, 'base64'), sizeBytes);
  return { kind: 'bundle', tail, manifestBytes: Buffer.from(manifestBytes).toString('base64') };
}

function readRequest(): string {
  const request = Buffer.alloc(VERIFIER_REQUEST_BYTES_MAX);
  let length = 0;
  for (let read = -1; read !== 0 && length < request.length; length += read) {
    read = readSync(STDIN, request, length, request.length - length, null);
  }
  if (length === request.length) throw new RangeError('The request is too long');
  return request.toString('utf8', 0, length);
}

/** Whole lines, at once: the thread is busy with other things than writing later. */
function say(line: Answer): void {
  writeFully(STDOUT, Buffer.from(`${JSON.stringify(line)}\n`));
}

function writeFully(descriptor: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
}
