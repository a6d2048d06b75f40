/** Where a Node.js finds its libraries that cannot start without being told (one of Conda or Nix may be such). */
import { delimiter, resolve } from 'node:path';

const NAMES = ['LD_LIBRARY_PATH', 'DYLD_LIBRARY_PATH'];

const absolute = (paths: string) =>
  paths
    .split(delimiter)
    .map((path) => resolve(path))
    .join(delimiter);

/** @returns environment variables for a process that is started in another directory */
export function libraryPaths(): NodeJS.ProcessEnv {
  const found: NodeJS.ProcessEnv = {};
  for (const name of NAMES) {
    const paths = process.env[name];
    if (paths) found[name] = absolute(paths);
  }
  return found;
}
