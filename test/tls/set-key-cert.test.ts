/** TLSSocket.setKeyCert: a connection's certificate and key changed after its socket was made. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { before, test } from 'node:test';
import tls, { type TLSSocket, type TlsOptions } from 'node:tls';
import { connect, createSecureContext, createServer } from '../../lib/index.ts';
import { giveBetweenFlights, linkTo, RSA_EXCHANGE } from '../helpers/between-flights.ts';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, converse, listen } from '../helpers/connections.ts';
import { parity, remoteKey, type Side } from '../helpers/parity.ts';

const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;

let authority: Authority;
let first: Issued;
let other: Issued;
let byName: Issued;
let p256: Issued;

before(async () => {
  authority = await makeAuthority();
  first = await authority.issue({ type: 'rsa' });
  other = await authority.issue({ type: 'rsa', usage: 'both' });
  byName = await authority.issue({ type: 'rsa' });
  p256 = await authority.issue({ type: 'p256' });
});

const contextOf = (side: Side, issued: Issued) =>
  side.tls.createSecureContext({ cert: issued.certPem, key: side.key(issued) });

/** Exchanges the certificate when the client's protocols are known, as Node's documentation advises. */
async function exchange(
  side: Side,
  own: TlsOptions,
  make: typeof tls.createServer,
  more: tls.ConnectionOptions = {},
): Promise<unknown> {
  const context = contextOf(side, other);
  const server = make({
    ...own,
    ALPNCallback(this: TLSSocket, { protocols }: { protocols: string[] }) {
      this.setKeyCert(context);
      return protocols[0];
    },
  } as TlsOptions);
  const port = await listen(server);
  const client = { ca: authority.certPem, ALPNProtocols: ['a'], ...more };
  const story = await converse(side, server, port, { client });
  await close(server);
  return story;
}

for (const maxVersion of VERSIONS) {
  parity(
    `setKeyCert in an ALPNCallback, ${maxVersion}`,
    (side) =>
      exchange(side, { maxVersion, cert: first.certPem, key: side.key(first) }, side.tls.createServer),
    1,
  );

  parity(
    `setKeyCert in an ALPNCallback of a server of Node's own, ${maxVersion}`,
    (side) => exchange(side, { maxVersion, cert: first.certPem, key: first.keyPem }, tls.createServer),
    1,
  );

  for (const chosen of ['a name with a context', 'a name without one']) {
    parity(`setKeyCert in an ALPNCallback before ${chosen} is looked up, ${maxVersion}`, (side) => {
      const context = chosen === 'a name with a context' ? contextOf(side, byName) : undefined;
      const asked: string[] = [];
      const SNICallback: TlsOptions['SNICallback'] = (name, done) => {
        asked.push(name);
        setImmediate(done, null, context);
      };
      const own = { maxVersion, SNICallback, cert: first.certPem, key: first.keyPem };
      return exchange(side, own, tls.createServer).then((story) => ({ story, asked }));
    });
  }

  parity(
    `setKeyCert before the handshake, ${maxVersion}`,
    async (side) => {
      const context = contextOf(side, other);
      const raw = net.createServer().listen(0, '127.0.0.1');
      await once(raw, 'listening');
      const { port } = raw.address() as net.AddressInfo;
      raw.on('connection', (accepted) => {
        const none = tls.createSecureContext({ maxVersion });
        const socket = new tls.TLSSocket(accepted, { isServer: true, secureContext: none });
        socket.setKeyCert(context);
        socket.end('hello');
      });
      const client = side.tls.connect({
        port,
        host: '127.0.0.1',
        servername: 'localhost',
        ca: authority.certPem,
      });
      const log: unknown[] = [];
      client.on('secureConnect', () => log.push(client.getPeerX509Certificate()?.fingerprint256));
      client.on('error', (error) => log.push(error)).on('data', (data) => log.push(String(data)));
      await new Promise((resolve) => client.on('close', resolve));
      raw.close();
      return log;
    },
    1,
  );
}

parity(
  'setKeyCert on a server that has no certificate, TLSv1.3',
  (side) => exchange(side, {}, side.tls.createServer),
  1,
);

parity(
  "setKeyCert after the flight of a server of Node's own, before its client's RSA key exchange",
  async (side) => {
    const renewed = contextOf(side, first);
    let accepted: TLSSocket | undefined;
    const server = tls.createServer({
      cert: first.certPem,
      key: first.keyPem,
      ciphers: 'AES128-GCM-SHA256',
      maxVersion: 'TLSv1.2',
      ALPNCallback(this: TLSSocket, { protocols }: { protocols: string[] }) {
        accepted = this;
        return protocols[0];
      },
    } as unknown as TlsOptions);
    const link = await linkTo(await listen(server), (flight) => {
      if (flight === 2) accepted?.setKeyCert(renewed);
    });
    const { port } = link.address() as net.AddressInfo;
    const story = await converse(side, server, port, {
      client: { ca: authority.certPem, ALPNProtocols: ['a'] },
    });
    await close(link as tls.Server);
    await close(server);
    return story;
  },
  1,
);

parity(
  'setKeyCert between the flights of a context, chosen late, with keys of both kinds',
  (side) => {
    const cert = [p256.certPem, first.certPem];
    const own = side.tls.createSecureContext({ ...RSA_EXCHANGE, cert, key: [side.key(p256), first.keyPem] });
    return giveBetweenFlights(authority.certPem, own, contextOf(side, first));
  },
  1,
);

