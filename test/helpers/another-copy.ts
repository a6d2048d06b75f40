/** Another copy of this package, as an app may have beside that of a dependency of its. */
import { copyFileSync, cpSync, linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type * as ours from '../../lib/index.ts';
import type { Issued } from './certificates.ts';

export type Copy = Pick<typeof ours, 'createServer' | 'createSecureContext' | 'localKey' | 'engineStats'>;

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const BINARY = 'build/Release/keyless_tls.node';

/** How the other copy has its binary. */
export const LINKS: Readonly<Record<string, (from: string, to: string) => void>> = {
  'a file of its own': copyFileSync,
  'a hard link': linkSync,
  'a symbolic link': symlinkSync,
};

const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** Beside ours: links do not lead from one file system to another. */
export async function anotherCopy(link: (from: string, to: string) => void): Promise<Copy> {
  const folder = mkdtempSync(join(ROOT, 'build', 'copy-'));
  folders.push(folder);
  for (const part of ['package.json', 'dist/lib'])
    cpSync(join(ROOT, part), join(folder, part), { recursive: true });
  mkdirSync(dirname(join(folder, BINARY)), { recursive: true });
  link(join(ROOT, BINARY), join(folder, BINARY));
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  return (await import(pathToFileURL(join(folder, 'dist/lib/index.js')).href)) as Copy;
}

export function own(copy: Copy, { certPem, keyPem }: Issued) {
  return { cert: certPem, key: copy.localKey(keyPem) };
}
