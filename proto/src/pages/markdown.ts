/** Pieces of a generated Markdown page. */

/** First lines of a page: title, and where to change it. */
export function pageHead(title: string, source: string): string[] {
  return [
    `# ${title}`,
    '',
    `<!-- Generated from ${source} by \`node scripts/docs.mjs\`. Do not edit. -->`,
    '',
  ];
}

/** A table; cells may hold inline Markdown. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.map(escapeCell).join(' | ')} |`;
  return [line(head), `|${head.map(() => '---').join('|')}|`, ...rows.map(line), ''];
}

function escapeCell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll(/\s*\n\s*/g, ' ');
}

/** Plain text whose angle brackets are not taken for HTML. */
export function escapeText(text: string): string {
  return text.replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** A fenced block of code. */
export function fence(language: string, text: string): string[] {
  return [`\`\`\`${language}`, text.trimEnd(), '```', ''];
}
