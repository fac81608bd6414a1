/**
 * The program in the image. One file, and the name that it was started under says what it is. Each part lies beside
 * this loader as an asset: its bundle, and V8's compiled form of what the part runs when it starts.
 */
import { createRequire } from 'node:module';
import { basename } from 'node:path';
import { getRawAsset } from 'node:sea';
import { Script } from 'node:vm';
import { lazyModule } from './lazy-module.ts';

/** Under which name which part starts. */
const PARTS: Readonly<Record<string, string>> = {
  init: 'init',
  'keel-init': 'init',
  'keel-agent': 'agent',
  'keel-verifier': 'verifier',
};

type Bundle = (
  require: NodeJS.Require,
  module: { exports: { main(): Promise<void> } },
  exports: object,
) => void;

/** Modules of Node that cost much to load and that PID 1 does not need before it has started the agent. */
const LAZY = new Set(['node:crypto', 'node:zlib']);

function load(part: string): () => Promise<void> {
  // The bundler writes ASCII: one byte is one character.
  const source = Buffer.from(getRawAsset(`${part}.cjs`)).toString('latin1');
  const cachedData = Buffer.from(getRawAsset(`${part}.cache`));
  const script = new Script(source, { filename: `keel:${part}`, cachedData });
  // It would work all the same, only slower: worth a line, not a failure.
  if (script.cachedDataRejected === true) process.stderr.write('keel: code cache refused\n');
  const require = createRequire('/');
  const exports = { main: async () => {} };
  const module = { exports };
  (script.runInThisContext() as Bundle)(
    ((id: string) =>
      LAZY.has(id) ? lazyModule(() => require(id)) : require(id)) as NodeJS.Require,
    module,
    exports,
  );
  return module.exports.main;
}

const name = basename(process.argv0);
const part = PARTS[name];
if (part === undefined) {
  process.stderr.write(`keel: started as "${name}", known are ${Object.keys(PARTS).join(', ')}\n`);
  process.exitCode = 2;
} else {
  load(part)();
}
