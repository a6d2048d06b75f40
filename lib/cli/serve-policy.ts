/** `keyless-tls serve --policy`: who may what, from a file that may change at any time. */
import { readFileSync } from 'node:fs';
import type { GrantsOptions } from '../server/grants.ts';
import { comparableIdentity } from '../server/identity-name.ts';
import type { KeyServer } from '../server/key-server.ts';
import { parsePolicy } from '../server/policy-file.ts';
import { type SeenFiles, type WatchedFile, watchedFile } from '../wrap/watched-file.ts';
import { UsageError } from './command.ts';
import type { Print } from './event-lines.ts';

const REASON =
  'they are not revoked any more: the ticket keys of before come back, which they may have kept. Raise ticketGeneration.';

/** @throws UsageError if the file cannot be read or used: a key server does not start without the policy it was given */
export function readPolicy(path: string): GrantsOptions {
  try {
    return parsePolicy(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new UsageError(`The file of --policy: ${(error as Error).message}`, 'keyless-tls serve --help');
  }
}

/** Who was revoked and is not any more, where the keys of tickets of before the revocation come back with that. */
function takenBack(before: GrantsOptions, policy: GrantsOptions): string[] {
  if ((before.ticketGeneration ?? 0) !== (policy.ticketGeneration ?? 0)) return [];
  const revoked = new Set(policy.revoked?.map(comparableIdentity));
  return (before.revoked ?? []).filter((each) => !revoked.has(comparableIdentity(each)));
}

/** Each change of the file since it was seen takes effect on the connections there are; a bad one is told of, and the old policy stays. */
export function watchPolicy(
  seen: SeenFiles,
  first: GrantsOptions,
  server: Pick<KeyServer, 'setGrants'>,
  print: Print,
): WatchedFile {
  let before = first;
  const take = (text: string) => {
    const policy = parsePolicy(text);
    const identities = takenBack(before, policy);
    before = policy;
    server.setGrants(policy);
    if (identities.length > 0)
      print('ticket-keys-problem', { revoked: identities.join(' '), reason: REASON });
    print('policy', { clients: policy.clients.length, revoked: policy.revoked?.length ?? 0 });
  };
  return watchedFile(seen, take, (error) => print('policy-problem', { reason: error.message }));
}
