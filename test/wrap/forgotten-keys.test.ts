/** Under isolate, keys are forgotten when nothing of the app can use them any more, and not before. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { after, before, mock, test } from 'node:test';
import tls from 'node:tls';
import { engineStats } from '../../lib/engine/stats.ts';
import { KeyProcess } from '../../lib/keepers/key-process.ts';
import { subjectKeyId } from '../../lib/protocol/key-id.ts';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { childrenOf } from '../helpers/child-processes.ts';
import { collectGarbage } from '../helpers/garbage.ts';

const forgotten: string[] = [];
const drop = KeyProcess.prototype.drop;
mock.method(KeyProcess.prototype, 'drop', function (this: KeyProcess, name: string) {
  forgotten.push(name);
  drop.call(this, name);
});

// Processes with keys keep no other alive.
const alive = setInterval(() => undefined, 60_000);
after(() => clearInterval(alive));

let sites: Issued[];
before(async () => {
  const authority = await makeAuthority();
  sites = await Promise.all(Array.from({ length: 4 }, () => authority.issue({ type: 'p256' })));
  await import('../../lib/wrap/isolate.ts');
});

const optionsOf = ({ certPem: cert, keyPem: key }: Issued) => ({ cert, key });

function nameOf({ certPem }: Issued): string {
  const spki = new X509Certificate(certPem).publicKey.export({ type: 'spki', format: 'der' });
  return Buffer.from(subjectKeyId(spki)).toString('hex');
}

async function serverOf(site: Issued): Promise<tls.Server> {
  const server = tls.createServer(optionsOf(site), (socket) => socket.end());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** @returns the key that the server has shown */
function connect(server: tls.Server): Promise<string> {
  const { port } = server.address() as AddressInfo;
  return new Promise((resolve, reject) => {
    const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      const { raw } = client.getPeerCertificate();
      client.destroy();
      resolve(nameOf({ certPem: new X509Certificate(raw).toString() } as Issued));
    });
    client.on('error', reject);
  });
}

async function collectUntil(isDone: () => boolean): Promise<void> {
  while (!isDone()) await collectGarbage();
}

test('the keys of contexts that are gone are forgotten, those of others are not; one that is given again works', async () => {
  const [used, held, dropped] = sites as [Issued, Issued, Issued];
  const server = await serverOf(used);
  const contexts = new Set([held, dropped, dropped].map((site) => tls.createSecureContext(optionsOf(site))));
  const [first] = contexts;
  contexts.clear();
  contexts.add(first!);
  await collectUntil(() => forgotten.length > 0);
  for (let count = 0; count < 5; count += 1) await collectGarbage();
  assert.deepEqual(forgotten, [nameOf(dropped)]);
  assert.equal(await connect(server), nameOf(used));
  server.setSecureContext(optionsOf(dropped));
  assert.equal(await connect(server), nameOf(dropped));
  assert.equal(contexts.size, 1);
  server.close();
});

test('a key whose context is gone while a handshake waits for it is not forgotten before its end', async () => {
  const [replaced, next] = sites.slice(2) as [Issued, Issued];
  const server = await serverOf(replaced);
  assert.equal(await connect(server), nameOf(replaced));
  forgotten.length = 0;
  const holders = childrenOf(process.pid);
  for (const pid of holders) process.kill(pid, 'SIGSTOP');
  const { paused } = engineStats();
  const connected = connect(server);
  while (engineStats().paused === paused) await new Promise(setImmediate);
  server.setSecureContext(optionsOf(next));
  for (let count = 0; count < 10; count += 1) await collectGarbage();
  assert.ok(!forgotten.includes(nameOf(replaced)));
  for (const pid of holders) process.kill(pid, 'SIGCONT');
  assert.equal(await connected, nameOf(replaced));
  assert.equal(await connect(server), nameOf(next));
  await collectUntil(() => forgotten.includes(nameOf(replaced)));
  server.close();
});
