import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, type TestContext, test } from 'node:test';
import type tls from 'node:tls';
import { CertificateAuthority } from '../../../lib/cli/certificate-authority.ts';
import { encodeFrame } from '../../../lib/protocol/frame-encoder.ts';
import { pingRequest, signRequest } from '../../../lib/protocol/request-encoder.ts';
import type { Items } from '../../../lib/protocol/tags.ts';
import type {
  ServerConnectionEnd,
  ServerConnectionRefused,
  ServerOperation,
} from '../../../lib/server/channels.ts';
import {
  serverConnectionEnd,
  serverConnectionRefused,
  serverOperation,
} from '../../../lib/server/channels.ts';
import type { KeyServer, KeyServerOptions } from '../../../lib/server/key-server.ts';
import { makeAuthority } from '../../helpers/certificates.ts';
import { closed } from '../../helpers/closed.ts';
import { certificateVerify } from '../../helpers/handshake-messages.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { connectPeer, type WirePeer } from '../../helpers/wire-peer.ts';

let setup: KeyServerSetup;
let keyServer: KeyServer & { port: number };

before(async () => {
  setup = await makeKeyServers(['p256']);
  keyServer = await setup.start();
});
after(() => keyServer.close());

async function withPeer(
  work: (peer: WirePeer) => Promise<void>,
  profile: 'ours' | 'field' = 'ours',
): Promise<void> {
  const peer = await connectPeer(keyServer.port, setup.edgeOptions, profile);
  try {
    await work(peer);
  } finally {
    peer.close();
  }
}

async function withServer(
  options: Partial<KeyServerOptions>,
  work: (server: KeyServer & { port: number }) => Promise<void>,
): Promise<void> {
  const server = await setup.start(options);
  try {
    await work(server);
  } finally {
    await server.close();
  }
}

function signItems(): Items {
  return signRequest('ecdsa_secp256r1_sha256', certificateVerify(), setup.sites.p256!);
}

const frame = (body: string, id = '00000007') => {
  const length = (body.length / 2).toString(16).padStart(4, '0');
  return Buffer.from(`0100${length}${id}${body}`, 'hex');
};

/** Bodies of frames, and the error that answers them; the connection goes on. */
const ANSWERED: readonly (readonly [string, string, number])[] = [
  ['an empty body', '', 7],
  ['padding alone', '200005ffffffffff', 7],
  ['unknown items alone', '990001aa980000', 7],
  ['an empty opcode', '110000', 7],
  ['an opcode of two bytes', '1100021515', 7],
  ['an unknown opcode', '11000199', 5],
  ['a wait of two bytes', '110001f13000020005', 7],
  ['a response', '110001f0120000', 6],
  ['a pong', '110001f2', 6],
  ['an error', '110001ff12000102', 6],
  ['a signature without a key', `110001151200 20${'00'.repeat(32)}`.replace(' ', ''), 7],
  ['a signature without a digest', `11000115040014${'00'.repeat(20)}`, 7],
  ['a signature with a short digest', `1100011512001f${'00'.repeat(31)}040014${'00'.repeat(20)}`, 7],
  ['a key id of 19 bytes', `110001151200 20${'00'.repeat(32)}040013${'00'.repeat(19)}`.replace(' ', ''), 7],
  [
    'a client address of 5 bytes',
    `11000115120020${'00'.repeat(32)}040014${'00'.repeat(20)}0300050102030405`,
    7,
  ],
  ['a custom function without a name', '11000124', 7],
  ['a custom function nobody knows', '11000124130003626164', 5],
  ['a blind digest', `11000115120020${'00'.repeat(32)}040014${'00'.repeat(20)}`, 5],
  ['a raw decryption', `11000101120020${'00'.repeat(32)}040014${'00'.repeat(20)}`, 5],
];

for (const [what, body, code] of ANSWERED) {
  test(`${what} is answered with error 0${code}, and the connection goes on`, async () => {
    await withPeer(async (peer) => {
      peer.socket.write(frame(body));
      assert.deepEqual(await peer.answer(7), { kind: 'error', code });
      assert.equal((await peer.ask(signItems())).kind, 'result');
    });
  });
}

