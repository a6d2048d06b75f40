/** Which context a handshake uses: SNI in all its forms, contexts that change, two certificates on one server. */
import { before } from 'node:test';
import type { SecureContext, TLSSocket } from 'node:tls';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, converse, listen } from '../helpers/connections.ts';
import { parity, type Side } from '../helpers/parity.ts';

let authority: Authority;
let rsa: Issued;
let p256: Issued;
let other: Issued;

before(async () => {
  authority = await makeAuthority();
  rsa = await authority.issue({ type: 'rsa', dns: ['localhost', 'a.test', 'b.test'] });
  p256 = await authority.issue({ type: 'p256', dns: ['localhost', 'a.test', 'b.test'] });
  other = await authority.issue({ type: 'p384', dns: ['a.test', '*.wild.test'] });
});

const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;

function contextOf(side: Side, issued: Issued): SecureContext {
  return side.tls.createSecureContext({ cert: issued.certPem, key: side.key(issued) });
}

for (const version of VERSIONS) {
  const client = () => ({ ca: authority.certPem, maxVersion: version });

  parity(
    `RSA and ECDSA on one server, ${version}`,
    async (side) => {
      const server = side.tls.createServer({
        cert: [rsa.certPem, p256.certPem],
        key: [side.key(rsa), side.key(p256)],
      });
      const port = await listen(server);
      const ecdsa = await converse(side, server, port, { client: { ...client(), sigalgs: 'ECDSA+SHA256' } });
      const pss = await converse(side, server, port, {
        client: { ...client(), sigalgs: 'RSA-PSS+SHA256:RSA+SHA256' },
      });
      await close(server);
      return { ecdsa, pss };
    },
    2,
  );

  for (const when of ['sync', 'async'] as const) {
    parity(
      `SNICallback ${when}, ${version}`,
      async (side) => {
        const log: unknown[] = [];
        const contexts = new Map([
          ['a.test', contextOf(side, other)],
          ['b.test', contextOf(side, p256)],
        ]);
        const server = side.tls.createServer({
          cert: rsa.certPem,
          key: side.key(rsa),
          SNICallback: (name, done) => {
            log.push(name);
            const answer = () => done(null, contexts.get(name));
            if (when === 'sync') answer();
            else setTimeout(answer, 5);
          },
        });
        const port = await listen(server);
        const stories: unknown[] = [];
        for (const servername of ['a.test', 'b.test', 'localhost']) {
          stories.push(await converse(side, server, port, { client: { ...client(), servername } }));
        }
        await close(server);
        return { log, stories };
      },
      3,
    );
  }

  parity(
    `SNICallback that fails, ${version}`,
    async (side) => {
      const server = side.tls.createServer({
        cert: rsa.certPem,
        key: side.key(rsa),
        SNICallback: (_name, done) => done(new Error('no such host')),
      });
      const story = await converse(side, server, await listen(server), { client: client() });
      await close(server);
      return story;
    },
    0,
  );

  parity(
    `SNICallback with something that is no context, ${version}`,
    async (side) => {
      const server = side.tls.createServer({
        cert: rsa.certPem,
        key: side.key(rsa),
        SNICallback: (_name, done) => done(null, {} as SecureContext),
      });
      const story = await converse(side, server, await listen(server), { client: client() });
      await close(server);
      return story;
    },
    0,
  );

  parity(
    `addContext, ${version}`,
    async (side) => {
      const server = side.tls.createServer({ cert: rsa.certPem, key: side.key(rsa) });
      server.addContext('a.test', { cert: other.certPem, key: side.key(other) });
      server.addContext('*.wild.test', contextOf(side, other));
      const port = await listen(server);
      const stories: unknown[] = [];
      for (const servername of ['a.test', 'x.wild.test', 'localhost']) {
        stories.push(await converse(side, server, port, { client: { ...client(), servername } }));
      }
      await close(server);
      return stories;
    },
    3,
  );

  parity(
    `a server without a certificate of its own, ${version}`,
    async (side) => {
      const context = contextOf(side, other);
      const server = side.tls.createServer({ SNICallback: (_name, done) => done(null, context) });
      const story = await converse(side, server, await listen(server), {
        client: { ...client(), servername: 'a.test' },
      });
      await close(server);
      return story;
    },
    1,
  );

  parity(`a native default context and a remote one by name, ${version}`, async (side) => {
    const context = contextOf(side, other);
    const server = side.tls.createServer({
      cert: rsa.certPem,
      key: rsa.keyPem,
      SNICallback: (name, done) => done(null, name === 'a.test' ? context : undefined),
    });
    const port = await listen(server);
    const stories: unknown[] = [];
    for (const servername of ['a.test', 'localhost']) {
      stories.push(await converse(side, server, port, { client: { ...client(), servername } }));
    }
    await close(server);
    return stories;
  });

  parity(`a remote default context and a native one by name, ${version}`, async (side) => {
    const { createSecureContext } = await import('node:tls');
    const server = side.tls.createServer({ cert: rsa.certPem, key: side.key(rsa) });
    server.addContext('a.test', createSecureContext({ cert: other.certPem, key: other.keyPem }));
    const story = await converse(side, server, await listen(server), {
      client: { ...client(), servername: 'a.test' },
    });
    await close(server);
    return story;
  });

  parity(
    `setSecureContext between connections, ${version}`,
    async (side) => {
      const server = side.tls.createServer({ cert: rsa.certPem, key: side.key(rsa) });
      const port = await listen(server);
      const before = await converse(side, server, port, { client: client() });
      server.setSecureContext({ cert: p256.certPem, key: side.key(p256) });
      const after = await converse(side, server, port, { client: client() });
      await close(server);
      return { before, after };
    },
    2,
  );

  parity(
    `setSecureContext with the same options and arrays, in which another key and certificate are now, ${version}`,
    async (side) => {
      const options = { cert: [rsa.certPem], key: [side.key(rsa)] };
      const server = side.tls.createServer(options);
      const port = await listen(server);
      const before = await converse(side, server, port, { client: client() });
      options.cert[0] = p256.certPem;
      options.key[0] = side.key(p256);
      server.setSecureContext(options);
      const after = await converse(side, server, port, { client: client() });
      await close(server);
      return { before, after };
    },
    2,
  );

  parity(
    `OCSP stapling, ${version}`,
    async (side) => {
      const server = side.tls.createServer({ cert: rsa.certPem, key: side.key(rsa) });
      const log: unknown[] = [];
      server.on('OCSPRequest', (certificate, issuer, done) => {
        log.push('OCSPRequest', certificate.length, issuer === null);
        setTimeout(() => done(null, Buffer.from('a response')), 5);
      });
      const onClient = (_socket: TLSSocket) => {};
      const story = await converse(side, server, await listen(server), {
        client: { ...client(), requestOCSP: true },
        onClient,
      });
      await close(server);
      return { story, log };
    },
    1,
  );

  parity(
    `OCSP stapling to a client with a certificate, ${version}`,
    async (side) => {
      const server = side.tls.createServer({
        cert: rsa.certPem,
        key: side.key(rsa),
        requestCert: true,
        ca: authority.certPem,
      });
      server.on('OCSPRequest', (_certificate, _issuer, done) => done(null, Buffer.from('a response')));
      const port = await listen(server);
      const log: unknown[] = [];
      const socket = side.tls.connect({
        ...client(),
        port,
        host: '127.0.0.1',
        servername: 'localhost',
        requestOCSP: true,
        cert: p256.certPem,
        key: side.key(p256),
      });
      socket.on('OCSPResponse', (response) => log.push('OCSPResponse', String(response)));
      await new Promise<void>((resolve) => {
        server.on('secureConnection', (peer) => {
          log.push('authorized', peer.authorized);
          peer.end();
        });
        socket.on('secureConnect', () => log.push('secureConnect'));
        socket.on('error', (error) => log.push(error.message));
        socket.resume().on('close', () => resolve());
      });
      await close(server);
      return log;
    },
    2,
  );
}
