/** Whom a key server lets in, and for how long: certificates replaced, revoked and expired under open connections. */
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import net from 'node:net';
import { after, before, test } from 'node:test';
import type tls from 'node:tls';
import { GOODBYE_ID } from '../../../lib/protocol/answers.ts';
import { pingRequest } from '../../../lib/protocol/request-encoder.ts';
import type { ServerConnectionEnd, ServerConnectionRefused } from '../../../lib/server/channels.ts';
import { requireCredentials } from '../../../lib/server/credentials.ts';
import { Grants } from '../../../lib/server/grants.ts';
import { certificateName, revocationLists } from '../../../lib/server/revocation-list.ts';
import { type Issued, makeAuthority } from '../../helpers/certificates.ts';
import { closed } from '../../helpers/closed.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { connectPeer, type WirePeer } from '../../helpers/wire-peer.ts';

let setup: KeyServerSetup;
let other: Issued;
let nobodyRevoked: string;
let edgeRevoked: string;

before(async () => {
  setup = await makeKeyServers(['p256']);
  other = await setup.authority.issue({ type: 'p256', usage: 'client', cn: 'edge 2' });
  nobodyRevoked = await setup.authority.revoke([]);
  edgeRevoked = await setup.authority.revoke([setup.edge]);
});

after(() => setup.close());

function credentials(more: { cert?: string; key?: string; ca?: string; crl?: string } = {}) {
  const { certPem: cert, keyPem: key } = setup.server;
  return { cert, key, ca: setup.authority.certPem, ...more };
}

function edge({ certPem, keyPem }: Issued = setup.edge) {
  return { cert: certPem, key: keyPem, ca: setup.authority.certPem };
}

async function isServed(peer: WirePeer): Promise<boolean> {
  try {
    return (await peer.ask(pingRequest())).kind === 'pong';
  } catch {
    return false;
  }
}

async function isLetIn(port: number, issued?: Issued): Promise<boolean> {
  try {
    const peer = await connectPeer(port, edge(issued));
    const served = await isServed(peer);
    peer.close();
    return served;
  } catch {
    return false;
  }
}

test('a revocation list says whom it revokes, by issuer and serial number', () => {
  const lists = revocationLists(nobodyRevoked + edgeRevoked);
  assert.deepEqual(
    lists.map(({ size }) => size),
    [0, 1],
  );
  const revokes = (der: Buffer) => lists.map((list) => list.revokes(certificateName(der)));
  assert.deepEqual(revokes(setup.edge.certDer), [false, true]);
  assert.deepEqual(revokes(other.certDer), [false, false]);
  const elsewhere = { ...certificateName(setup.edge.certDer), issuer: Buffer.from('3000', 'hex') };
  assert.deepEqual(
    lists.map((list) => list.revokes(elsewhere)),
    [false, false],
  );
});

test('what is no revocation list is refused, wherever it is cut', () => {
  const [begin, end] = ['-----BEGIN X509 CRL-----\n', '\n-----END X509 CRL-----\n'];
  const der = Buffer.from(edgeRevoked.replace(/-----[^-]+-----/g, ''), 'base64');
  for (const text of ['', 'x', setup.edge.certPem, `${begin}${end}`, `${begin}AAAA${end}`]) {
    assert.throws(() => revocationLists(text), { code: 'ERR_KEYLESS_INVALID_ARGUMENT' }, text);
  }
  for (let bytes = 0; bytes < der.length; bytes += 1) {
    const cut = `${begin}${der.subarray(0, bytes).toString('base64')}${end}`;
    assert.throws(() => revocationLists(cut), { code: 'ERR_KEYLESS_INVALID_ARGUMENT' }, String(bytes));
  }
});

/** What becomes of a PEM file behind one that is whole, wherever a copy of it is cut or a character of it is another one. */
function* damaged(pem: string): Generator<string> {
  const whole = pem.trimEnd();
  for (let length = 1; length < whole.length; length += 1) yield whole.slice(0, length);
  for (let at = 0; at < whole.length; at += 7) {
    if (whole[at] !== '\n') yield `${whole.slice(0, at)}!${whole.slice(at + 1)}`;
  }
}

test('a revocation list that is not whole is refused, also behind one that is', () => {
  assert.equal(revocationLists(`# ours\r\n${nobodyRevoked}\n${edgeRevoked.trimEnd()}`).length, 2);
  assert.equal(revocationLists(`${setup.edge.certPem}${setup.edge.keyPem}${edgeRevoked}`).length, 1);
  const error = { code: 'ERR_KEYLESS_INVALID_ARGUMENT' };
  for (const list of damaged(edgeRevoked)) {
    assert.throws(() => revocationLists(nobodyRevoked + list), error, list);
    if (list.includes('-----BEGIN ')) assert.throws(() => revocationLists(list + nobodyRevoked), error, list);
  }
});

