/**
 * A server without TLS behind `keyless-tls proxy`, which speaks TLS for it; the key is on a key server.
 *
 *   sh examples/certificates.sh
 *   node dist/lib/cli/main.js serve --cert certs/server.crt --key certs/server.pem --ca certs/ca.crt --keys certs/keys
 *   node dist/examples/behind-proxy.js                                   # in another terminal
 *
 *   mkdir hosts && cp certs/site.crt hosts/                              # in a third one
 *   node dist/lib/cli/main.js stub certs/site.crt > hosts/site.key
 *   export KEYLESS_TLS_SERVERS=localhost:2407 KEYLESS_TLS_CA=certs/ca.crt
 *   export KEYLESS_TLS_CERT=certs/edge.crt KEYLESS_TLS_KEY=certs/edge.pem
 *   node dist/lib/cli/main.js proxy --hosts hosts --backend http://127.0.0.1:8080 --listen 127.0.0.1:8443
 *   curl --cacert certs/ca.crt https://localhost:8443/                   # in a fourth
 */
import { createServer } from 'node:http';

const { PORT = '8080' } = process.env;

const server = createServer(({ url, headers }, response) => {
  const { 'x-forwarded-for': client, 'x-forwarded-proto': scheme, host } = headers;
  response.end(`${client} asked for ${scheme}://${host}${url}; I know nothing of TLS.\n`);
});
server.listen(Number(PORT), '127.0.0.1', () => console.log('listening', server.address()));
