/** Whether a client and a node of different releases understand each other. */

const RELEASE = /^(\d+)\.(\d+)\.(\d+)/;
/** API package that this client speaks. */
export const CLIENT_API = 'keel.v1';

function parse(version: string): { major: number; minor: number } | undefined {
  const match = RELEASE.exec(version);
  if (match === null) return undefined;
  return { major: Number(match[1]), minor: Number(match[2]) };
}

/**
 * Warning when client and node are more than one minor release apart, differ in the major release, or when the node
 * speaks another API; undefined when they fit.
 */
export function skewWarning(
  client: string,
  node: { readonly version: string; readonly api: string },
): string | undefined {
  if (node.api !== CLIENT_API) {
    return `The node speaks API ${node.api}, this osctl speaks ${CLIENT_API}: use the osctl of release ${node.version}.`;
  }
  const [mine, theirs] = [parse(client), parse(node.version)];
  if (mine === undefined || theirs === undefined) return undefined;
  const apart = Math.abs(mine.minor - theirs.minor);
  if (mine.major === theirs.major && apart <= 1) return undefined;
  return `osctl ${client} and the node's release ${node.version} are more than one minor release apart: use an osctl close to the node's release.`;
}
