/**
 * A client hears of the OCSP response before it answers the server: it may leave then, and its key has not been asked. The server's key
 * is Node's.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { before, test } from 'node:test';
import tls, { type TLSSocket } from 'node:tls';
import { connect, type SignOperation } from '../../lib/index.ts';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';
import { duplexPair } from '../helpers/duplex-pair.ts';
import { parity, type Side } from '../helpers/parity.ts';

let authority: Authority;
let served: Issued;
let own: Issued;

before(async () => {
  authority = await makeAuthority();
  served = await authority.issue({ type: 'rsa' });
  own = await authority.issue({ type: 'p256' });
});

const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;

function serve(): tls.Server {
  const { certPem: cert, keyPem: key } = served;
  const server = tls.createServer({ cert, key, ca: authority.certPem, requestCert: true });
  server.on('OCSPRequest', (_certificate, _issuer, done) => done(null, Buffer.from('revoked')));
  server.on('tlsClientError', () => {});
  return server.on('secureConnection', (socket) =>
    socket
      .on('error', () => {})
      .resume()
      .end(),
  );
}

function clientOptions(version: tls.SecureVersion): tls.ConnectionOptions {
  const { certPem: cert } = own;
  const trust = { ca: authority.certPem, servername: 'localhost', requestOCSP: true };
  return { ...trust, cert, minVersion: version, maxVersion: version };
}

/** What the client hears, in order. */
function note(socket: TLSSocket, log: unknown[]): void {
  socket.on('secureConnect', () => log.push('secureConnect'));
  socket.on('error', ({ code, message }: NodeJS.ErrnoException) => log.push(code ?? message)).resume();
}

const ways: Readonly<Record<string, (server: tls.Server) => Promise<tls.ConnectionOptions>>> = {
  'a socket': async (server) => ({ port: await listen(server), host: '127.0.0.1' }),
  'a stream': async (server) => {
    const [mine, theirs] = duplexPair();
    server.emit('connection', theirs);
    return { socket: mine };
  },
};

async function converse(
  side: Side,
  way: (server: tls.Server) => Promise<tls.ConnectionOptions>,
  version: tls.SecureVersion,
  onResponse: (client: TLSSocket, log: unknown[]) => void,
): Promise<unknown> {
  const log: unknown[] = [];
  const server = serve();
  const to = await way(server);
  const client = side.tls.connect({ ...to, ...clientOptions(version), key: side.key(own) });
  note(client, log);
  client.on('OCSPResponse', (response) => {
    log.push(String(response), side.operations() ?? 0);
    onResponse(client, log);
  });
  client.on('end', () => client.destroy());
  await new Promise((resolve) => client.on('close', resolve));
  if (server.listening) await close(server);
  return log;
}

const WHEN: Readonly<Record<string, (work: () => void) => void>> = {
  'at once': (work) => work(),
  'in a tick': (work) => process.nextTick(work),
  'in a microtask': (work) => queueMicrotask(work),
};

for (const version of VERSIONS) {
  for (const [over, way] of Object.entries(ways)) {
    parity(
      `what a client says of itself then, ${version} over ${over}`,
      (side) =>
        converse(side, way, version, (client, log) => {
          client.on('keylog', (line) => log.push(String(line).split(' ')[0]));
          log.push(client.getCipher()?.name, client.getFinished()?.length, client.getSession()?.length);
          if (over === 'a socket') process.nextTick(() => log.push('in a tick'));
        }),
      1,
    );
    for (const [how, when] of Object.entries(WHEN)) {
      // Over a stream in JavaScript, natively all that is put off comes when the client has answered.
      if (over !== 'a socket' && how !== 'at once') continue;
      parity(
        `a client that is destroyed then ${how} has asked no key, ${version} over ${over}`,
        (side) => converse(side, way, version, (client) => when(() => client.destroy(new Error('revoked')))),
        0,
      );
    }
  }

  test(`a client hears of it while its key does not answer, ${version}`, async () => {
    const server = serve();
    const asked: SignOperation[] = [];
    const key = { sign: (operation: SignOperation) => new Promise<never>(() => asked.push(operation)) };
    const port = await listen(server);
    const client = connect({ port, host: '127.0.0.1', ...clientOptions(version), key });
    await once(client, 'OCSPResponse');
    assert.equal(asked.length, 0);
    while (asked.length === 0) await new Promise(setImmediate);
    client.destroy();
    await once(client, 'close');
    assert.ok(asked[0]?.signal.aborted);
    await close(server);
  });
}
