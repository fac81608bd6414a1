// docs/reference/kernel.md, made from the fragments.

import type { Fragment, KernelOption } from './fragment.ts';
import type { KsppVerdict } from './kspp.ts';

/** What `kernel/source.lock.json` holds. */
export interface SourceLock {
  /** codename of the Debian release */
  readonly suite: string;
  readonly package: string;
  readonly version: string;
  /** of the .deb, in hex */
  readonly sha256: string;
}

function renderOptions(options: readonly KernelOption[]): string {
  return options.map(({ name, value }) => `\`${name.replace('CONFIG_', '')}=${value}\``).join(', ');
}

function renderFragment(fragment: Fragment): string {
  const groups: { reason: string; options: KernelOption[] }[] = [];
  for (const option of fragment.options) {
    const last = groups.at(-1);
    if (last !== undefined && last.reason === option.reason) last.options.push(option);
    else groups.push({ reason: option.reason, options: [option] });
  }
  const lines = groups.map(({ reason, options }) =>
    reason === '' ? `- ${renderOptions(options)}` : `- ${reason}<br>${renderOptions(options)}`,
  );
  return `## ${fragment.name}\n\n${fragment.about}\n\n${lines.join('\n')}\n`;
}

function renderKspp(verdict: KsppVerdict): string {
  const rows = verdict.excepted.map(
    ({ name, value, reason }) => `| \`${name.replace('CONFIG_', '')}=${value}\` | ${reason} |`,
  );
  return `## Kernel Self Protection Project

Of the ${verdict.followed.length + verdict.excepted.length} recommended settings that apply to this kernel version and processor, ${verdict.followed.length} are followed. These are not, and why:

| recommended | reason why not |
|---|---|
${rows.join('\n')}
`;
}

/** The whole page. Pure: the same inputs give the same bytes. */
export function renderReferencePage(
  fragments: readonly Fragment[],
  verdict: KsppVerdict,
  lock: SourceLock,
): string {
  const count = fragments.reduce((sum, fragment) => sum + fragment.options.length, 0);
  return `<!-- Generated from kernel/config by \`keel-kernel doc\`. Change the fragments, not this page. -->

# Kernel configuration

The kernel is built from Debian's \`${lock.package}\` (${lock.suite}), version ${lock.version}. It starts from \`allnoconfig\`: what is not below, or needed by something below, is off. There are no modules and there is no initramfs.

The fragments in \`kernel/config\` set ${count} options (names without \`CONFIG_\`). The build stops when one of them does not come through Kconfig unchanged.

${fragments.map(renderFragment).join('\n')}
${renderKspp(verdict)}`;
}
