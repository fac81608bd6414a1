/** osctl: one command line, one exit code. */
import { ExitCode, KeelError } from '@keelos/proto/errors.ts';
import { commandTree } from './commands/tree.ts';
import { CLIENT_VERSION } from './commands/version.ts';
import { failureOf, failureText } from './core/failure.ts';
import { type OutputFormat, render } from './core/render.ts';
import { guessOutput, parseCommandLine } from './shell/command-line.ts';
import { type Host, systemHost } from './sys/host.ts';

function report(host: Host, error: unknown, output: OutputFormat): number {
  const failure = failureOf(error);
  host.terminal.err(failureText(failure, output));
  return failure.exitCode;
}

/**
 * Runs one command line on `host` and returns the exit code. Never throws and never ends the process.
 */
export async function runOsctl(
  args: readonly string[],
  { host, signal }: { readonly host: Host; readonly signal: AbortSignal },
): Promise<number> {
  let output = guessOutput(args);
  try {
    const printed: string[] = [];
    const parsed = parseCommandLine(
      { root: commandTree, version: CLIENT_VERSION, args },
      { out: (text) => printed.push(text) },
    );
    if ('printed' in parsed) {
      await host.terminal.out(printed.join(''));
      return ExitCode.ok;
    }
    output = parsed.globals.output;
    const { view, failure } = await parsed.run({
      arguments: parsed.arguments,
      options: parsed.options,
      globals: parsed.globals,
      host,
      contexts: host.contexts(parsed.configPath),
      signal,
    });
    if (view !== undefined) await host.terminal.out(render(view, output));
    return failure === undefined ? ExitCode.ok : report(host, failure, output);
  } catch (error) {
    return report(host, error, output);
  }
}

/** Resolves when everything that was written to `stream` has left this process, or cannot. */
function drained(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => stream.write('', () => resolve()));
}

/** Ends the process because its standard output takes nothing more. */
function outputLost(error: NodeJS.ErrnoException): never {
  // Whoever read our output has seen enough (as in `osctl logs agent | head`): that is not an error.
  if (error.code === 'EPIPE') process.exit(ExitCode.ok);
  const reason = error.code === 'ENOSPC' ? 'there is no room left' : error.message;
  const lost = new KeelError('E_INTERNAL', `Cannot write the output: ${reason}`, {
    hint: 'Look at where standard output goes.',
  });
  process.stderr.write(failureText(failureOf(lost), guessOutput(process.argv.slice(2))));
  process.exit(ExitCode.failed);
}

/**
 * Runs the command line of this process and ends it with the exit code. Ctrl-C cancels the running call. The process is
 * ended and not left to end: a connection that is still being made would keep it for as long as the other side is silent.
 */
export async function main(): Promise<void> {
  const controller = new AbortController();
  const cancel = () =>
    controller.abort(new KeelError('E_CANCELLED', 'Cannot finish: interrupted', { hint: '' }));
  process.once('SIGINT', cancel);
  process.once('SIGTERM', cancel);
  process.stdout.on('error', outputLost);
  // Messages that nobody can read change nothing about the result.
  process.stderr.on('error', () => undefined);
  const exitCode = await runOsctl(process.argv.slice(2), {
    host: systemHost,
    signal: controller.signal,
  });
  process.off('SIGINT', cancel);
  process.off('SIGTERM', cancel);
  await Promise.all([drained(process.stdout), drained(process.stderr)]);
  process.exit(exitCode);
}
