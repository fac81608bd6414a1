/** Frames put together by hand (RFC 8878 section 3.1.1), right and wrong ones. */

/** Every field that a test may turn. */
export interface FrameParts {
  readonly magic?: number;
  readonly descriptor: number;
  /** Window descriptor, dictionary id and content size: what stands between descriptor and blocks. */
  readonly fields: readonly number[];
  readonly blocks: readonly Uint8Array[];
  readonly checksum?: readonly number[];
}

/** Bytes of a frame. */
export function frameOf(parts: FrameParts): Uint8Array {
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(parts.magic ?? 0xfd2fb528);
  return new Uint8Array(
    Buffer.concat([
      magic,
      Uint8Array.of(parts.descriptor, ...parts.fields),
      ...parts.blocks,
      Uint8Array.from(parts.checksum ?? []),
    ]),
  );
}

/** Types of a block (section 3.1.1.2.2). */
export const BlockType = { raw: 0, rle: 1, compressed: 2, reserved: 3 } as const;

/** One block: header and body. */
export function blockOf(options: {
  readonly type: number;
  readonly size: number;
  readonly body: readonly number[];
  readonly isLast?: boolean;
}): Uint8Array {
  const header = (options.size << 3) | (options.type << 1) | (options.isLast === false ? 0 : 1);
  return Uint8Array.of(header & 0xff, (header >> 8) & 0xff, header >> 16, ...options.body);
}

/** A last block that holds `bytes` as they are. */
export function rawBlock(bytes: readonly number[], isLast = true): Uint8Array {
  return blockOf({ type: BlockType.raw, size: bytes.length, body: bytes, isLast });
}
