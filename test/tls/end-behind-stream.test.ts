/**
 * The end of a user's stream below a TLSSocket, right behind what leads to the operation: natively it is found out after the answer.
 * Such streams are half-open where their user lets them; one that is not has ended its other side before the operation.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { after, before, test } from 'node:test';
import tls, { type ConnectionOptions, type TLSSocket } from 'node:tls';
import { createSecureContext, engineStats, localKey, type PrivateKey } from '../../lib/index.ts';
import { RSA_EXCHANGE } from '../helpers/between-flights.ts';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { duplexPair } from '../helpers/duplex-pair.ts';
import { until } from '../helpers/edge.ts';
import { parity, type Side, sideNamed } from '../helpers/parity.ts';

type Role = 'server' | 'client';

interface Case {
  /** Whose key it is, and whose stream ends. */
  readonly role: Role;
  readonly options: ConnectionOptions;
  /** The peer's last, counted from 1. */
  readonly flight: number;
  /** That one is not as it was sent, at its very end. */
  readonly isBroken?: boolean;
  /** Whoever made the stream that ends destroys it a turn later, as those do that stand on a connection. */
  readonly closes?: boolean;
}

const CASES: Readonly<Record<string, Case>> = {
  'a server, RSA key exchange': { role: 'server', options: RSA_EXCHANGE, flight: 2 },
  'a server, TLS 1.2': { role: 'server', options: { maxVersion: 'TLSv1.2' }, flight: 2 },
  'a server, TLS 1.3, behind a ClientHello': {
    role: 'server',
    options: { minVersion: 'TLSv1.3' },
    flight: 1,
  },
  'a server, TLS 1.3': { role: 'server', options: { minVersion: 'TLSv1.3' }, flight: 2 },
  'a client, TLS 1.2': { role: 'client', options: { maxVersion: 'TLSv1.2' }, flight: 2 },
  'a client that is sent what is broken, TLS 1.3': {
    role: 'client',
    options: { minVersion: 'TLSv1.3' },
    flight: 1,
    isBroken: true,
  },
  'a client, TLS 1.3': { role: 'client', options: { minVersion: 'TLSv1.3' }, flight: 1 },
};

/** How the end comes behind that flight. */
const ENDS: Readonly<Record<string, (end: () => void) => void>> = {
  'at once': (end) => end(),
  'in the next tick': (end) => process.nextTick(end),
  'in the next turn': (end) => setImmediate(end),
};

let issued: Issued;

before(async () => {
  issued = await (await makeAuthority()).issue({ type: 'rsa' });
});
after(() => until(() => engineStats().handshakes === 0 && engineStats().paused === 0));

/** @returns when it has closed */
function watch(socket: TLSSocket, log: string[]): Promise<unknown> {
  for (const event of ['secure', 'data', 'end']) socket.on(event, () => log.push(event));
  socket.on('error', ({ code }: NodeJS.ErrnoException) => log.push(String(code)));
  socket.once('secure', () => socket.end('hello'));
  return new Promise((resolve) => socket.once('close', resolve));
}

/** The way from the peer to whose stream ends, and back. @param end is told when the peer's last flight has been passed on */
function link(
  to: Duplex,
  from: Duplex,
  { flight: last, isBroken }: Case,
  end: (work: () => void) => void,
): void {
  let flights = 0;
  let isPeers = false;
  from.on('data', (data: Buffer) => {
    if (!isPeers) flights += 1;
    isPeers = true;
    if (flights > last || to.writableEnded) return;
    if (isBroken) data[data.length - 1]! ^= 1;
    to.write(data);
    if (flights === last) end(() => to.end());
  });
  to.on('data', (data) => {
    isPeers = false;
    from.write(data);
  }).on('end', () => from.end());
}

