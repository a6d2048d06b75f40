/** Resumption: tickets, session ids, stores; and that a resumed handshake asks for no operation. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { before, describe, it } from 'node:test';
import type { SecureVersion, Server, TLSSocket } from 'node:tls';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, converse, listen } from '../helpers/connections.ts';
import { parity, remoteSide, type Side } from '../helpers/parity.ts';

let authority: Authority;
let rsa: Issued;

before(async () => {
  authority = await makeAuthority();
  rsa = await authority.issue({ type: 'rsa' });
});

interface Options {
  readonly version: SecureVersion;
  readonly ciphers?: string;
  /** Session ids and a store of the user's rather than tickets. */
  readonly store?: 'sync' | 'async';
  /** The keys of tickets come from JavaScript, as Node's own tests have it. */
  readonly asksForTicketKeys?: boolean;
}

/** Node's undocumented way to ticket keys, which enters JavaScript wherever OpenSSL makes or opens a ticket. */
interface TicketCallbacks {
  enableTicketKeyCallback(): void;
  onticketkeycallback: (name: Buffer, iv: Buffer, encrypts: boolean) => unknown[];
}

const RENEW = 2;

function answerTicketKeys(server: Server, log: unknown[]): void {
  const { context } = (server as unknown as { _sharedCreds: { context: TicketCallbacks } })._sharedCreds;
  const [hmacKey, aesKey] = [Buffer.alloc(16, 1), Buffer.alloc(16, 2)];
  context.enableTicketKeyCallback();
  context.onticketkeycallback = (_name, _iv, encrypts) => {
    log.push(encrypts ? 'makes a ticket' : 'opens a ticket');
    return encrypts ? [1, hmacKey, aesKey, Buffer.alloc(16), randomBytes(16)] : [RENEW, hmacKey, aesKey];
  };
}

const SSL_OP_NO_TICKET = 1 << 14;

function useStore(server: Server, when: 'sync' | 'async', log: unknown[]): void {
  const store = new Map<string, Buffer>();
  const soon = (work: () => void) => (when === 'sync' ? work() : void setTimeout(work, 5));
  server.on('newSession', (id, data, done) => {
    log.push('newSession', id.length);
    store.set(id.toString('hex'), data);
    soon(done);
  });
  server.on('resumeSession', (id, done) => {
    const known = store.get(id.toString('hex'));
    log.push('resumeSession', known !== undefined);
    soon(() => done(null, known as Buffer));
  });
}

async function twoConnections(
  side: Side,
  { version, ciphers, store, asksForTicketKeys }: Options,
): Promise<unknown> {
  const common = {
    ca: authority.certPem,
    minVersion: version,
    maxVersion: version,
    ...(ciphers ? { ciphers } : {}),
  };
  const server = side.tls.createServer({
    ...common,
    cert: rsa.certPem,
    key: side.key(rsa),
    ...(store ? { secureOptions: SSL_OP_NO_TICKET } : {}),
  });
  const events: unknown[] = [];
  if (store) useStore(server, store, events);
  if (asksForTicketKeys) answerTicketKeys(server, events);
  const port = await listen(server);
  let session: Buffer | undefined;
  const onClient = (client: TLSSocket, log: unknown[]) => {
    client.on('session', (data) => {
      log.push('session');
      session = data;
    });
  };
  const first = await converse(side, server, port, { client: common, onClient });
  const second = await converse(side, server, port, { client: { ...common, session }, onClient });
  await close(server);
  return { first, second, events };
}

const ROWS: readonly Options[] = [
  { version: 'TLSv1.3' },
  { version: 'TLSv1.2' },
  { version: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' },
  { version: 'TLSv1.2', store: 'sync' },
  { version: 'TLSv1.2', store: 'async' },
  { version: 'TLSv1.2', store: 'sync', ciphers: 'AES128-GCM-SHA256' },
  { version: 'TLSv1.2', store: 'async', ciphers: 'AES128-GCM-SHA256' },
  { version: 'TLSv1.3', store: 'async' },
  { version: 'TLSv1.3', asksForTicketKeys: true },
  { version: 'TLSv1.2', asksForTicketKeys: true },
  { version: 'TLSv1.2', asksForTicketKeys: true, ciphers: 'AES128-GCM-SHA256' },
];

for (const row of ROWS) {
  const tickets = row.asksForTicketKeys ? 'tickets under keys of a callback' : 'tickets';
  const name = [row.version, row.ciphers, row.store ? `${row.store} store` : tickets]
    .filter(Boolean)
    .join(', ');
  // Node's stores do not resume TLS 1.3 sessions (they are looked up before its hello parser knows of them).
  const operations = row.version === 'TLSv1.3' && row.store ? 2 : 1;
  parity(`resumption with ${name}`, (side) => twoConnections(side, row), operations);
}

describe('a ticket', () => {
  it('resumes on another server with the same ticket keys, without an operation', async () => {
    const side = remoteSide('turn');
    const make = () =>
      side.tls.createServer({ cert: rsa.certPem, key: side.key(rsa), ticketKeys: Buffer.alloc(48, 7) });
    const [one, two] = [make(), make()];
    let session: Buffer | undefined;
    const client = { ca: authority.certPem };
    const onClient = (socket: TLSSocket) => {
      socket.on('session', (data) => (session = data));
    };
    await converse(side, one, await listen(one), { client, onClient });
    const second = await converse(side, two, await listen(two), { client: { ...client, session } });
    assert.equal((second.client[1] as { reused: boolean }).reused, true);
    assert.equal(side.operations(), 1);
    await Promise.all([close(one), close(two)]);
  });
});
