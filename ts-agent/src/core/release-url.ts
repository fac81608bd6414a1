/** Where the files of a release lie beside each other on a server (proto/src/channel.ts). Pure. */
import {
  bundlePath,
  deltaPath,
  isReleaseVersion,
  parseReleasePath,
} from '@keelos/proto/channel.ts';

/** Parts of a path in a release directory: "releases", the version, the file. */
const PATH_PARTS = 3;

/**
 * The URL of the delta from a release to the bundle of another one.
 *
 * @returns undefined when `url` is none of a bundle in a release directory, or it is the bundle of that very release
 */
export function deltaBeside(url: string, from: string): string | undefined {
  if (!URL.canParse(url) || !isReleaseVersion(from)) return undefined;
  const place = new URL(url);
  const parts = place.pathname.split('/');
  const found = parseReleasePath(parts.slice(-PATH_PARTS).join('/'));
  if (found?.kind !== 'bundle' || found.version === from) return undefined;
  const above = place.pathname.slice(0, -bundlePath(found).length);
  place.pathname = `${above}${deltaPath({ ...found, from })}`;
  return place.href;
}