/** What cannot be followed any further. */
const CLOSED: readonly (readonly [string, Buffer])[] = [
  ['an item that overruns the body', frame('110002f1')],
  ['half an item header', frame('1100')],
  ['an item of 65,535 bytes in a short body', frame('12ffff00')],
  ['a known item twice', frame('110001f1110001f1')],
  ['padding twice', frame('110001f1200000200000')],
  [
    'a full body of items without end',
    Buffer.concat([Buffer.from('0100ffff00000007', 'hex'), Buffer.alloc(65_535, 0xff)]),
  ],
];

for (const [what, bytes] of CLOSED) {
  test(`${what} closes the connection, after the answers before it`, async () => {
    await withPeer(async (peer) => {
      peer.send(pingRequest(), 1);
      await peer.answer(1);
      peer.socket.write(bytes);
      await peer.closed;
    });
    assert.equal((await keyServer.stats()).inFlight, 0);
  });
}

/** Node takes it; its types do not say so. */
const HALF_OPEN = { allowHalfOpen: true } as tls.ConnectionOptions;
const BROKEN = CLOSED[0]![1];

test('requests that came in one piece with a broken frame behind them are answered first', async () => {
  await withPeer(async (peer) => {
    const requests = [1, 2, 3].map((id) => encodeFrame(id, signItems()));
    peer.socket.write(Buffer.concat([...requests, BROKEN, encodeFrame(4, signItems())]));
    await peer.closed;
    assert.deepEqual([...peer.answers].map(([id, { kind }]) => [id, kind]).sort(), [
      [1, 'result'],
      [2, 'result'],
      [3, 'result'],
    ]);
  });
});

test('a peer that goes on after a broken frame has nothing signed, and is disconnected, with the reason', async () => {
  const clock = new ManualClock();
  const ends: ServerConnectionEnd[] = [];
  const listener = (message: unknown) => void ends.push(message as ServerConnectionEnd);
  serverConnectionEnd.subscribe(listener);
  await withServer({ clock }, async (server) => {
    const peer = await connectPeer(server.port, setup.edgeOptions, 'ours', HALF_OPEN);
    const own = `127.0.0.1 port ${peer.socket.localPort}`;
    peer.socket.write(Buffer.concat([encodeFrame(1, pingRequest()), BROKEN]));
    await once(peer.socket, 'end');
    assert.equal((await peer.answer(1)).kind, 'pong');
    for (let id = 2; id < 5; id += 1) peer.send(signItems(), id);
    while (server.stats().connections > 0) {
      clock.advance(100);
      await new Promise(setImmediate);
    }
    assert.ok(clock.now() < 5000, `${clock.now()} ms`);
    serverConnectionEnd.unsubscribe(listener);
    const [end, ...more] = ends.filter(({ peer: { address } }) => address === own);
    assert.deepEqual(
      [(end?.error as NodeJS.ErrnoException | undefined)?.code, more],
      ['ERR_KEYLESS_PROTOCOL', []],
    );
    peer.close();
    assert.equal(server.stats().answered, 1);
  });
});

test('the version of a frame is not looked at', async () => {
  await withPeer(async (peer) => {
    const bytes = encodeFrame(7, pingRequest());
    bytes[0] = 9;
    bytes[1] = 9;
    peer.socket.write(bytes);
    assert.equal((await peer.answer(7)).kind, 'pong');
  });
});

for (const profile of ['ours', 'field'] as const) {
  test(`requests byte by byte are answered as whole ones are, profile ${profile}`, async () => {
    await withPeer(async (peer) => {
      const bytes = Buffer.concat([
        encodeFrame(1, signItems()),
        encodeFrame(2, pingRequest(Buffer.from('x'))),
      ]);
      for (const octet of bytes) peer.socket.write(Buffer.of(octet));
      assert.equal((await peer.answer(1)).kind, 'result');
      assert.equal((await peer.answer(2)).kind, 'pong');
    }, profile);
  });
}

