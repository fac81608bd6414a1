"""keel-verify.wasm under wasmtime: python3 wasmtime-host.py MODULE COMMAND FILE.

The program sees the folder of FILE, and nothing else of the machine.
"""
import os
import sys

import wasmtime

module, *arguments = sys.argv[1:]
config = wasmtime.Config()
config.wasm_multi_memory = True
config.wasm_simd = True
engine = wasmtime.Engine(config)
linker = wasmtime.Linker(engine)
linker.define_wasi()
wasi = wasmtime.WasiConfig()
wasi.argv = ["keel-verify", *arguments]
wasi.inherit_stdout()
wasi.inherit_stderr()
if len(arguments) > 1:
    folder = os.path.dirname(arguments[1]) or "."
    wasi.preopen_dir(folder, folder)
store = wasmtime.Store(engine)
store.set_wasi(wasi)
instance = linker.instantiate(store, wasmtime.Module.from_file(engine, module))
try:
    instance.exports(store)["_start"](store)
except wasmtime.ExitTrap as end:
    sys.exit(end.code)