test('so is a certificate, of an authority or of the key server: nobody is left out in silence', async () => {
  const [first, second] = [setup.authority.certPem, (await makeAuthority('Second')).certPem];
  const { cert, ...rest } = credentials();
  requireCredentials({ ...rest, cert: cert + second, ca: [first, Buffer.from(second)] });
  const inside = second.replace(/^M/m, 'N');
  for (const damage of [inside, ...damaged(second)]) {
    const options = { code: 'ERR_KEYLESS_INVALID_ARGUMENT' };
    assert.throws(() => requireCredentials({ ...rest, cert, ca: first + damage }), options, damage);
    assert.throws(() => requireCredentials({ ...rest, cert, ca: [first, damage] }), options, damage);
    assert.throws(() => requireCredentials({ ...rest, cert: cert + damage, ca: first }), options, damage);
  }
});

test('a client on the list is not let in, others are', async () => {
  const { port } = await setup.start({ crl: edgeRevoked });
  assert.deepEqual([await isLetIn(port), await isLetIn(port, other)], [false, true]);
});

test('a client that is revoked while it is connected is disconnected at once, others are not', async () => {
  const server = await setup.start({ crl: nobodyRevoked });
  const [revoked, stays] = [
    await connectPeer(server.port, edge()),
    await connectPeer(server.port, edge(other)),
  ];
  assert.deepEqual([await isServed(revoked), await isServed(stays)], [true, true]);
  server.setCredentials(credentials({ crl: edgeRevoked }));
  await revoked.closed;
  assert.equal(await isServed(stays), true);
  assert.equal(await isLetIn(server.port), false);
  stays.close();
});

test('a new certificate is for the connections to come, those there are go on', async () => {
  const server = await setup.start();
  const peer = await connectPeer(server.port, edge());
  const renewed = await setup.authority.issue({ type: 'p256', usage: 'server', cn: 'renewed' });
  server.setCredentials(credentials({ cert: renewed.certPem, key: renewed.keyPem }));
  assert.equal(await isServed(peer), true);
  const later = await connectPeer(server.port, edge());
  const subject = ({ socket }: WirePeer) => (socket as tls.TLSSocket).getPeerCertificate().subject.CN;
  assert.deepEqual([subject(peer), subject(later)], ['localhost', 'renewed']);
  peer.close();
  later.close();
});

test('with another authority the connections there are end, when their answers have left', async () => {
  const server = await setup.start();
  const peer = await connectPeer(server.port, edge());
  const authority = await makeAuthority('Next authority');
  server.setCredentials(credentials({ ca: authority.certPem }));
  await peer.closed;
  assert.equal(await isLetIn(server.port), false);
});

test('also those that were in their handshake, with the old one', async () => {
  const server = await setup.start({ idleTimeoutMs: 3000 });
  const come = async () => {
    const arrived = new Promise((resolve) => {
      const listener = () => {
        unsubscribe('net.server.socket', listener);
        resolve(undefined);
      };
      subscribe('net.server.socket', listener);
    });
    const socket = net.connect(server.port, '127.0.0.1');
    await arrived;
    return socket;
  };
  const [early, late] = [await come(), await come()];
  const stays = await connectPeer(server.port, edge(), 'ours', { socket: early });
  assert.equal(await isServed(stays), true);
  server.setCredentials(credentials({ ca: (await makeAuthority('Another')).certPem }));
  const peer = await connectPeer(server.port, edge(), 'ours', { socket: late });
  assert.ok(await peer.answer(GOODBYE_ID));
  await Promise.all([stays.closed, peer.closed]);
});

test('credentials that cannot be used are refused, and the old ones stay', async () => {
  const server = await setup.start();
  const peer = await connectPeer(server.port, edge());
  assert.throws(() => server.setCredentials(credentials({ cert: other.certPem })), /key values mismatch/);
  assert.throws(() => server.setCredentials(credentials({ crl: 'none' })), {
    code: 'ERR_KEYLESS_INVALID_ARGUMENT',
  });
  // With an empty text Node would let in whomever its own authorities have certified.
  for (const ca of [undefined, '', false, [], [''], Buffer.alloc(0)] as never[]) {
    assert.throws(() => server.setCredentials({ ...credentials(), ca }), {
      code: 'ERR_KEYLESS_INVALID_ARGUMENT',
      message: 'A key server needs "ca".',
    });
  }
  server.setCredentials({ ...credentials(), ca: ['', setup.authority.certPem] });
  const half = other.certPem.slice(0, 300);
  assert.throws(() => server.setCredentials(credentials({ ca: setup.authority.certPem + half })), {
    message: '"ca" has a block in PEM that is not whole: cut short, or damaged.',
  });
  assert.deepEqual([await isServed(peer), await isLetIn(server.port)], [true, true]);
  peer.close();
});

