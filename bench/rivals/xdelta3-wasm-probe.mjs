// `node xdelta3-wasm-probe.mjs OLDER NEWER PATCH`: a VCDIFF by the package xdelta3-wasm. Ends with 1 and the reason when
// it does not work: its memory is fixed at 16 MiB.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [older = '', newer = '', patch = ''] = process.argv.slice(2);
const { init, xd3_decode_memory, xd3_encode_memory, xd3_smatch_cfg } = createRequire(
  import.meta.url,
)('xdelta3-wasm');
await init();
const [source, target] = [readFileSync(older), readFileSync(newer)];
const made = xd3_encode_memory(target, source, target.length + 65_536, xd3_smatch_cfg.DEFAULT);
if (made.str !== 'SUCCESS') throw new Error(made.str);
const { str, output } = xd3_decode_memory(made.output, source, target.length);
// It says SUCCESS of wrong bytes, too.
if (str !== 'SUCCESS' || Buffer.compare(output, target) !== 0) throw new Error(`decode: ${str}`);
writeFileSync(patch, made.output);
