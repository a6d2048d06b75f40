/** Where the configuration is, as environment variables that say the same in any working directory. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Looked for in the working directory. */
export const DEFAULT_FILE = 'keyless-tls.json';

const FILES = ['KEYLESS_TLS_CONFIG', 'KEYLESS_TLS_CERT', 'KEYLESS_TLS_KEY', 'KEYLESS_TLS_CA'] as const;

/** Whether the environment names key servers; a variable that is empty is not set. */
export function namesServers(env: Environment): boolean {
  return Boolean(env.KEYLESS_TLS_SERVERS || env.KEYLESS_TLS_SRV);
}

/**
 * The variables to set for processes and threads that inherit the environment, wherever they run: they have the configuration
 * of the first one.
 *
 * @param directory that relative names of files are relative to
 */
export function configVariables(env: Environment, directory: string): Record<string, string> {
  const found = !namesServers(env) && !env.KEYLESS_TLS_CONFIG && existsSync(resolve(directory, DEFAULT_FILE));
  const all: Environment = found ? { ...env, KEYLESS_TLS_CONFIG: DEFAULT_FILE } : env;
  const set: Record<string, string> = {};
  for (const name of FILES) {
    const file = all[name];
    if (file) set[name] = resolve(directory, file);
  }
  return set;
}
