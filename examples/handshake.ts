/**
 * A handshake without a socket: two endpoints in one process, bytes carried by hand, the operation answered by hand.
 *
 *   sh examples/certificates.sh && node dist/examples/handshake.js
 */
import { sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Handshake } from 'keyless-tls';

const { CERTS = 'certs' } = process.env;
const read = (name: string) => readFileSync(`${CERTS}/${name}`, 'utf8');

const server = new Handshake({ role: 'server', cert: read('site.crt'), key: {} });
const client = new Handshake({ role: 'client', ca: read('ca.crt'), servername: 'localhost' });

function carry(from: Handshake, to: Handshake, arrow: string): void {
  const bytes = from.drain();
  if (bytes.length > 0) console.log(`${arrow} ${bytes.length} bytes, then ${to.feed(bytes)}`);
}

carry(client, server, 'client -> server');
const { operation } = server;
if (operation?.kind !== 'sign') throw new Error(`No signature is wanted in ${server.state}`);
console.log(`server waits for ${operation.scheme} over ${operation.message.length} bytes`);
// Now, or in an hour: the handshake stands still until it is answered.
console.log('supplied:', server.supply(sign('sha256', operation.message, read('keys/site.key'))));
carry(server, client, 'server -> client');
carry(client, server, 'client -> server');
server.write(Buffer.from('hello'));
carry(server, client, 'server -> client');
console.log(client.info.protocol, client.info.cipher, client.read().toString());
server.close();
client.close();
