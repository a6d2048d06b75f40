/** ALPN, key logging, PSK, renegotiation, hello-retry: what else happens in a handshake. */
import { before } from 'node:test';
import type { SecureVersion, TLSSocket, TlsOptions } from 'node:tls';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import { type ConversationOptions, close, converse, describeError, listen } from '../helpers/connections.ts';
import { parity, type Side } from '../helpers/parity.ts';

let authority: Authority;
let rsa: Issued;
let p256: Issued;

before(async () => {
  authority = await makeAuthority();
  rsa = await authority.issue({ type: 'rsa' });
  p256 = await authority.issue({ type: 'p256' });
});

const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;

async function once(
  side: Side,
  issued: Issued,
  options: TlsOptions,
  talk: ConversationOptions = {},
): Promise<unknown> {
  const server = side.tls.createServer({ ...options, cert: issued.certPem, key: side.key(issued) });
  const port = await listen(server);
  const story = await converse(side, server, port, {
    ...talk,
    client: { ca: authority.certPem, ...talk.client },
  });
  await close(server);
  return story;
}

for (const version of VERSIONS) {
  const client = { maxVersion: version } as const;

  parity(
    `ALPNProtocols, ${version}`,
    (side) =>
      once(side, rsa, { ALPNProtocols: ['b', 'a'] }, { client: { ...client, ALPNProtocols: ['a', 'b'] } }),
    1,
  );

  parity(`ALPNProtocols without a common one, ${version}`, (side) =>
    once(side, rsa, { ALPNProtocols: ['c'] }, { client: { ...client, ALPNProtocols: ['a', 'b'] } }),
  );

  for (const [what, choose] of [
    ['the second', (protocols: readonly string[]) => protocols[1]],
    ['none', () => undefined],
    ['an invalid one', () => 'not offered'],
  ] as const) {
    parity(`ALPNCallback that chooses ${what}, ${version}`, async (side) => {
      const asked: unknown[] = [];
      const ALPNCallback = (offer: { servername: string; protocols: string[] }) => {
        asked.push(offer.servername, [...offer.protocols]);
        return choose(offer.protocols);
      };
      const story = await once(
        side,
        rsa,
        { ALPNCallback },
        { client: { ...client, ALPNProtocols: ['a', 'b'] } },
      );
      return { story, asked };
    });
  }

  parity(
    `ALPNCallback and a client without ALPN, ${version}`,
    (side) => once(side, rsa, { ALPNCallback: () => 'never' }, { client }),
    1,
  );

  parity(
    `keylog on both sides, ${version}`,
    async (side) => {
      const lines: Record<string, string[]> = { server: [], client: [] };
      const server = side.tls.createServer({ cert: rsa.certPem, key: side.key(rsa) });
      server.on('keylog', (line) => lines.server?.push(String(line).split(' ')[0] ?? ''));
      const port = await listen(server);
      const socket = side.tls.connect({
        ...client,
        port,
        host: '127.0.0.1',
        servername: 'localhost',
        ca: authority.certPem,
      });
      socket.on('keylog', (line) => lines.client?.push(String(line).split(' ')[0] ?? ''));
      await new Promise<void>((resolve) => {
        server.on('secureConnection', (peer: TLSSocket) => peer.end());
        socket.resume().on('close', () => resolve());
      });
      await close(server);
      return lines;
    },
    1,
  );

  parity(
    `pre-shared keys beside a certificate, ${version}`,
    (side) => {
      const ciphers =
        version === 'TLSv1.2' ? 'ECDHE-PSK-AES128-CBC-SHA256:PSK-AES128-CBC-SHA' : 'TLS_AES_128_GCM_SHA256';
      const psk = Buffer.alloc(32, 1);
      return once(
        side,
        rsa,
        { ciphers, pskCallback: (_socket, identity) => (identity === 'me' ? psk : null) },
        {
          client: {
            ...client,
            ciphers,
            pskCallback: () => ({ psk, identity: 'me' }),
            checkServerIdentity: () => undefined,
          },
        },
      );
    },
    0,
  );

  parity(
    `a hello retry, ${version}`,
    (side) => once(side, rsa, { ecdhCurve: 'P-384' }, { client: { ...client, ecdhCurve: 'X25519:P-384' } }),
    1,
  );

  parity(`a hello retry with SNI and ALPNCallback, ${version}`, async (side) => {
    const log: unknown[] = [];
    const context = side.tls.createSecureContext({ cert: p256.certPem, key: side.key(p256) });
    const story = await once(
      side,
      rsa,
      {
        ecdhCurve: 'P-384',
        SNICallback: (name, done) => {
          log.push(name);
          done(null, context);
        },
        ALPNCallback: ({ protocols }) => {
          log.push([...protocols]);
          return protocols[0];
        },
      },
      { client: { ...client, ecdhCurve: 'X25519:P-384', ALPNProtocols: ['x'] } },
    );
    return { story, log };
  });

  parity(`no common cipher or version, ${version}`, (side) =>
    once(
      side,
      rsa,
      { minVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_GCM_SHA256' },
      {
        client: {
          maxVersion: version,
          ciphers: version === 'TLSv1.3' ? 'TLS_CHACHA20_POLY1305_SHA256' : 'ECDHE-RSA-AES128-GCM-SHA256',
        },
      },
    ),
  );

  parity(`a server that requires a certificate and gets none, ${version}`, (side) =>
    once(side, rsa, { requestCert: true, rejectUnauthorized: true, ca: authority.certPem }, { client }),
  );

  parity(
    `a client that does not trust the server, ${version}`,
    (side) => once(side, rsa, {}, { client: { ...client, ca: p256.certPem } }),
    1,
  );
}

interface Renegotiation {
  readonly ciphers: string;
  readonly requestCert: boolean;
  readonly by: 'client' | 'server';
}

async function renegotiate(side: Side, { ciphers, requestCert, by }: Renegotiation): Promise<unknown> {
  const version: SecureVersion = 'TLSv1.2';
  const server = side.tls.createServer({
    cert: rsa.certPem,
    key: side.key(rsa),
    ciphers,
    maxVersion: version,
    ca: authority.certPem,
  });
  const port = await listen(server);
  const log: unknown[] = [];
  await new Promise<void>((resolve) => {
    const socket = side.tls.connect({
      port,
      host: '127.0.0.1',
      servername: 'localhost',
      ca: authority.certPem,
      cert: p256.certPem,
      key: side.key(p256),
    });
    const start = (initiator: TLSSocket) =>
      initiator.renegotiate({ requestCert, rejectUnauthorized: false }, (error) => {
        log.push('renegotiated', error ? describeError(error) : null);
        socket.write('ping');
      });
    server.on('secureConnection', (peer) => {
      peer.on('data', (data) => {
        log.push(String(data), Object.keys(peer.getPeerCertificate()).length > 0);
        if (String(data) === 'hello' && by === 'server') start(peer);
        if (String(data) === 'ping') peer.end('pong');
      });
      peer.on('error', (error) => log.push(describeError(error)));
    });
    // Node emits it again after a renegotiation.
    socket.once('secureConnect', () => {
      socket.write('hello');
      if (by === 'client') start(socket);
    });
    socket.on('data', (data) => log.push(String(data)));
    socket.on('error', (error) => log.push(describeError(error)));
    socket.on('close', () => resolve());
  });
  await close(server);
  return log;
}

for (const ciphers of ['ECDHE-RSA-AES128-GCM-SHA256', 'AES128-GCM-SHA256']) {
  for (const by of ['client', 'server'] as const) {
    for (const requestCert of [false, true]) {
      if (by === 'client' && requestCert) continue;
      const name = `renegotiation by the ${by}, ${ciphers}${requestCert ? ', which asks for a certificate' : ''}`;
      // What a server starts resumes the session (OpenSSL's default), which takes no operation.
      parity(name, (side) => renegotiate(side, { ciphers, by, requestCert }), by === 'client' ? 2 : 1);
    }
  }
}