test('merged frames, ids at both ends of the range and the same id twice are all answered', async () => {
  await withPeer(async (peer) => {
    const ids = [0, 1, 2 ** 32 - 1, 5];
    peer.socket.write(Buffer.concat([...ids, 5].map((id) => encodeFrame(id, signItems()))));
    for (const id of ids) assert.equal((await peer.answer(id)).kind, 'result');
  });
});

test('all answers of a turn leave in one write', async () => {
  await withPeer(async (peer) => {
    peer.socket.write(Buffer.concat(Array.from({ length: 8 }, (_, id) => encodeFrame(id, signItems()))));
    for (let id = 0; id < 8; id += 1) await peer.answer(id);
    assert.equal(peer.chunks.length, 1, `${peer.chunks}`);
  });
});

test('a peer that has ended its side still gets its answers', async () => {
  await withPeer(async (peer) => {
    peer.socket.end(Buffer.concat([1, 2, 3].map((id) => encodeFrame(id, signItems()))));
    for (const id of [1, 2, 3]) assert.equal((await peer.answer(id)).kind, 'result');
    await peer.closed;
  });
});

test('a flood of requests whose answers nobody reads stops being read, and goes on when they are', async () => {
  await withPeer(async (peer) => {
    peer.socket.pause();
    // Far more than the sockets' buffers hold.
    const requests = 20_000;
    const ping = pingRequest(Buffer.alloc(900));
    peer.socket.write(Buffer.concat(Array.from({ length: requests }, (_, id) => encodeFrame(id, ping))));
    const before = keyServer.stats().answered;
    const answeredNow = () => keyServer.stats().answered - before;
    let answered = 0;
    do {
      answered = answeredNow();
      await new Promise((resolve) => setTimeout(resolve, 100));
    } while (answered === 0 || answered !== answeredNow());
    assert.ok(answered < requests, `${answered} answered unread`);
    peer.socket.resume();
    for (let id = 0; id < requests; id += 1) assert.equal((await peer.answer(id)).kind, 'pong');
  });
});

test('a connection that brings no whole request within the time is closed', async () => {
  await withServer({ idleTimeoutMs: 2000 }, async (server) => {
    const silent = await connectPeer(server.port, setup.edgeOptions);
    const slow = await connectPeer(server.port, setup.edgeOptions);
    const dripping = setInterval(() => slow.socket.write(Buffer.of(1)), 20);
    await Promise.all([silent.closed, slow.closed]);
    clearInterval(dripping);
  });
});

test('a connection that asks within the time stays, and goes when it stops', async () => {
  const clock = new ManualClock();
  await withServer({ idleTimeoutMs: 1000, clock }, async (server) => {
    const peer = await connectPeer(server.port, setup.edgeOptions);
    for (let time = 0; time < 5; time += 1) {
      assert.equal((await peer.ask(pingRequest())).kind, 'pong');
      clock.advance(900);
    }
    clock.advance(100);
    await peer.closed;
  });
});

test('a connection that says nothing, or no TLS, is closed within the time for handshakes', async () => {
  const refusals: unknown[] = [];
  const collect = (message: unknown) => refusals.push(message);
  serverConnectionRefused.subscribe(collect);
  await withServer({ handshakeTimeoutMs: 150 }, async (server) => {
    const silent = net.connect(server.port, '127.0.0.1');
    const http = net.connect(server.port, '127.0.0.1');
    http.write('GET / HTTP/1.1\r\n\r\n');
    http.resume();
    silent.resume();
    await Promise.all([closed(silent), closed(http)]);
    assert.equal(server.stats().refused, 2);
  });
  serverConnectionRefused.unsubscribe(collect);
  assert.equal(refusals.length, 2);
});

/** Fails at the latest when it should have got an answer: TLS 1.3 tells a client late that it is refused. */
async function isRefused(
  port: number,
  credentials: Parameters<typeof connectPeer>[1],
  options: tls.ConnectionOptions = {},
) {
  await assert.rejects(async () => {
    const peer = await connectPeer(port, credentials, 'ours', options);
    await peer.ask(pingRequest());
  });
}

/** Valid from tomorrow on. */
function issueEarly({ mock }: TestContext, authority: CertificateAuthority) {
  mock.timers.enable({ apis: ['Date'], now: Date.now() + 86_400_000 });
  try {
    const names = { commonName: 'edge-1', dnsNames: ['edge-1'] };
    return authority.issue({ ...names, usage: 'client', keyType: 'ec', days: 2 });
  } finally {
    mock.timers.reset();
  }
}

