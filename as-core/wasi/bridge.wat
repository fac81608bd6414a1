;; Between the command and libzstd, each of which has a memory of its own: a fault in the decoder cannot touch the
;; command, its verdict or its output. Merged with both by `build-wasi.mjs`; the names on the left are theirs.
;;
;;   command  as-core/wasi/keel-verify.ts      zstd   the module of @bokuweb/zstd-wasm (its exports have one letter)
;;   guard    as-core/assembly/zstd-frame.ts   host   this module: what the SquashFS reader imports
(module
  (import "command" "memory" (memory $command 1))
  (import "env" "f" (memory $zstd 1))
  (import "command" "readAt" (func $readAt (param i64 i32 i32) (result i32)))
  (import "guard" "check" (func $check (param i32 i32 i32) (result i32)))
  (import "guard" "contentBytes" (func $contentBytes (result i32)))
  (import "env" "g" (func $constructors))
  (import "env" "h" (func $isError (param i32) (result i32)))
  (import "env" "n" (func $createDCtx (result i32)))
  (import "env" "q" (func $decompress (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "s" (func $malloc (param i32) (result i32)))

  ;; Statuses of as-core/assembly/status.ts.
  (global $FRAME_TOO_LONG i32 (i32.const 52))
  (global $CORRUPT i32 (i32.const 53))
  (global $NO_MEMORY i32 (i32.const 54))
  (global $SIZES_DIFFER i32 (i32.const 50))
  ;; The largest SquashFS block, and what a frame of it may need: ZSTD_COMPRESSBOUND.
  (global $CONTENT_BYTES_MAX i32 (i32.const 1048576))
  (global $FRAME_BYTES_MAX i32 (i32.const 1052672))

  (global $context (mut i32) (i32.const 0))
  (global $source (mut i32) (i32.const 0))
  (global $target (mut i32) (i32.const 0))

  (func (export "read") (param $offset i64) (param $pointer i32) (param $length i32) (result i32)
    (call $readAt (local.get $offset) (local.get $pointer) (local.get $length)))

  ;; Allocates everything once. Afterwards the decoder allocates nothing.
  (func $prepare (result i32)
    (if (i32.eqz (global.get $context))
      (then
        (call $constructors)
        (global.set $source (call $malloc (global.get $FRAME_BYTES_MAX)))
        (global.set $target (call $malloc (global.get $CONTENT_BYTES_MAX)))
        (global.set $context (call $createDCtx))))
    (i32.and
      (i32.ne (global.get $source) (i32.const 0))
      (i32.and
        (i32.ne (global.get $target) (i32.const 0))
        (i32.ne (global.get $context) (i32.const 0)))))

  ;; The length of the content, or a status as a negative number; then the target is unchanged.
  (func (export "decode")
    (param $from i32) (param $fromBytes i32) (param $to i32) (param $toBytesMax i32) (result i32)
    (local $status i32)
    (local $length i32)
    (if (i32.gt_u (local.get $fromBytes) (global.get $FRAME_BYTES_MAX))
      (then (return (i32.sub (i32.const 0) (global.get $FRAME_TOO_LONG)))))
    (if (i32.gt_u (local.get $toBytesMax) (global.get $CONTENT_BYTES_MAX))
      (then (local.set $toBytesMax (global.get $CONTENT_BYTES_MAX))))
    (if (i32.eqz (call $prepare))
      (then (return (i32.sub (i32.const 0) (global.get $NO_MEMORY)))))
    (memory.copy $zstd $command (global.get $source) (local.get $from) (local.get $fromBytes))
    (local.set $status
      (call $check (global.get $source) (local.get $fromBytes) (local.get $toBytesMax)))
    (if (local.get $status)
      (then (return (i32.sub (i32.const 0) (local.get $status)))))
    (local.set $length
      (call $decompress
        (global.get $context) (global.get $target) (call $contentBytes)
        (global.get $source) (local.get $fromBytes) (i32.const 0) (i32.const 0)))
    (if (call $isError (local.get $length))
      (then (return (i32.sub (i32.const 0) (global.get $CORRUPT)))))
    (if (i32.ne (local.get $length) (call $contentBytes))
      (then (return (i32.sub (i32.const 0) (global.get $SIZES_DIFFER)))))
    (memory.copy $command $zstd (local.get $to) (global.get $target) (local.get $length))
    (local.get $length)))
