/**
 * An app as its users write it, with node:https alone: `node isolated-app.js`. Reads { certPem, keyPem } from a message,
 * tells its port, what goes wrong with its connections, and the codes of warnings. Another such message renews certificate and key.
 */
import https from 'node:https';
import type { AddressInfo } from 'node:net';

interface Site {
  readonly certPem: string;
  readonly keyPem: string;
}

process.on('warning', (warning) => process.send?.({ warning: (warning as NodeJS.ErrnoException).code }));
process.once('message', (message) => {
  const { certPem, keyPem } = message as Site;
  const server = https.createServer({ cert: certPem, key: keyPem }, (_request, response) =>
    response.end('hello'),
  );
  server.on('tlsClientError', (error: NodeJS.ErrnoException) => process.send?.({ error: error.code }));
  process.on('message', (renewed: Site) => {
    server.setSecureContext({ cert: renewed.certPem, key: renewed.keyPem });
    process.send?.({ renewed: true });
  });
  server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
});
