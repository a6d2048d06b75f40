/** The checkout as the house's tests see it: its files without what .gitignore names, read as text. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout's folder, with a slash at its end. */
export const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));

/** What .gitignore says in its two simple manners: `folder/` and `*.suffix`. */
const ignoredLines = readFileSync(`${ROOT}.gitignore`, 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => line.replace(/^\/|\/$/g, ''));
const ignoredNames = new Set(['.git', ...ignoredLines]);
const ignoredSuffixes = ignoredLines.filter((line) => line.startsWith('*')).map((line) => line.slice(1));

function walk(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true })
    .filter(({ name }) => !ignoredNames.has(name) && !ignoredSuffixes.some((suffix) => name.endsWith(suffix)))
    .flatMap((entry) => (entry.isDirectory() ? walk(`${folder}${entry.name}/`) : [`${folder}${entry.name}`]));
}

/** Paths from the checkout's folder, with slashes; git is not asked, an archive without it passes as well. */
export const SOURCE_FILES: readonly string[] = walk('').sort();

/** @returns the files below a folder such as `lib/` whose names end so */
export function filesBelow(folder: string, ending: RegExp): string[] {
  return SOURCE_FILES.filter((path) => path.startsWith(folder) && ending.test(path));
}

export function readSource(path: string): string {
  return readFileSync(ROOT + path, 'utf8');
}

/** A source without the lines that are comments alone: what a comment mentions is not done. */
export function codeOf(source: string): string {
  return source
    .split('\n')
    .filter((line) => !/^\s*(\/\/|\/\*|\*)/.test(line))
    .join('\n');
}
