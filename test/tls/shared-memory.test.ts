/** A PrivateKey may answer with memory that another thread goes on writing to: what was verified is what is used. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import nodeTls from 'node:tls';
import { Worker } from 'node:worker_threads';
import { createServer, localKey, type SignOperation } from '../../lib/index.ts';
import { makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';

const SIGNATURE_BYTES = 256;
const HANDSHAKES = 300;

/** Spoils a byte and mends it, for ever, while it is told to. */
const SPOILER = `
const { workerData: memory } = require('node:worker_threads');
const signature = new Uint8Array(memory, 0, ${SIGNATURE_BYTES});
const [right, ends] = [0, 1];
const flags = new Int32Array(memory, ${SIGNATURE_BYTES}, 2);
while (!Atomics.load(flags, ends)) {
  signature[0] = Atomics.load(flags, right) ^ 1;
  for (let i = 0; i < 300; i += 1) Atomics.load(flags, ends);
  signature[0] = Atomics.load(flags, right);
  for (let i = 0; i < 300; i += 1) Atomics.load(flags, ends);
}
`;

test('no peer sees a signature that was not verified, whatever another thread does to it meanwhile', async (t) => {
  const authority = await makeAuthority();
  const { certPem, keyPem } = await authority.issue({ type: 'rsa' });
  const memory = new SharedArrayBuffer(SIGNATURE_BYTES + 8);
  const [signature, flags] = [
    new Uint8Array(memory, 0, SIGNATURE_BYTES),
    new Int32Array(memory, SIGNATURE_BYTES, 2),
  ];
  const spoiler = new Worker(SPOILER, { eval: true, workerData: memory });
  t.after(async () => {
    Atomics.store(flags, 1, 1);
    await once(spoiler, 'exit');
  });
  await once(spoiler, 'online');
  const good = localKey(keyPem, { sync: true });
  const sign = (operation: SignOperation) => {
    const made = good.sign(operation) as Uint8Array;
    signature.set(made);
    Atomics.store(flags, 0, made[0]!);
    return signature;
  };
  const server = createServer({ cert: certPem, key: { ...good, sign } }, (socket) => socket.end());
  let [kept, seen] = [0, 0];
  server.on('tlsClientError', ({ message }: Error) => {
    if (/^The peer refused/.test(message)) seen += 1;
    else kept += 1;
  });
  const port = await listen(server);
  // Until some were spoiled in time to be noticed: otherwise nothing was tried.
  for (let count = 0; count < HANDSHAKES || kept === 0; count += 1) {
    const client = nodeTls.connect({
      port,
      host: '127.0.0.1',
      servername: 'localhost',
      ca: authority.certPem,
    });
    client.resume().on('error', () => undefined);
    await once(client, 'close').catch(() => undefined);
  }
  await close(server);
  assert.equal(seen, 0, 'clients that refused a signature');
});
