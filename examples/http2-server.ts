/**
 * The same over HTTP/2, with each operation on standard output. Certificates and key server: see https-server.ts.
 *
 *   node dist/examples/http2-server.js
 *   curl --http2 --cacert certs/ca.crt https://localhost:8443/
 */
import { subscribe } from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import { connectKeyServers, type Operation } from 'keyless-tls';
import { createSecureServer } from 'keyless-tls/http2';

const { CERTS = 'certs', KEY_SERVERS = 'localhost:2407', PORT = '8443' } = process.env;
const read = (name: string) => readFileSync(`${CERTS}/${name}`);

subscribe('keyless-tls:operation:end', (message) => {
  const { operation, durationMs, error } = message as {
    operation: Operation;
    durationMs: number;
    error?: Error;
  };
  console.log(
    'operation',
    operation.kind,
    operation.servername,
    `${durationMs.toFixed(1)} ms`,
    error ?? 'ok',
  );
});

const keys = connectKeyServers({
  servers: KEY_SERVERS.split(','),
  cert: read('edge.crt'),
  key: read('edge.pem'),
  ca: read('ca.crt'),
});
const server = createSecureServer({ cert: read('site.crt'), key: keys, allowHTTP1: true });
server.on('request', (request, response) => response.end(`HTTP/${request.httpVersion}\n`));
server.listen(Number(PORT), () => console.log('listening', server.address()));
