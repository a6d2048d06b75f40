/** What a user of the packed package writes: the two programs of package.test.ts, as text. */

/** A handshake whose key is a PrivateKey; prints what happened as one line of JSON. */
const HANDSHAKE = `
const { certPem, keyPem, caPem } = JSON.parse(process.env.SMOKE);
let asked = 0;
const local = localKey(keyPem);
const key = { sign(operation) { asked += 1; return local.sign(operation); } };
const server = createServer({ cert: certPem, key }, (socket) => socket.end('well'));
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const client = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca: caPem });
  client.setEncoding('utf8');
  let text = '';
  client.on('data', (part) => { text += part; });
  client.on('close', () => {
    server.close();
    const binaries = Object.keys(cache).filter((path) => path.endsWith('.node'));
    console.log(JSON.stringify({ text, asked, authorized: client.authorized, binaries }));
  });
});
`;

export const ESM = `
import { createRequire } from 'node:module';
import tls from 'node:tls';
import { createServer, localKey } from 'keyless-tls';
import * as https from 'keyless-tls/https';
import * as http2 from 'keyless-tls/http2';
if (!https.createServer || !http2.createSecureServer) throw new Error('a face is missing');
const { cache } = createRequire(import.meta.url);
${HANDSHAKE}`;

export const COMMON_JS = `
const tls = require('node:tls');
const { createServer, localKey } = require('keyless-tls');
if (!require('keyless-tls/https').createServer) throw new Error('a face is missing');
if (!require('keyless-tls/http2').createSecureServer) throw new Error('a face is missing');
const { cache } = require;
${HANDSHAKE}`;