test('a connection ends with the certificate that it was let in with', async () => {
  const clock = new ManualClock();
  const server = await setup.start({ clock, idleTimeoutMs: 2_147_483_647 });
  const ends: (Error | undefined)[] = [];
  const listener = (message: unknown) => ends.push((message as ServerConnectionEnd).error);
  subscribe('keyless-tls:server:connection:end', listener);
  const peer = await connectPeer(server.port, edge());
  assert.equal(await isServed(peer), true);
  const dayMs = 86_400_000;
  clock.advance(1.9 * dayMs);
  assert.equal(await isServed(peer), true);
  clock.advance(0.2 * dayMs);
  await peer.closed;
  unsubscribe('keyless-tls:server:connection:end', listener);
  assert.match(ends.map(String).join(), /has expired since it connected/);
});

test('also with that of an authority between its own and the one of the key server', async () => {
  const clock = new ManualClock();
  const server = await setup.start({ clock, idleTimeoutMs: 2_147_483_647 });
  const dayMs = 86_400_000;
  const north = await setup.authority.subordinate('North', undefined, 1);
  const issued = await north.issue({ type: 'p256', usage: 'client' });
  const peer = await connectPeer(server.port, edge({ ...issued, certPem: issued.certPem + north.certPem }));
  assert.equal(await isServed(peer), true);
  clock.advance(0.9 * dayMs);
  assert.equal(await isServed(peer), true);
  clock.advance(0.2 * dayMs);
  assert.equal(await isServed(peer), false);
});

test('who was refused is told by address, also when the connection has gone', async () => {
  const { port } = await setup.start();
  const refused: ServerConnectionRefused[] = [];
  const listener = (message: unknown) => void refused.push(message as ServerConnectionRefused);
  subscribe('keyless-tls:server:connection:refused', listener);
  const stranger = await (await makeAuthority('Stranger')).issue({ type: 'p256', usage: 'client' });
  assert.equal(await isLetIn(port, stranger), false);
  const socket = net.connect(port, '127.0.0.1', () => socket.end('this is not TLS'));
  await closed(socket.resume());
  unsubscribe('keyless-tls:server:connection:refused', listener);
  assert.equal(refused.length, 2);
  for (const { address } of refused) assert.match(address, /^127\.0\.0\.1 port \d+$/);
});

test('what throws when a client is looked at ends its connection, with a line, and nothing else', async (context) => {
  const { port } = await setup.start();
  const stays = await connectPeer(port, edge());
  assert.equal(await isServed(stays), true);
  const refused: ServerConnectionRefused[] = [];
  const listener = (message: unknown) => void refused.push(message as ServerConnectionRefused);
  subscribe('keyless-tls:server:connection:refused', listener);
  const find = context.mock.method(Grants.prototype, 'find', () => {
    throw new Error('no\ngrant');
  });
  assert.equal(await isLetIn(port), false);
  find.mock.restore();
  unsubscribe('keyless-tls:server:connection:refused', listener);
  assert.deepEqual([await isServed(stays), await isLetIn(port)], [true, true]);
  assert.equal(refused.length, 1);
  assert.equal(refused[0]!.reason, 'certificate');
  assert.match(refused[0]!.error.message, /^The client cannot be told by what it sent: Error: no\S+grant$/);
  stays.close();
});

for (const profile of ['ours', 'field'] as const) {
  test(`no session is resumed (${profile}): it would outlive the certificate it was made with`, async () => {
    const server = await setup.start();
    const first = await connectPeer(server.port, edge(), profile);
    let session: Buffer | undefined = first.socket.getSession();
    first.socket.on('session', (later: Buffer) => {
      session = later;
    });
    assert.equal(await isServed(first), true);
    const again = await connectPeer(server.port, edge(), profile, { session });
    assert.equal(await isServed(again), true);
    assert.equal(again.socket.isSessionReused(), false);
    for (const peer of [first, again]) peer.close();
  });
}

test('a client cannot negotiate again, and become another one', async () => {
  const server = await setup.start();
  const peer = await connectPeer(server.port, edge(), 'field');
  assert.equal(await isServed(peer), true);
  // Node calls back where it is done, and says elsewhere that it is refused.
  const error = await new Promise((resolve) => {
    peer.socket.once('error', resolve);
    peer.socket.renegotiate({}, resolve);
  });
  assert.match(String(error), /no renegotiation/);
  peer.close();
});
