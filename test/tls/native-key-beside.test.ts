/**
 * A key of Node's beside a keyless one: what follows its operations is Node's too. The ticket callback of old Node is the
 * one of all that follow an RSA key exchange that enters JavaScript and that cannot wait.
 */
import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import tls from 'node:tls';
import { createSecureContext, localKey } from '../../lib/index.ts';
import { makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';

interface NativeContext {
  onticketkeycallback(name: Buffer, iv: Buffer, encrypts: boolean): unknown[];
  enableTicketKeyCallback(): void;
}

test('RSA key exchange with a native key is read by Node, and the ticket after it made', async () => {
  const authority = await makeAuthority();
  const [p256, rsa] = await Promise.all([
    authority.issue({ type: 'p256' }),
    authority.issue({ type: 'rsa' }),
  ]);
  const secureContext = createSecureContext({
    cert: [p256.certPem, rsa.certPem],
    key: [localKey(p256.keyPem), rsa.keyPem],
  });
  let tickets = 0;
  const native = secureContext.context as NativeContext;
  native.onticketkeycallback = () => {
    tickets += 1;
    return [1, ...[32, 16, 16, 16].map((size, index) => Buffer.alloc(size, index))];
  };
  native.enableTicketKeyCallback();
  const server = net.createServer((raw) => {
    const socket = new tls.TLSSocket(raw, { isServer: true, secureContext });
    socket.on('secure', () => socket.end('well')).on('error', () => {});
  }) as tls.Server;
  const port = await listen(server);
  const client = tls.connect({
    port,
    host: '127.0.0.1',
    servername: 'localhost',
    ca: authority.certPem,
    maxVersion: 'TLSv1.2',
    ciphers: 'AES128-GCM-SHA256',
  });
  let text = '';
  client.on('data', (data) => (text += String(data)));
  await new Promise((resolve, reject) => client.on('close', resolve).on('error', reject));
  await close(server);
  assert.equal(text, 'well');
  assert.equal(tickets, 1);
});
