/** Servers in this process that find sessions by id, in a store of each. */
import type { SecureVersion, Server, TlsOptions } from 'node:tls';
import {
  createServer,
  leaseTicketKeys,
  localKey,
  type SessionStore,
  type SessionStoreOptions,
  sessionStore,
  type TicketLease,
} from '../../lib/index.ts';
import { type Authority, type Issued, makeAuthority } from './certificates.ts';
import { close, listen } from './connections.ts';
import { ManualClock } from './manual-clock.ts';
import { comeBack, type Return } from './returning-client.ts';
import { TicketSource } from './ticket-source.ts';

const SSL_OP_NO_TICKET = 1 << 14;

export interface SessionEdge {
  /** Private-key operations so far. */
  operations: number;
  readonly sessions: SessionStore;
  readonly lease: TicketLease;
  readonly clock: ManualClock;
  readonly source: TicketSource;
  readonly server: Server;
  /** For clients. */
  readonly goal: Return;
}

export class SessionEdges {
  readonly authority: Authority;
  readonly #issued: Issued;
  readonly #servers: Server[] = [];

  private constructor(authority: Authority, issued: Issued) {
    this.authority = authority;
    this.#issued = issued;
  }

  static async make(): Promise<SessionEdges> {
    const authority = await makeAuthority();
    return new SessionEdges(authority, await authority.issue({ type: 'p256' }));
  }

  /** @param more of the server */
  async edge(store: Partial<SessionStoreOptions> = {}, more: TlsOptions = {}): Promise<SessionEdge> {
    const clock = new ManualClock();
    const source = new TicketSource();
    const lease = leaseTicketKeys(source, { clock });
    await lease.ready();
    const { server, goal, counts } = await this.withoutStore(more);
    const sessions = sessionStore({ lease, ...store });
    sessions.use(server);
    sessions.use(server);
    return Object.assign(counts, { sessions, lease, clock, source, server, goal });
  }

  /** A server that gives no tickets but ids, and has nobody to ask for them; `more` may have other `secureOptions`. */
  async withoutStore(more: TlsOptions = {}) {
    const key = localKey(this.#issued.keyPem);
    const counts = { operations: 0 };
    const sign: typeof key.sign = (operation) => {
      counts.operations += 1;
      return key.sign(operation);
    };
    const options = { cert: this.#issued.certPem, key: { ...key, sign }, secureOptions: SSL_OP_NO_TICKET };
    const server = createServer({ ...options, ...more }, (socket) => socket.end('x'));
    this.#servers.push(server);
    const goal = { port: await listen(server), ca: this.authority.certPem, version: 'TLSv1.2' } as const;
    return { server, goal, counts };
  }

  close(): Promise<unknown> {
    return Promise.all(this.#servers.map(close));
  }
}

/** @returns whether the edge resumes a session of another's; @param version default TLS 1.2 */
export async function resumes(
  { goal }: SessionEdge,
  session: Buffer,
  version: SecureVersion = goal.version,
): Promise<boolean> {
  return (await comeBack({ ...goal, version, session })).reused;
}