for (const late of [false, true]) {
  const when = late ? 'chosen late' : 'chosen at once';
  for (const ciphers of ['AES128-GCM-SHA256', 'ECDHE-RSA-AES128-GCM-SHA256']) {
    parity(
      `setKeyCert between the flights of a context of Node's own, ${when}, ${ciphers}`,
      (side) => {
        const own = tls.createSecureContext({
          ...RSA_EXCHANGE,
          ciphers,
          cert: first.certPem,
          key: first.keyPem,
        });
        return giveBetweenFlights(authority.certPem, own, contextOf(side, first), late);
      },
      ciphers.startsWith('ECDHE') ? 0 : 1,
    );
  }
}

const psk = Buffer.alloc(32, 1);
const WITH_PSK = { pskCallback: () => ({ psk, identity: 'me' }), checkServerIdentity: () => undefined };

parity(
  "setKeyCert in a pskCallback of a server of Node's own that knows no such identity, TLSv1.3",
  async (side) => {
    const context = contextOf(side, other);
    const server = tls.createServer({
      cert: first.certPem,
      key: first.keyPem,
      pskCallback(socket: TLSSocket) {
        socket.setKeyCert(context);
        return null;
      },
    } as unknown as TlsOptions);
    const port = await listen(server);
    const client = { ca: authority.certPem, ...WITH_PSK } as unknown as tls.ConnectionOptions;
    const story = await converse(side, server, port, { client });
    await close(server);
    return story;
  },
  1,
);

for (const cipher of ['PSK-AES128-GCM-SHA256', 'ECDHE-RSA-AES128-GCM-SHA256']) {
  parity(`setKeyCert in an ALPNCallback beside a pskCallback, ${cipher}`, (side) => {
    const own = {
      ...{ cert: first.certPem, key: first.keyPem, maxVersion: 'TLSv1.2' },
      ...{ ciphers: cipher, pskCallback: () => psk },
    } as TlsOptions;
    const client = { ...WITH_PSK, ciphers: cipher };
    return exchange(side, own, tls.createServer, client as unknown as tls.ConnectionOptions);
  });
}

parity(
  'setKeyCert of a client, which Node does not heed',
  async (side) => {
    const own = { cert: first.certPem, key: first.keyPem, ca: authority.certPem };
    const server = tls.createServer({ ...own, requestCert: true, rejectUnauthorized: false });
    const port = await listen(server);
    const client = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca: authority.certPem });
    client.setKeyCert(contextOf(side, other));
    const [socket] = (await once(server, 'secureConnection')) as [TLSSocket];
    const seen = [socket.authorized, socket.getPeerX509Certificate()?.fingerprint256];
    client.destroy();
    socket.destroy();
    await close(server);
    return seen;
  },
  0,
);

test('setKeyCert after the handshake is taken, and heeded by nobody', async () => {
  const context = createSecureContext({ cert: other.certPem, key: remoteKey(other.keyPem, 'sync') });
  for (const maxVersion of VERSIONS) {
    const server = tls.createServer({ cert: first.certPem, key: first.keyPem, maxVersion }, (socket) => {
      socket.setKeyCert(context);
      socket.end('well');
    });
    const port = await listen(server);
    const client = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca: authority.certPem });
    const [data] = (await once(client, 'data')) as [Buffer];
    assert.equal(String(data), 'well');
    client.destroy();
    await close(server);
  }
});

for (const maxVersion of VERSIONS) {
  test(`setKeyCert over a key with few schemes, ${maxVersion}: the other key signs with all of its own`, async () => {
    const limited = {
      ...remoteKey(first.keyPem, 'sync'),
      schemes: ['rsa_pss_rsae_sha384', 'rsa_pkcs1_sha384'] as const,
    };
    const own = createSecureContext({ cert: first.certPem, key: limited, maxVersion });
    const others = [
      createSecureContext({ cert: p256.certPem, key: remoteKey(p256.keyPem, 'sync') }),
      tls.createSecureContext({ cert: p256.certPem, key: p256.keyPem }),
    ];
    for (const context of others) {
      const raw = net.createServer((accepted) => {
        const socket = new tls.TLSSocket(accepted, { isServer: true, secureContext: own });
        socket.setKeyCert(context);
        socket.on('error', () => {}).end('well');
      });
      const port = await listen(raw as tls.Server);
      const ciphers = maxVersion === 'TLSv1.2' ? 'ECDHE-ECDSA-AES128-GCM-SHA256' : undefined;
      const client = tls.connect({
        port,
        host: '127.0.0.1',
        servername: 'localhost',
        ca: authority.certPem,
        ...(ciphers && { ciphers }),
      });
      const [data] = (await once(client, 'data')) as [Buffer];
      assert.equal(String(data), 'well');
      assert.equal(client.getPeerX509Certificate()?.publicKey.asymmetricKeyType, 'ec');
      client.destroy();
      await close(raw as tls.Server);
    }
  });
}

test("setKeyCert takes Node's own contexts and options as before", async () => {
  const key = remoteKey(first.keyPem, 'sync');
  const server = createServer({
    cert: first.certPem,
    key,
    ALPNCallback(this: TLSSocket, { protocols }: { protocols: string[] }) {
      this.setKeyCert({ cert: other.certPem, key: other.keyPem });
      return protocols[0];
    },
  } as Parameters<typeof createServer>[0]);
  const port = await listen(server);
  const client = connect({
    port,
    host: '127.0.0.1',
    servername: 'localhost',
    ca: authority.certPem,
    ALPNProtocols: ['a'],
  });
  await once(client, 'secureConnect');
  assert.equal(client.getPeerX509Certificate()?.toString(), new X509Certificate(other.certPem).toString());
  client.destroy();
  await close(server);
});
