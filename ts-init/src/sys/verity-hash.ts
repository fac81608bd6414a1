/** Hashing of dm-verity blocks in WebAssembly. */

/** The port: digests of whole blocks of 4096 bytes, each hashed behind the salt. */
export type HashBlocks = (
  blocks: readonly Uint8Array[],
  salt: Uint8Array,
) => Promise<readonly Uint8Array[]>;

/** Hashes on this thread, for a few blocks. The module is loaded for one call and not kept. */
export const hashBlocksInWasm: HashBlocks = async (blocks, salt) => {
  const { compileModule } = await import('@keelos/as-core/load.ts');
  const { DIGEST_BYTES, VerityHasher } = await import('@keelos/as-core/verity-hasher.ts');
  const digests = new VerityHasher(await compileModule('verity'), salt).hash(Buffer.concat(blocks));
  return blocks.map((_, index) => digests.slice(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES));
};
