/** Handshakes that park near the end of a deep stack, where calls into JavaScript fail. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import tls from 'node:tls';
import { createSecureContext, engineStats, localKey } from '../../lib/index.ts';
import { makeAuthority } from '../helpers/certificates.ts';
import { duplexPair } from '../helpers/duplex-pair.ts';

/** A frame of the dive takes some hundred bytes of stack, OpenSSL some thousand. */
const CONNECTIONS = 500;

/** What a client says first. */
async function clientHello(): Promise<Buffer> {
  const [here, there] = duplexPair();
  const client = tls.connect({ socket: here, servername: 'localhost' }).on('error', () => undefined);
  const [hello] = (await once(there, 'data')) as [Buffer];
  client.destroy();
  return hello;
}

/** Calls `work` in each frame of a stack that is full, deepest first. */
function dive(work: () => void): void {
  try {
    dive(work);
  } catch {
    // The stack is full.
  }
  work();
}

test('what cannot be told of a handshake there is no error of whoever calls the addon next', async () => {
  const { certPem: cert, keyPem } = await (await makeAuthority()).issue({ type: 'p256' });
  const secureContext = createSecureContext({ cert, key: localKey(keyPem, { sync: true }) });
  const hello = await clientHello();
  const streams: Duplex[] = [];
  const sockets = Array.from({ length: CONNECTIONS }, () => {
    const [here, there] = duplexPair();
    streams.push(here);
    there.on('error', () => undefined).resume();
    return new tls.TLSSocket(here, { isServer: true, secureContext }).on('error', () => undefined);
  });
  await new Promise(setImmediate);
  let next = 0;
  dive(() => {
    if (next === CONNECTIONS) return;
    try {
      streams[next++]!.push(hello);
    } catch {
      // Not even that far.
    }
  });
  assert.equal(next, CONNECTIONS);
  assert.doesNotThrow(engineStats);
  await new Promise(setImmediate);
  for (const socket of sockets) socket.destroy();
});
