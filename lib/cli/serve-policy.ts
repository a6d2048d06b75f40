/** `keyless-tls serve --policy`: who may what, from a file that may change at any time. */
import { readFileSync } from 'node:fs';
import type { GrantsOptions } from '../server/grants.ts';
import type { KeyServer } from '../server/key-server.ts';
import { parsePolicy } from '../server/policy-file.ts';
import { type WatchedFile, watchedFile } from '../wrap/watched-file.ts';
import { UsageError } from './command.ts';
import type { Print } from './event-lines.ts';

/** @throws UsageError if the file cannot be read or used: a key server does not start without the policy it was given */
export function readPolicy(path: string): GrantsOptions {
  try {
    return parsePolicy(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new UsageError(`The file of --policy: ${(error as Error).message}`, 'keyless-tls serve --help');
  }
}

/** Each change of the file takes effect on the connections there are; a bad one is told of, and the old policy stays. */
export function watchPolicy(path: string, server: KeyServer, print: Print): WatchedFile {
  const take = (text: string) => {
    const policy = parsePolicy(text);
    server.setGrants(policy);
    print('policy', { clients: policy.clients.length, revoked: policy.revoked?.length ?? 0 });
  };
  return watchedFile(path, take, (error) => print('policy-problem', { reason: error.message }));
}
