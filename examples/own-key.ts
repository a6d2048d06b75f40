/**
 * A PrivateKey of one's own: a KMS that signs over HTTP at KMS_URL/<key id>/<scheme>, message in, signature out.
 *
 *   KMS_URL=http://127.0.0.1:9000 node dist/examples/own-key.js
 */
import { readFileSync } from 'node:fs';
import { createServer, type PrivateKey } from 'keyless-tls';

const { CERTS = 'certs', KMS_URL = 'http://127.0.0.1:9000', PORT = '8443' } = process.env;

const key: PrivateKey = {
  schemes: ['ecdsa_secp256r1_sha256'], // what it can; handshakes choose nothing else
  timeoutMs: 2000,
  async sign({ keyId, scheme, message, signal }) {
    const url = `${KMS_URL}/${keyId.toString('hex')}/${scheme}`;
    const answer = await fetch(url, { method: 'POST', body: new Uint8Array(message), signal });
    if (!answer.ok) throw new Error(`The KMS answered ${answer.status}`);
    return new Uint8Array(await answer.arrayBuffer());
  },
};

const server = createServer({ cert: readFileSync(`${CERTS}/site.crt`), key }, (socket) => {
  socket.on('error', () => undefined); // whoever connects may leave at any moment
  socket.end('signed by a KMS\n');
});
server.on('tlsClientError', (error: NodeJS.ErrnoException) => console.error(error.code, error.message));
server.listen(Number(PORT), () => console.log('listening', server.address()));
