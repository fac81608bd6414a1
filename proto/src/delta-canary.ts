/** The canary: bytes that everybody can make, to see whether two encoders are the same. Pure. */

/** Its size: one block. */
export const CANARY_BYTES = 131_072;

const WORDS = [
  ...[
    'node',
    'kubelet',
    '\0\0\0\0',
    'containerd',
    ' = ',
    '\n',
    '/usr/lib/',
    'return ',
    '0x',
    '\x7fELF',
  ],
  ...[
    '\xe8',
    '\x48\x89\xe5',
    'const ',
    '();',
    '\0\0\0\x01',
    'error',
    '": "',
    'x86_64',
    '.so.6',
    '\xff\xff',
  ],
] as const;

/**
 * The block: words of programs and texts, some of them drawn again and again, with stretches of noise, so that literals,
 * repeats and long matches all have to be found the same way.
 */
export function canaryBlock(): Buffer {
  const block = Buffer.alloc(CANARY_BYTES);
  let state = 0x6b65656c;
  const below = (count: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * count);
  };
  for (let at = 0; at < CANARY_BYTES; ) {
    const choice = below(16);
    if (choice === 0 && at > 4096) {
      const length = 4 + below(200);
      const from = below(at - length);
      at += block.copy(block, at, from, from + length);
    } else if (choice === 1) {
      block[at] = below(256);
      at += 1;
    } else {
      at += block.write(WORDS[below(WORDS.length)] ?? '', at, 'latin1') || 1;
    }
  }
  return block;
}
