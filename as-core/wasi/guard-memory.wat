;; The guard imports the memory that it looks at as "env" "memory": the decoder's.
(module
  (import "zstd" "f" (memory 1))
  (export "memory" (memory 0)))