/** @returns what either end has to tell */
async function visit(side: Side, key: string, each: Case, end: (typeof ENDS)[string]) {
  const { role, options, flight } = each;
  const [serverEnd, ofServer] = duplexPair();
  const [clientEnd, ofClient] = duplexPair();
  if (role === 'server') link(ofServer, ofClient, each, end);
  else link(ofClient, ofServer, each, end);
  const { certPem: cert, keyPem } = issued;
  const own = side.tls.createSecureContext({ cert, key, ...options });
  const native = tls.createSecureContext({ cert, key: keyPem, ...options });
  if (each.closes) clientEnd.once('end', () => setImmediate(() => clientEnd.destroy()));
  const of = (end: Role) => ({ secureContext: end === role ? own : native, rejectUnauthorized: false });
  const requestCert = role === 'client';
  const server = new tls.TLSSocket(serverEnd as Socket, { isServer: true, requestCert, ...of('server') });
  const client = tls.connect({ socket: clientEnd as Socket, ...of('client') });
  server.on('error', () => client.destroy());
  client.on(each.closes ? 'close' : 'error', () => server.destroy());
  const log = { server: [] as string[], client: [] as string[] };
  const closed = Promise.all([watch(server, log.server), watch(client, log.client)]);
  // A server that waits for the client's Finished waits on.
  const waiting = () => Promise.all([once(client, 'secureConnect'), once(server, 'end')]);
  await (role === 'server' && flight === 1 ? waiting() : closed);
  for (const socket of [server, client]) socket.destroy();
  return log;
}

for (const [name, each] of Object.entries(CASES)) {
  for (const [when, end] of Object.entries(ENDS)) {
    parity(`the stream of ${name}, ends ${when}`, (side) => visit(side, side.key(issued), each, end));
  }
}

/** Natively the server has had the answer; here it is not worth one any more. */
for (const [when, end] of Object.entries(ENDS)) {
  parity(`the stream of a client, TLS 1.2, ends ${when} and is closed`, async (side) => {
    const each: Case = { role: 'client', options: { maxVersion: 'TLSv1.2' }, flight: 1, closes: true };
    return (await visit(side, side.key(issued), each, end)).client;
  });
}

/** Longer than a peer that has ended its side is waited for where it may have gone. */
const LONG_MS = 600;

test('a stream that is half-open has its answer however long the key takes, RSA key exchange', async () => {
  const local = localKey(issued.keyPem, { sync: true });
  const { sign } = local;
  const decrypt: PrivateKey['decrypt'] = async (operation) => {
    await new Promise((resolve) => setTimeout(resolve, LONG_MS));
    return local.decrypt!(operation);
  };
  const key = { sign, decrypt } as unknown as string;
  const each = CASES['a server, RSA key exchange']!;
  const side = await sideNamed('sync');
  const log = await visit(side, key, each, ENDS['at once']!);
  assert.deepEqual(log, { server: ['secure', 'end'], client: ['secure', 'data', 'end'] });
});

test('why a key fails is told before the end of the stream, a client, TLS 1.3', async () => {
  const key = { sign: () => Promise.reject(new Error('no')) } as unknown as string;
  const { client } = await visit(await sideNamed('sync'), key, CASES['a client, TLS 1.3']!, ENDS['at once']!);
  assert.deepEqual(client, ['ERR_KEYLESS_OPERATION_FAILED']);
});

test('a peer whose stream ends is found out to have gone while the key does not answer, TLS 1.3', async () => {
  let signal: AbortSignal | undefined;
  const sign: PrivateKey['sign'] = (operation) => {
    signal = operation.signal;
    return new Promise(() => {});
  };
  const secureContext = createSecureContext({ cert: issued.certPem, key: { sign } });
  const [here, there] = duplexPair();
  const server = new tls.TLSSocket(here, { isServer: true, secureContext }).on('error', () => {});
  const [ours, theirs] = duplexPair();
  const client = tls.connect({ socket: theirs, rejectUnauthorized: false }).on('error', () => {});
  ours.once('data', (hello) => there.end(hello));
  there.resume();
  await once(server.resume(), 'end');
  assert.equal(signal?.aborted, false, 'the key is asked for what nobody has given up');
  for (const each of [server, client, here, there, ours, theirs]) each.destroy();
});
