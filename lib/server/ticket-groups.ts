/** The groups of edges that share session-ticket keys, and what changes the keys of each (docs/protocol.md, "ticket-keys"). */
import { createHash } from 'node:crypto';
import type { GrantsOptions } from './grants.ts';
import { comparableIdentity } from './identity-name.ts';
import type { TicketGroup } from './ticket-keys.ts';

/** By what clients of the policy are known: the groups of those clients. */
function groupsByIdentity({ clients }: GrantsOptions): ReadonlyMap<string, ReadonlySet<string | undefined>> {
  const groups = new Map<string, Set<string | undefined>>();
  for (const { identities, tickets } of clients) {
    for (const identity of identities.map(comparableIdentity)) {
      const known = groups.get(identity) ?? new Set();
      groups.set(identity, known.add(tickets?.group));
    }
  }
  return groups;
}

/**
 * A revoked name that clients of the policy have concerns their groups; a key or a certificate may be any client's, and
 * concerns every group.
 *
 * @returns by name
 */
export function ticketGroupsOf(options: GrantsOptions): ReadonlyMap<string, TicketGroup> {
  const known = groupsByIdentity(options);
  const { ticketGeneration = 0 } = options;
  const revoked = [...new Set(options.revoked?.map(comparableIdentity))].sort();
  const generationOf = (concerns: (identity: string) => boolean) => {
    const hash = createHash('sha256');
    if (ticketGeneration > 0) hash.update(`${ticketGeneration}\n`);
    for (const each of revoked.filter(concerns)) hash.update(`${each}\n`);
    return hash.digest();
  };
  // There may be thousands of groups, and of names that are revoked: most have what concerns all in common.
  const concerned = new Set(revoked.flatMap((each) => [...(known.get(each) ?? [])]));
  const common = generationOf((each) => !known.has(each));
  const names = new Set(options.clients.flatMap(({ tickets }) => tickets?.group ?? []));
  const groupOf = (name: string): TicketGroup => ({
    name,
    generation: concerned.has(name) ? generationOf((each) => known.get(each)?.has(name) !== false) : common,
  });
  return new Map([...names].map((name) => [name, groupOf(name)]));
}
