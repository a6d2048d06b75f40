/** Servers in this process that find TLS 1.2 sessions by id, in a store of each. */
import type { Server } from 'node:tls';
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
  readonly #authority: Authority;
  readonly #issued: Issued;
  readonly #servers: Server[] = [];

  private constructor(authority: Authority, issued: Issued) {
    this.#authority = authority;
    this.#issued = issued;
  }

  static async make(): Promise<SessionEdges> {
    const authority = await makeAuthority();
    return new SessionEdges(authority, await authority.issue({ type: 'p256' }));
  }

  /** @param sessionTimeout seconds; default Node's */
  async edge(store: Partial<SessionStoreOptions> = {}, sessionTimeout?: number): Promise<SessionEdge> {
    const clock = new ManualClock();
    const source = new TicketSource();
    const lease = leaseTicketKeys(source, { clock });
    await lease.ready();
    const key = localKey(this.#issued.keyPem);
    const counts = { operations: 0 };
    const sign: typeof key.sign = (operation) => {
      counts.operations += 1;
      return key.sign(operation);
    };
    const options = { cert: this.#issued.certPem, key: { ...key, sign }, secureOptions: SSL_OP_NO_TICKET };
    const server = createServer({ ...options, ...(sessionTimeout ? { sessionTimeout } : {}) }, (socket) =>
      socket.end('x'),
    );
    const sessions = sessionStore({ lease, ...store });
    sessions.use(server);
    sessions.use(server);
    this.#servers.push(server);
    const goal = { port: await listen(server), ca: this.#authority.certPem, version: 'TLSv1.2' } as const;
    return Object.assign(counts, { sessions, lease, clock, source, server, goal });
  }

  close(): Promise<unknown> {
    return Promise.all(this.#servers.map(close));
  }
}

/** @returns whether the edge resumes a session of another's */
export async function resumes({ goal }: SessionEdge, session: Buffer): Promise<boolean> {
  return (await comeBack({ ...goal, session })).reused;
}