test('a client whose certificate is not valid yet gets nothing, and is told of as such', async (context) => {
  const authority = CertificateAuthority.make('Early', 3);
  const { certPem, keyPem } = issueEarly(context, authority);
  const told: string[] = [];
  const collect = (message: unknown) => told.push((message as ServerConnectionRefused).error.message);
  serverConnectionRefused.subscribe(collect);
  await withServer({ ca: authority.certPem }, ({ port }) =>
    isRefused(port, { cert: certPem, key: keyPem, ca: setup.edgeOptions.ca }),
  );
  serverConnectionRefused.unsubscribe(collect);
  assert.equal(told.length, 1);
  assert.match(told[0]!, /CERT_NOT_YET_VALID/);
});

test('clients without a certificate, of another CA, expired, for servers only, or of another protocol get nothing', async () => {
  const stranger = await makeAuthority('Another authority');
  const [other, expired, serverOnly] = await Promise.all([
    stranger.issue({ type: 'p256', usage: 'client' }),
    setup.authority.issue({ type: 'p256', usage: 'client', days: -1 }),
    setup.authority.issue({ type: 'p256', usage: 'server' }),
  ]);
  const { ca } = setup.edgeOptions;
  const told: string[] = [];
  const collect = (message: unknown) => told.push((message as ServerConnectionRefused).error.message);
  serverConnectionRefused.subscribe(collect);
  await isRefused(keyServer.port, { ca });
  for (const { certPem, keyPem } of [other, expired, serverOnly]) {
    await isRefused(keyServer.port, { cert: certPem, key: keyPem, ca });
  }
  await isRefused(keyServer.port, setup.edgeOptions, { ALPNProtocols: ['http/1.1'] });
  await isRefused(keyServer.port, setup.edgeOptions, { maxVersion: 'TLSv1.2' });
  await isRefused(keyServer.port, setup.edgeOptions, {
    maxVersion: 'TLSv1.2',
    ALPNProtocols: [],
    ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256',
  });
  serverConnectionRefused.unsubscribe(collect);
  assert.equal(told.length, 7);
  for (const reason of [
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'CERT_HAS_EXPIRED',
    'INVALID_PURPOSE',
    'needs TLS 1.3',
  ]) {
    assert.ok(
      told.some((message) => message.includes(reason)),
      `${reason} in ${told.join('; ')}`,
    );
  }
  assert.equal(keyServer.stats().inFlight, 0);
});

test('connections beyond the limit are dropped, and there is room again later', async () => {
  await withServer({ maxConnections: 1 }, async (server) => {
    const first = await connectPeer(server.port, setup.edgeOptions);
    await isRefused(server.port, setup.edgeOptions);
    assert.equal(server.stats().refused, 1);
    first.close();
    await first.closed;
    while (server.stats().connections > 0) await new Promise((resolve) => setImmediate(resolve));
    const second = await connectPeer(server.port, setup.edgeOptions);
    assert.equal((await second.ask(pingRequest())).kind, 'pong');
    second.close();
  });
});

test('SNI of a peer is escaped where it is told', async () => {
  const told: ServerOperation[] = [];
  const collect = (message: unknown) => told.push(message as ServerOperation);
  serverOperation.subscribe(collect);
  await withPeer(async (peer) => {
    assert.equal(
      (await peer.ask({ ...signItems(), servername: Buffer.from('a\n\u001b]0;x') })).kind,
      'result',
    );
  });
  serverOperation.unsubscribe(collect);
  assert.deepEqual(
    told.map(({ servername, kind, method, context, errorCode }) => [
      servername,
      kind,
      method,
      context,
      errorCode,
    ]),
    [['a\\x0a\\x1b]0;x', 'sign', 'ecdsa sha256', 'tls13-server', undefined]],
  );
  assert.equal(told[0]!.keyId, setup.sites.p256!.keyId.toString('hex'));
  assert.equal(told[0]!.peer.subject, 'CN=edge 1');
});
