/**
 * An app as its users write it, with node:https alone: `node isolated-app.js`. Reads { certPem, keyPem } from a message,
 * tells its port, and what goes wrong with its connections.
 */
import https from 'node:https';
import type { AddressInfo } from 'node:net';

process.once('message', (message) => {
  const { certPem, keyPem } = message as { certPem: string; keyPem: string };
  const server = https.createServer({ cert: certPem, key: keyPem }, (_request, response) =>
    response.end('hello'),
  );
  server.on('tlsClientError', (error: NodeJS.ErrnoException) => process.send?.({ error: error.code }));
  server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
});
