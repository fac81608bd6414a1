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

/** Runs the command line of this process and sets its exit code. Ctrl-C cancels the running call. */
export async function main(): Promise<void> {
  const controller = new AbortController();
  const cancel = () =>
    controller.abort(new KeelError('E_CANCELLED', 'Cannot finish: interrupted', { hint: '' }));
  process.once('SIGINT', cancel);
  process.once('SIGTERM', cancel);
  // Whoever read our output has seen enough (as in `osctl logs agent | head`): that is not an error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(ExitCode.ok);
    throw error;
  });
  const exitCode = await runOsctl(process.argv.slice(2), {
    host: systemHost,
    signal: controller.signal,
  });
  process.off('SIGINT', cancel);
  process.off('SIGTERM', cancel);
  process.exitCode = exitCode;
}
