/** Which of the sectors that were written and not flushed a power cut leaves behind. */

/** A whole number from 0 to `count` - 1, of a stream that comes again with its seed. */
export type Draw = (count: number) => number;

/**
 * How a cut treats what was not flushed:
 *
 * * `none`: nothing of it has reached the medium;
 * * `all`: everything has;
 * * `newest`: only the last write has, as when a drive takes the newest first;
 * * `torn`: everything, but of the last write only some sectors;
 * * `some`: each sector by the toss of a coin.
 */
export type Survival = 'none' | 'all' | 'newest' | 'torn' | 'some';

/** All of them. */
export const SURVIVALS: readonly Survival[] = ['none', 'all', 'newest', 'torn', 'some'];

/** Numbers of the sectors of one write that are left, ascending. */
export function survivors(of: {
  readonly survival: Survival;
  readonly draw: Draw;
  /** Sectors of the write. */
  readonly count: number;
  /** Nothing was written after it. */
  readonly isLast: boolean;
}): readonly number[] {
  const { survival, draw, count, isLast } = of;
  const every = Array.from({ length: count }, (_, sector) => sector);
  switch (survival) {
    case 'none':
      return [];
    case 'all':
      return every;
    case 'newest':
      return isLast ? every : [];
    case 'torn':
      return isLast ? tornPart(every, draw) : every;
    case 'some':
      return every.filter(() => draw(2) === 1);
  }
}

/** Some of the sectors, never all of them: the first ones, the last ones, or any. */
function tornPart(sectors: readonly number[], draw: Draw): readonly number[] {
  if (sectors.length < 2) return [];
  const at = 1 + draw(sectors.length - 1);
  switch (draw(3)) {
    case 0:
      return sectors.slice(0, at);
    case 1:
      return sectors.slice(at);
    default: {
      const lost = draw(sectors.length);
      return sectors.filter((sector) => sector !== lost && draw(2) === 1);
    }
  }
}
