/**
 * An HTTPS server whose key is on key servers.
 *
 *   sh examples/certificates.sh
 *   node dist/lib/cli/main.js serve --cert certs/server.crt --key certs/server.pem --ca certs/ca.crt --keys certs/keys
 *   node dist/examples/https-server.js                                   # in another terminal
 *   curl --cacert certs/ca.crt https://localhost:8443/
 */
import { readFileSync } from 'node:fs';
import { connectKeyServers } from 'keyless-tls';
import { createServer } from 'keyless-tls/https';

const { CERTS = 'certs', KEY_SERVERS = 'localhost:2407', PORT = '8443' } = process.env;
const read = (name: string) => readFileSync(`${CERTS}/${name}`);

const keys = connectKeyServers({
  servers: KEY_SERVERS.split(','),
  cert: read('edge.crt'), // this edge's identity towards the key servers, not the site's
  key: read('edge.pem'),
  ca: read('ca.crt'),
});
const server = createServer({ cert: read('site.crt'), key: keys }, (request, response) => {
  response.end(`You asked for ${request.url}; my private key is elsewhere.\n`);
});
server.on('tlsClientError', (error: NodeJS.ErrnoException) => console.error(error.code, error.message));
server.listen(Number(PORT), () => console.log('listening', server.address()));
