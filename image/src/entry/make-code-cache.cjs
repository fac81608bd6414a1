// Compiles a part of keel, runs it as far as it runs when it is loaded, and writes V8's compiled form of all that has
// run. Started by the build with --random-seed, without which the bytes differ from run to run.
//
//   node --random-seed=1 make-code-cache.cjs <part.cjs> <name of the script> <part.cache>

const { readFileSync, writeFileSync } = require('node:fs');
const Module = require('node:module');
const { Script } = require('node:vm');

const [, , sourcePath = '', filename = '', cachePath = ''] = process.argv;

/**
 * The native module is at its place on a node only. Here the package's own copy stands in: nothing of it is kept.
 * @param {string} from
 */
function createRequire(from) {
  return from.endsWith('koffi.node') ? () => require('koffi') : Module.createRequire(from);
}

/** @param {string} name */
function requireForBundle(name) {
  const loaded = require(name);
  return loaded === Module ? { ...Module, createRequire } : loaded;
}

const script = new Script(readFileSync(sourcePath, 'latin1'), { filename });
const bundleModule = { exports: {} };
script.runInThisContext()(requireForBundle, bundleModule, bundleModule.exports);
writeFileSync(cachePath, script.createCachedData());
// A part may have opened something when it was loaded; the cache is written, nothing else is wanted.
process.exit(0);
