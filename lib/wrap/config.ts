/** Where `register` finds its key servers: `keyless-tls.json`, or the environment. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { parseServerAddress } from '../client/server-address.ts';
import { KeylessError } from '../errors.ts';
import type { KeyServersOptions } from '../keys/key-servers.ts';
import { DEFAULT_FILE, type Environment, namesServers } from './config-environment.ts';
import { type IdentityFiles, readIdentity, seeIdentity } from './identity.ts';
import type { SeenFiles } from './watched-file.ts';

const VERSION = 1;

/** Looked at now: nobody connects before the first stub, which may come when the app has long been running. */
const address = z.string().superRefine((text, { addIssue }) => {
  try {
    parseServerAddress(text);
  } catch (error) {
    addIssue((error as KeylessError).message.replace(/\.$/, ''));
  }
});

const members = z.strictObject({
  version: z.literal(VERSION),
  servers: z.array(address).min(1).optional(),
  srv: z.string().min(1).optional(),
  cert: z.string().min(1),
  key: z.string().min(1),
  ca: z.string().min(1),
  servername: z.string().min(1).optional(),
  timeoutMs: z.number().int().min(1).max(2_147_483_647).optional(),
  decrypt: z.boolean().optional(),
  verify: z.enum(['always', 'rsa', 'never']).optional(),
  startup: z.enum(['wait', 'fail']).optional(),
});

const file = members.refine(({ servers, srv }) => (servers === undefined) !== (srv === undefined), {
  message: 'it must name key servers, in either "servers" or "srv"',
});

type ConfigFile = z.infer<typeof file>;

export interface Config extends KeyServersOptions {
  /** What happens when no key server can be reached at the start: go on trying, or end the process. Default `wait`. */
  readonly startup: 'wait' | 'fail';
  /** Where `cert`, `key` and `ca` are from. */
  readonly identityFiles: IdentityFiles;
  /** Before they were read. */
  readonly identitySeen: SeenFiles;
}

function invalid(message: string, cause?: unknown): KeylessError {
  return new KeylessError('ERR_KEYLESS_INVALID_ARGUMENT', message, { cause });
}

function parse(name: string, json: unknown): ConfigFile {
  const { success, data, error } = file.safeParse(json);
  if (success) return data;
  const newer = (json as { version?: unknown } | null)?.version;
  if (typeof newer === 'number' && newer > VERSION) {
    throw invalid(`${name} cannot be used: version: it is ${newer}, and this keyless-tls knows ${VERSION}.`);
  }
  const problems = error.issues.map(({ path, message }) => `${path.join('.') || 'the file'}: ${message}`);
  throw invalid(`${name} cannot be used: ${problems.join('; ')}.`, error);
}

function parseFile(path: string): ConfigFile {
  let text: string;
  try {
    // Some editors put a byte order mark in front.
    text = readFileSync(path, 'utf8').replace(/^\uFEFF/, '');
  } catch (cause) {
    throw invalid(`The configuration ${path} cannot be read: ${(cause as Error).message}.`, cause);
  }
  try {
    return parse(path, JSON.parse(text));
  } catch (cause) {
    if (cause instanceof SyntaxError) throw invalid(`${path} is not JSON: ${cause.message}.`, cause);
    throw cause;
  }
}

function fromEnvironment(env: Environment): ConfigFile | undefined {
  const { KEYLESS_TLS_SERVERS: servers, KEYLESS_TLS_SRV: srv, KEYLESS_TLS_SERVERNAME: servername } = env;
  if (!namesServers(env)) return undefined;
  const named = servers ? 'KEYLESS_TLS_SERVERS' : 'KEYLESS_TLS_SRV';
  for (const name of ['KEYLESS_TLS_CERT', 'KEYLESS_TLS_KEY', 'KEYLESS_TLS_CA']) {
    if (!env[name]) throw invalid(`${named} is set, so ${name} must name a file as well.`);
  }
  return parse('The environment (KEYLESS_TLS_*)', {
    version: VERSION,
    ...(servers ? { servers: servers.split(/[\s,]+/).filter(Boolean) } : {}),
    ...(srv ? { srv } : {}),
    cert: env.KEYLESS_TLS_CERT,
    key: env.KEYLESS_TLS_KEY,
    ca: env.KEYLESS_TLS_CA,
    ...(servername === undefined ? {} : { servername }),
    ...(env.KEYLESS_TLS_STARTUP === undefined ? {} : { startup: env.KEYLESS_TLS_STARTUP }),
  });
}

function load({ version: _, cert, key, ca, startup, ...rest }: ConfigFile, directory: string): Config {
  const identityFiles = {
    cert: resolve(directory, cert),
    key: resolve(directory, key),
    ca: resolve(directory, ca),
  };
  const identitySeen = seeIdentity(identityFiles);
  return {
    ...rest,
    ...readIdentity(identityFiles),
    identityFiles,
    identitySeen,
    // A server that does not offer RSA key exchange has no use for it, and key servers have it switched off.
    decrypt: rest.decrypt ?? false,
    startup: startup ?? 'wait',
  };
}

/** To be said where the key of a stub is needed. */
export function noConfig(directory: string): KeylessError {
  return invalid(
    `There is no ${DEFAULT_FILE} in ${directory}, and none of KEYLESS_TLS_CONFIG, KEYLESS_TLS_SERVERS and KEYLESS_TLS_SRV is set.`,
  );
}

/**
 * `KEYLESS_TLS_SERVERS` or `KEYLESS_TLS_SRV` and their like; else the file of `KEYLESS_TLS_CONFIG`, else `keyless-tls.json` of the working
 * directory. Paths in a file are relative to it. A variable that is empty is not set.
 *
 * @returns `undefined`: none is named, and there is none
 * @throws ERR_KEYLESS_INVALID_ARGUMENT that says what is wrong, and where
 */
export function readConfig(env: Environment, directory: string): Config | undefined {
  const environment = fromEnvironment(env);
  if (environment !== undefined) return load(environment, directory);
  const path = resolve(directory, env.KEYLESS_TLS_CONFIG || DEFAULT_FILE);
  if (!env.KEYLESS_TLS_CONFIG && !existsSync(path)) return undefined;
  return load(parseFile(path), dirname(path));
}
