/** osctl completion */
import { completionScript, SHELLS } from '../core/completion.ts';
import type { Command, Group } from '../shell/invocation.ts';
import { argument } from '../shell/invocation.ts';

/** The command, for the tree that `root` gives. */
export function completionCommand(root: () => Group): Command {
  return {
    name: 'completion',
    summary: 'Print a completion script for your shell',
    arguments: [{ name: 'shell', description: 'the shell', choices: SHELLS }],
    examples: [
      { command: 'source <(osctl completion bash)', does: 'In ~/.bashrc; the same with zsh' },
      {
        command: 'osctl completion fish > osctl.fish',
        does: 'For ~/.config/fish/completions',
      },
    ],
    run: async (invocation) => {
      const name = argument(invocation, 0);
      const shell = SHELLS.find((one) => one === name);
      if (shell === undefined) throw new TypeError(`shell "${name}"`);
      const script = completionScript(root(), shell);
      return { view: { data: { shell, script }, lines: script.trimEnd().split('\n') } };
    },
  };
}
