/** Prints the SHA-256 of an image with names that languages sort differently: run by squashfs-layout.test.ts. */
import { createHash } from 'node:crypto';
import { image } from './squashfs-oracle.ts';

const names = ['I', 'i', 'ı', 'İ', 'z', 'ä', 'å', 'a', 'B', 'b', '1', '10', '9', 'é', 'e\u0301'];
const bytes = image(
  names.map((name) => ({
    type: 'file',
    path: `/${name}`,
    mode: 0o644,
    contents: Buffer.from(name),
  })),
);
process.stdout.write(createHash('sha256').update(bytes).digest('hex'));
