/**
 * What a connection stands on is destroyed in the turn in which its key answers, behind a whole flight of its peer: nothing of that is
 * read any more. Handlers would be called within SSL_read then, and Node frees at once what is destroyed on nothing.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { before, test } from 'node:test';
import tls from 'node:tls';
import { createServer, localKey, type PrivateKey } from '../../lib/index.ts';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import { duplexPair } from '../helpers/duplex-pair.ts';

let authority: Authority;
let issued: Issued;
let stranger: Issued;

before(async () => {
  authority = await makeAuthority();
  issued = await authority.issue({ type: 'rsa' });
  stranger = await (await makeAuthority()).issue({ type: 'p256' });
});

/** With RSA key exchange a client says all that it has to say before a server's key is asked. */
function oneFlight(): tls.ConnectionOptions {
  const { certPem: cert, keyPem: key } = stranger;
  const version = { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' } as const;
  return { ca: authority.certPem, servername: 'localhost', cert, key, ...version };
}

/** @param answering is called in the turn of the answer, just before it */
function keyOf({ keyPem }: Issued, answering: () => void): PrivateKey {
  const local = localKey(keyPem, { sync: true });
  return {
    sign: (operation) => local.sign(operation),
    decrypt: (operation) =>
      new Promise((resolve, reject) => {
        setTimeout(() => {
          answering();
          Promise.resolve(local.decrypt!(operation)).then(resolve, reject);
        }, 20);
      }),
  };
}

const SOURCES = {
  socket: async (server: tls.Server): Promise<[Socket, Socket]> => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const connected = once(server, 'connection');
    const { port } = server.address() as AddressInfo;
    const client = tls.connect({ port, ...oneFlight() });
    const [below] = (await connected) as [Socket];
    return [client, below];
  },
  stream: (server: tls.Server): Promise<[Socket, Socket]> => {
    const [mine, theirs] = duplexPair() as [unknown, unknown] as [Socket, Socket];
    const client = tls.connect({
      socket: mine,
      ca: authority.certPem,
      servername: 'localhost',
      ...oneFlight(),
    });
    server.emit('connection', theirs);
    return Promise.resolve([client, theirs]);
  },
};

/** In the turn of the answer. */
const GOING: Readonly<Record<string, readonly [keyof typeof SOURCES, (below: Socket) => void]>> = {
  'socket has gone': ['socket', (below) => below.destroy()],
  'stream has gone': ['stream', (below) => below.destroy()],
  'stream has ended, and gone': [
    'stream',
    (below) => {
      below.push(null);
      below.destroy();
    },
  ],
};

const DESTROYING = {
  'a listener destroys': {},
  'Node refuses for its certificate': { requestCert: true, rejectUnauthorized: true },
};

for (const [gone, [source, go]] of Object.entries(GOING)) {
  for (const [what, options] of Object.entries(DESTROYING)) {
    test(`a connection that ${what} is not told of where its ${gone}: its handshake has failed`, async () => {
      let below: Socket | undefined;
      const key = keyOf(issued, () => below && go(below));
      const server = createServer({ cert: issued.certPem, ca: authority.certPem, key, ...options });
      const told: unknown[] = [];
      server.on('secureConnection', (socket) => {
        told.push('secureConnection');
        socket.on('error', () => {});
        socket.destroy();
      });
      const failed = once(server, 'tlsClientError');
      const connected = await SOURCES[source](server);
      const [client] = connected;
      below = connected[1].on('error', () => {});
      client.on('error', () => {});
      const [error] = (await failed) as [NodeJS.ErrnoException];
      assert.deepEqual([error.code, told], ['ECONNRESET', []]);
      client.destroy();
      server.close();
    });
  }
}

test('nor where there is TLS below, and what that stands on has gone: Node tells of no failure there, natively neither', async () => {
  let below: Socket | undefined;
  const key = keyOf(issued, () => below?.destroy());
  const server = createServer({ cert: issued.certPem, key });
  const told: unknown[] = [];
  server.on('secureConnection', (socket) => {
    told.push('secureConnection');
    socket.destroy();
  });
  const { certPem: cert, keyPem } = issued;
  const around = tls.createServer({ cert, key: keyPem }, (socket) => server.emit('connection', socket));
  const [client, raw] = await SOURCES.stream(around);
  below = raw.on('error', () => {});
  client.on('error', () => {});
  const [outer] = (await once(around, 'secureConnection')) as [tls.TLSSocket];
  outer.on('error', () => {});
  const inner = tls.connect({ socket: client, ...oneFlight() });
  inner.on('error', () => {});
  await once(outer, 'close');
  assert.deepEqual([below.destroyed, told], [true, []]);
  inner.destroy();
});
