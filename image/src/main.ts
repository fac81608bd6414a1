/** keel-image: builds, runs and looks into KeelOS images, and makes and signs bundles. */

import { KeelError } from '@keelos/proto/errors.ts';
import { Command } from 'commander';
import { buildCommand } from './commands/build.ts';
import { bundleCommand } from './commands/bundle.ts';
import { deltaCommand } from './commands/delta.ts';
import { docCommand } from './commands/doc.ts';
import { extractCommand } from './commands/extract.ts';
import { inspectCommand } from './commands/inspect.ts';
import { keysCommand } from './commands/keys.ts';
import { listFilesCommand } from './commands/list-files.ts';
import { publishCommand } from './commands/publish.ts';
import { runCommand } from './commands/run.ts';
import { serveCommand } from './commands/serve.ts';
import { signCommand } from './commands/sign.ts';
import { verifyCommand } from './commands/verify.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

const program = new Command('keel-image')
  .description('Builds, runs and looks into KeelOS images, and makes and signs bundles.')
  .showHelpAfterError('(see --help)')
  .exitOverride()
  .addCommand(buildCommand())
  .addCommand(runCommand())
  .addCommand(bundleCommand())
  .addCommand(signCommand())
  .addCommand(deltaCommand())
  .addCommand(keysCommand())
  .addCommand(publishCommand())
  .addCommand(serveCommand())
  .addCommand(inspectCommand())
  .addCommand(listFilesCommand())
  .addCommand(verifyCommand())
  .addCommand(extractCommand())
  .addCommand(docCommand());
for (const command of program.commands) {
  command.exitOverride();
  for (const inner of command.commands) inner.exitOverride();
}

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** Says what went wrong and returns the exit code. */
function report(error: unknown): number {
  const { code, exitCode } = error as { code?: string; exitCode?: number };
  // commander has printed its own message already; help and version end this way too, with 0.
  if (code?.startsWith('commander.')) return exitCode === 0 ? 0 : EXIT_USAGE;
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`keel-image: ${message}\n`);
  if (error instanceof KeelError) {
    process.stderr.write(`hint: ${error.hint}\n`);
    return error.exitCode;
  }
  return EXIT_FAILED;
}
