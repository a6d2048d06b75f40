/** Correct uses of the faces, as users write them. Compiled, never run. */
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type http2 from 'node:http2';
import https from 'node:https';
import tls from 'node:tls';
import {
  type ConnectionOptions,
  connect,
  createSecureContext,
  createServer,
  type PrivateKey,
  type SecureContextOptions,
  type TlsOptions,
} from 'keyless-tls';
import * as keylessHttp2 from 'keyless-tls/http2';
import * as keylessHttps from 'keyless-tls/https';

declare const key: PrivateKey;
declare const other: PrivateKey;
const cert = readFileSync('example.com.crt');
const pem = readFileSync('example.com.key', 'utf8');

// One key, several keys, Node's own keys, and both kinds mixed.
const server: tls.Server = createServer({ cert, key }, (socket) => {
  const same: tls.TLSSocket = socket;
  same.end(socket.servername || 'no name');
});
createServer({ cert: [cert, 'PEM'], key: [key, other] });
createServer({ cert: [cert, cert], key: [key, pem, Buffer.from(pem)] as const });
createServer({ cert, key: pem });
createServer({ cert, key: [{ pem, passphrase: 'secret' }] });
createServer({ pfx: Buffer.alloc(0), passphrase: 'secret' });
createServer((socket) => socket.end());
createServer();
const keys: readonly PrivateKey[] = [key, other];
createServer({ cert: [cert, cert], key: keys });

// Events and methods are Node's.
server.on('tlsClientError', (error, socket) => {
  const code: string | undefined = (error as NodeJS.ErrnoException).code;
  socket.destroy();
  return code;
});
server.on('secureConnection', (socket) => socket.getProtocol());
server.on('newSession', (id, data, done) => {
  const bytes: Buffer = Buffer.concat([id, data]);
  bytes.fill(0);
  done();
});
const listening: tls.Server = server.listen(443, '127.0.0.1');
listening.close((error?: Error) => error?.message);

// Contexts, for SNI and for sockets made by hand.
const context: tls.SecureContext = createSecureContext({ cert, key });
createSecureContext();
createServer({ cert, key, SNICallback: (_name, done) => done(null, context), ALPNProtocols: ['h2'] });
new tls.TLSSocket(connect(443), { secureContext: context, isServer: true });
server.addContext('*.example.com', context);

// Clients.
const client: tls.TLSSocket = connect({ host: 'example.com', port: 443, cert, key }, () => client.write('x'));
connect(443, 'example.com', { cert, key }, () => {});
connect(443, { cert, key });
connect(443, 'example.com');
client.on('error', (error: Error) => error.message);

// Options have names of their own.
const tlsOptions: TlsOptions = { cert, key, minVersion: 'TLSv1.2' };
const contextOptions: SecureContextOptions = { cert, key };
const connectionOptions: ConnectionOptions = { port: 443, cert, key: [key] };
createServer(tlsOptions);
createSecureContext(contextOptions);
connect(connectionOptions);

// node:https.
const web: https.Server = keylessHttps.createServer({ cert, key, keepAlive: true }, (request, response) => {
  const seen: [IncomingMessage, ServerResponse] = [request, response];
  seen[1].end(request.url);
});
web.on('request', (request, response) => response.end(request.method));
keylessHttps.createServer((_request, response) => response.end());
const agent: https.Agent = new keylessHttps.Agent({ cert, key, keepAlive: true });
keylessHttps
  .request({ host: 'example.com', cert, key, agent }, (response) => response.statusCode?.toFixed())
  .end();
keylessHttps.request('https://example.com', { cert, key }).end();
keylessHttps.get(new URL('https://example.com'), (response) => response.resume()).on('error', () => {});
https.get('https://example.com', { agent });

// node:http2.
const secure: http2.Http2SecureServer = keylessHttp2.createSecureServer(
  { cert, key, allowHTTP1: true },
  (request, response) => response.end(request.authority),
);
secure.on('session', (opened) => opened.close());
secure.on('request', (request, response) => response.end(request.authority));
const session: http2.ClientHttp2Session = keylessHttp2.connect('https://example.com', { cert, key });
keylessHttp2.connect(new URL('https://example.com'), {}, (connected, socket) => {
  connected.close();
  socket.getCipher();
});
session.close();
