/**
 * A process with a TLS server over streams in JavaScript, with handlers that throw, and which goes on: `node throwing-over-stream.js
 * native|sync|delayed`. It tells what was uncaught, as JSON. RSA key exchange: all handlers are called when the key has answered.
 */
import { constants } from 'node:crypto';
import { once } from 'node:events';
import nodeTls from 'node:tls';
import { makeAuthority } from './certificates.ts';
import { duplexPair } from './duplex-pair.ts';
import { keyOf, tls } from './process-side.ts';

const authority = await makeAuthority();
const issued = await authority.issue({ type: 'rsa' });
const told: Record<string, string[]> = {};

for (const event of ['secureConnection', 'keylog', 'newSession']) {
  const uncaught: string[] = [];
  told[event] = uncaught;
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', ({ message }) => uncaught.push(message));
  const server = tls.createServer({
    cert: issued.certPem,
    key: keyOf(issued),
    maxVersion: 'TLSv1.2',
    ciphers: 'AES128-GCM-SHA256',
    secureOptions: constants.SSL_OP_NO_TICKET,
  });
  server.on(event, (...values: unknown[]) => {
    // A `newSession` listener's: Node waits for it.
    const stored = values.at(-1);
    if (typeof stored === 'function') stored();
    throw new Error(`thrown by ${event}`);
  });
  const [ours, theirs] = duplexPair();
  server.emit('connection', ours);
  const client = nodeTls.connect({ socket: theirs, ca: authority.certPem, servername: 'localhost' });
  await once(client, 'secureConnect');
  client.destroy();
  // What is uncaught is told by then.
  await new Promise(setImmediate);
}
process.stdout.write(JSON.stringify(told));
