/**
 * A job that has paused for a callback of the user's has a stack, and whoever can open connections can make it: a thousand wait in
 * one turn of the loop, and whoever comes then is asked at once.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net, { type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createServer, engineStats, localKey } from '../../lib/index.ts';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close } from '../helpers/connections.ts';
import { until } from '../helpers/edge.ts';
import { clientHello } from '../helpers/half-open.ts';

const MOST_ASKING = 1000;
const CROWD = MOST_ASKING + 50;

let issued: Issued;
/** What is written to a socket with a path is there when the write returns. */
const folder = mkdtempSync(join(tmpdir(), 'keyless-'));

before(async () => {
  issued = await (await makeAuthority()).issue({ type: 'p256' });
});
after(() => rmSync(folder, { recursive: true, force: true }));

test('a thousand connections wait for their ALPNCallback, one more is asked at once, and all are served', async () => {
  const hello = await clientHello({ maxVersion: 'TLSv1.2', ALPNProtocols: ['a'] });
  const paused: number[] = [];
  const ALPNCallback = ({ protocols }: { protocols: string[] }) => {
    paused.push(engineStats().paused);
    return protocols[0];
  };
  const key = localKey(issued.keyPem, { sync: true });
  const server = createServer({ cert: issued.certPem, key, ALPNCallback } as Parameters<
    typeof createServer
  >[0]);
  server.on('tlsClientError', () => {});
  const path = join(folder, 'server');
  server.listen(path);
  await once(server, 'listening');
  const clients: Socket[] = [];
  for (const _ of Array(CROWD).keys()) {
    const client = net.connect(path).on('error', () => {});
    clients.push(client);
    await once(client, 'connect');
  }
  await until(() => engineStats().handshakes === CROWD);
  const served = clients.map((client) => once(client, 'data'));
  for (const client of clients) client.write(hello);
  await Promise.all(served);
  assert.equal(paused.length, CROWD);
  assert.equal(Math.max(...paused), MOST_ASKING + 1);
  for (const client of clients) client.destroy();
  await close(server);
});
