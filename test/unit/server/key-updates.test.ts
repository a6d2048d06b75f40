/** TLS records that carry no data: what they cost is known to nobody above OpenSSL. Node.js cannot send a KeyUpdate; s_client can. */
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { encodeFrame } from '../../../lib/protocol/frame-encoder.ts';
import { pingRequest } from '../../../lib/protocol/request-encoder.ts';
import type { ServerConnectionEnd } from '../../../lib/server/channels.ts';
import type { KeyServer } from '../../../lib/server/key-server.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';
import { OpensslClient } from '../../helpers/openssl-client.ts';

let setup: KeyServerSetup;
let server: KeyServer & { readonly port: number };
let folder: string;

before(async () => {
  setup = await makeKeyServers([]);
  server = await setup.start();
  folder = await mkdtemp(join(tmpdir(), 'keyless-tls-test-'));
  const { cert, key, ca } = setup.edgeOptions;
  for (const [name, pem] of Object.entries({ cert, key, ca })) await writeFile(join(folder, name), pem);
});

after(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

async function ping(client: OpensslClient): Promise<void> {
  client.write(encodeFrame(1, PING));
  assert.ok(await client.saw('are you there'));
}

const PING = pingRequest(Buffer.from('are you there'));

async function endOf(work: (client: OpensslClient) => Promise<void>): Promise<ServerConnectionEnd> {
  let listener: (message: unknown) => void;
  const end = new Promise<ServerConnectionEnd>((resolve) => {
    listener = (message) => resolve(message as ServerConnectionEnd);
    subscribe('keyless-tls:server:connection:end', listener);
  });
  const files = ['-cert', join(folder, 'cert'), '-key', join(folder, 'key'), '-CAfile', join(folder, 'ca')];
  const client = new OpensslClient(server.port, ['-alpn', 'keyless-tls/1', ...files]);
  assert.ok(await client.saw('SSL handshake has read'));
  await work(client);
  const message = await end;
  unsubscribe('keyless-tls:server:connection:end', listener!);
  await client.closed;
  return message;
}

test('a client that renews its keys a few times is served, and oftener after thousands of records', async () => {
  const { error } = await endOf(async (client) => {
    assert.ok(await client.updateKeys(10));
    for (let records = 0; records < 4200; records += 1) await ping(client);
    assert.ok(await client.updateKeys(4));
    await ping(client);
    client.write('Q\n');
  });
  assert.equal(error, undefined);
});

test('a client that renews its keys again and again is disconnected', async () => {
  const { error } = await endOf(async (client) => {
    await client.updateKeys(200);
    client.write('Q\n');
  });
  assert.equal((error as NodeJS.ErrnoException | undefined)?.code, 'ERR_SSL_TOO_MANY_KEY_UPDATES');
});
