/** With leased keys a client of TLS 1.3 gets another ticket at each visit: the session ends with `sessionTimeout` all the same. */
import assert from 'node:assert/strict';
import { constants } from 'node:crypto';
import { after, before, test } from 'node:test';
import type { Server } from 'node:tls';
import { leaseTicketKeys, sessionStore } from '../../lib/index.ts';
import type { Issued } from '../helpers/certificates.ts';
import { comeBack, firstVisit, type Returned } from '../helpers/returning-client.ts';
import { SessionEdges } from '../helpers/session-edges.ts';
import { TicketSource } from '../helpers/ticket-source.ts';

/** Seconds. */
const TIMEOUT = 3;
/** OpenSSL counts whole seconds. */
const AT_MOST_MS = (TIMEOUT + 2) * 1000;

let edges: SessionEdges;
let visitor: Issued;

before(async () => {
  edges = await SessionEdges.make();
  visitor = await edges.authority.issue({ type: 'p256', usage: 'client' });
});
after(() => edges.close());

const WAYS = {
  tickets: { secureOptions: 0, install: (lease, server) => lease.use(server) },
  'ids and a store': {
    secureOptions: constants.SSL_OP_NO_TICKET,
    install: (lease, server) => sessionStore({ lease }).use(server),
  },
} satisfies Record<
  string,
  { secureOptions: number; install(lease: ReturnType<typeof leaseTicketKeys>, server: Server): void }
>;

for (const [name, { secureOptions, install }] of Object.entries(WAYS)) {
  test(`a client that comes back again and again is asked for its certificate when its session is over: ${name}`, async () => {
    const rules = { ca: edges.authority.certPem, requestCert: true, sessionTimeout: TIMEOUT };
    const { server, goal: anywhere } = await edges.withoutStore({ ...rules, secureOptions });
    server.on('tlsClientError', () => undefined);
    const source = new TicketSource();
    source.periodMs = 60_000;
    source.remainingMs = 60_000;
    const lease = leaseTicketKeys(source);
    install(lease, server);
    await lease.ready();
    const goal = { ...anywhere, version: 'TLSv1.3' } as const;
    let session: Buffer | undefined = await firstVisit({
      ...goal,
      more: { cert: visitor.certPem, key: visitor.keyPem },
    });
    const isOverAt = performance.now() + AT_MOST_MS;
    let visits = 0;
    while (session !== undefined) {
      const cameAt = performance.now();
      // It has no certificate any more: without the session the server turns it away.
      const visit: Returned | undefined = await comeBack({ ...goal, session }).catch(() => undefined);
      if (visit?.reused !== true) break;
      assert.ok(cameAt < isOverAt, 'it goes on and on');
      visits += 1;
      session = visit.session;
    }
    assert.ok(visits > 1, 'it resumed, and what it was given then resumed, too');
    lease.close();
  });
}
