/**
 * What hooks are told of: runners of tests (Jest's --detectOpenHandles) tell their users of every resource that does not say,
 * by hasRef(), that it holds nothing.
 */
import assert from 'node:assert/strict';
import { createHook } from 'node:async_hooks';
import { once } from 'node:events';
import { test } from 'node:test';
import tls from 'node:tls';
import { localKey } from '../../lib/index.ts';
import { createServer } from '../../lib/tls.ts';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';

interface Resource {
  hasRef?(): boolean;
}

async function handshake({ certPem, keyPem }: Issued): Promise<void> {
  const server = createServer({ cert: certPem, key: localKey(keyPem) }, (socket) => socket.end());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as { port: number };
  const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(client.resume(), 'close');
  server.close();
  await once(server, 'close');
}

test('no resource of the engine holds the process, and each says so', async () => {
  const { issue } = await makeAuthority();
  const identity = await issue({ type: 'p256' });
  const made = new Map<string, Resource>();
  const hook = createHook({
    init: (_, type, __, resource) => void (/keyless/i.test(type) && made.set(type, resource)),
  });
  hook.enable();
  await handshake(identity);
  hook.disable();
  assert.deepEqual([...made.keys()].sort(), ['KEYLESSHANDSHAKE', 'KEYLESSTURN', 'keyless-tls']);
  for (const [type, resource] of made) {
    assert.equal(resource.hasRef?.(), false, type);
    assert.ok(!Object.keys(resource).includes('hasRef'), `${type}: nobody who lists it sees it`);
  }
});
