/** What each exit code tells a script, for the reference pages and `--help`. */
import type { ExitCode } from './errors.ts';

/** Name of the exit code to its meaning. */
export const EXIT_MEANING: Readonly<Record<keyof typeof ExitCode, string>> = {
  ok: 'success',
  failed: 'the command failed for another reason than those below',
  usage: 'the command line is not right, or no such context',
  unreachable: 'no connection to the node',
  untrusted: 'the node or the operator is not trusted: certificate, fingerprint or token',
  invalidInput: 'a file or value is not acceptable',
  notFound: 'nothing of that name on the node',
  unhealthy: 'the node answers and is not healthy',
  timeout: 'no answer in time',
  conflict: 'somebody else changed the same thing or is at it, or the name is taken',
  noSpace: 'no room left on the node',
  damaged: 'something that was verified is damaged',
  cancelled: 'interrupted, for example with Ctrl-C',
};
