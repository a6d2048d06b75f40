/**
 * A server without a key, whose first key comes inside a callback of its first connection: `node late-first-key.js
 * SNICallback|ALPNCallback VERSION`, with the certificate and key in a message. Says what the client saw.
 */
import tls, { type SecureVersion, type TLSSocket, type TlsOptions } from 'node:tls';

const [, , how, version] = process.argv;

function options(cert: string, key: string): TlsOptions {
  if (how === 'SNICallback')
    return { SNICallback: (_, done) => done(null, tls.createSecureContext({ cert, key })) };
  return {
    ALPNCallback(this: TLSSocket, { protocols }: { protocols: string[] }) {
      this.setKeyCert({ cert, key });
      return protocols[0];
    },
  } as unknown as TlsOptions;
}

process.once('message', ({ certPem, keyPem }: { certPem: string; keyPem: string }) => {
  const server = tls.createServer({ ...options(certPem, keyPem), maxVersion: version as SecureVersion });
  server.on('secureConnection', (socket) => socket.end('hello'));
  server.on('tlsClientError', ({ code }: NodeJS.ErrnoException) => process.send?.({ server: code }));
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address() as { port: number };
    const client = tls.connect({
      port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ALPNProtocols: ['a'],
      servername: 'localhost',
    });
    client.on('error', ({ code }: NodeJS.ErrnoException) => process.send?.({ client: code }));
    client.on('data', (data) => process.send?.({ data: String(data), alpn: client.alpnProtocol }));
    client.on('close', () => server.close(() => process.disconnect?.()));
  });
});
