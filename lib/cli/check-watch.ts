/** `keyless-tls check --watch`: what an edge would see of its key servers, once a second. */

import type { X509Certificate } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { leaseTicketKeys, type TicketLease } from '../index.ts';
import type { KeyServers, KeyServersStats } from '../keys/key-servers.ts';
import { CustomFunction } from '../protocol/opcodes.ts';
import { checkSignature } from './check-signature.ts';
import { endingSignal } from './command.ts';
import { eventLines, type Print, rounded } from './event-lines.ts';

const INTERVAL_MS = 1000;

export interface Watched {
  readonly keys: KeyServers;
  /** By file name: the key of each signs once a second. */
  readonly sites: ReadonlyMap<string, X509Certificate>;
  readonly timeoutMs: number;
}

/** An edge without a lease asks for no ticket keys: where none are offered, neither does this. */
function offersTicketKeys(keys: KeyServers): boolean {
  return keys.stats().servers.some(({ functions }) => functions?.includes(CustomFunction.TICKET_KEYS));
}

type ServerFigures = KeyServersStats['servers'][number];

function tellServer(server: ServerFigures, print: Print): void {
  const { latencyMs, errors, lastError } = server;
  print('server', {
    name: server.server,
    state: server.state,
    breaker: server.breaker,
    connections: server.ready,
    p50: latencyMs && rounded(latencyMs.p50, 2),
    p99: latencyMs && rounded(latencyMs.p99, 2),
    answered: server.answered,
    errors: Object.values(errors).reduce((sum, count) => sum + count, 0),
    last: lastError && `${lastError.code}: ${lastError.message}`,
  });
}

function tellLease(lease: TicketLease, print: Print): void {
  const { state, epoch, ageMs, remainingMs, lastError } = lease.stats();
  print('lease', {
    state,
    epoch,
    age: ageMs === undefined ? undefined : Math.round(ageMs / 1000),
    remaining: Math.round(remainingMs / 1000),
    last: lastError?.code,
  });
}

/** Each site signs once a second, or as soon as its last signature has come or failed. */
class Signatures {
  readonly #watched: Watched;
  readonly #print: Print;
  readonly #awaited = new Set<string>();
  #hasEnded = false;

  constructor(watched: Watched, print: Print) {
    this.#watched = watched;
    this.#print = print;
  }

  begin(): void {
    for (const [path, site] of this.#watched.sites) if (!this.#awaited.has(path)) void this.#sign(path, site);
  }

  /** Says nothing more. */
  end(): void {
    this.#hasEnded = true;
  }

  async #sign(path: string, site: X509Certificate): Promise<void> {
    const { keys, timeoutMs } = this.#watched;
    this.#awaited.add(path);
    try {
      await checkSignature(keys, site, timeoutMs);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (!this.#hasEnded) this.#print('site-problem', { site: path, reason: code, message });
    }
    this.#awaited.delete(path);
  }
}

/** Prints until it is told to end (SIGINT, SIGTERM), or nobody reads any more. @param json as `eventLines` has it */
export async function watch(watched: Watched, json: boolean): Promise<void> {
  const lines = eventLines(json);
  let lease: TicketLease | undefined;
  const ending = new AbortController();
  const signatures = new Signatures(watched, lines.print);
  const told = endingSignal(['SIGINT', 'SIGTERM']);
  const ended = Promise.race([told, lines.readerGone]).then(() => ending.abort());
  try {
    while (!ending.signal.aborted) {
      signatures.begin();
      for (const server of watched.keys.stats().servers) tellServer(server, lines.print);
      if (lease === undefined && offersTicketKeys(watched.keys)) lease = leaseTicketKeys(watched.keys);
      if (lease !== undefined) tellLease(lease, lines.print);
      await Promise.race([ended, sleep(INTERVAL_MS, undefined, { signal: ending.signal })]).catch(
        () => undefined,
      );
    }
  } finally {
    signatures.end();
    lease?.close();
    await lines.end();
  }
}
