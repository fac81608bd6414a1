/** The pages whose commands are run: which there are, and what they show. */
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Page, readPage } from './fences.ts';

const CHECKOUT = resolve(import.meta.dirname, '../..');
/** Records of the past, and pages made from data whose commands have tests of their own. */
const NOT_READ = ['docs/decisions/', 'docs/reference/'];

/** Every page of the checkout with commands in it that must be right. */
export async function readPages(): Promise<Page[]> {
  const docs = await readdir(join(CHECKOUT, 'docs'), { recursive: true });
  const found = docs.filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`);
  const pages = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', ...found.sort()].filter(
    (name) => existsSync(join(CHECKOUT, name)) && !NOT_READ.some((start) => name.startsWith(start)),
  );
  const read = async (page: string) => readPage(page, await readFile(join(CHECKOUT, page), 'utf8'));
  return Promise.all(pages.map(read));
}
