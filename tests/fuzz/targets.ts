/** Targets by name. */
import { bundleTarget } from './bundle-target.ts';
import { deltaTarget } from './delta-target.ts';
import { squashfsTarget } from './squashfs-target.ts';
import type { Target } from './target.ts';
import { verityTarget } from './verity-target.ts';
import { zstdTarget } from './zstd-target.ts';

/** What `npm run fuzz -- NAME` takes. */
export const TARGETS: Readonly<Record<string, () => Promise<Target>>> = {
  bundle: () => bundleTarget(),
  delta: () => deltaTarget(),
  squashfs: () => squashfsTarget(),
  verity: () => verityTarget(),
  zstd: () => zstdTarget(),
};
