/** SHA-256 of others, each as its own documentation says that it is fastest. */
import { createHash } from 'node:crypto';
import { sha256 as noble } from '@noble/hashes/sha2.js';
import { createSHA256 } from 'hash-wasm';

/** One stream after another. */
export interface StreamHasher {
  begin(): void;
  update(bytes: Uint8Array): void;
  /** 32 bytes. */
  end(): Uint8Array;
}

/** node:crypto, which is OpenSSL: it uses the SHA extensions of the processor where there are any. */
export function nodeCrypto(): StreamHasher {
  let hash = createHash('sha256');
  return {
    begin: () => {
      hash = createHash('sha256');
    },
    update: (bytes) => hash.update(bytes),
    end: () => hash.digest(),
  };
}

/** hash-wasm: C compiled to WebAssembly. */
export async function hashWasm(): Promise<StreamHasher> {
  const hash = await createSHA256();
  return {
    begin: () => hash.init(),
    update: (bytes) => hash.update(bytes),
    end: () => hash.digest('binary'),
  };
}

/** @noble/hashes: plain JavaScript. */
export function nobleHashes(): StreamHasher {
  let hash = noble.create();
  return {
    begin: () => {
      hash = noble.create();
    },
    update: (bytes) => hash.update(bytes),
    end: () => hash.digest(),
  };
}
