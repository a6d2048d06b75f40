/** Sessions of a host that is gone: its clients are refused as those of any unknown name. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, unlinkSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { after, before, test } from 'node:test';
import tls, { type SecureVersion } from 'node:tls';
import { fingerprint, HostsFolder, ProxyProcess, portOf, visit } from '../helpers/proxying.ts';

let echo: Server;
let backend: readonly string[];
const folders: HostsFolder[] = [];
before(async () => {
  echo = createServer((socket) => void socket.on('error', () => undefined).pipe(socket));
  backend = ['--backend', `tcp://127.0.0.1:${await portOf(echo)}`];
});
after(() => {
  echo.close();
  for (const folder of folders) folder.remove();
});

interface Started {
  readonly folder: HostsFolder;
  readonly proxy: ProxyProcess;
  readonly port: number;
}

/** With the hosts `kept` (kept.test) and `gone` (gone.test). */
async function start(...args: readonly string[]): Promise<Started> {
  const folder = await HostsFolder.make();
  folders.push(folder);
  for (const label of ['kept', 'gone']) await folder.add(label, [`${label}.test`]);
  const proxy = new ProxyProcess(folder, [...backend, ...args]);
  return { folder, proxy, port: await proxy.port() };
}

/** @returns the session, when what was sent has come back @throws where the handshake fails */
async function sessionOf(port: number, servername: string, maxVersion?: SecureVersion): Promise<Buffer> {
  const socket = tls.connect({ port, host: '127.0.0.1', servername, rejectUnauthorized: false, maxVersion });
  const told = once(socket, 'session');
  socket.write('x');
  await once(socket, 'data');
  const [session] = await told;
  socket.destroy();
  return session;
}

/** Whoever is in is served. @throws where the handshake fails */
async function isTaken(
  port: number,
  servername: string,
  session: Buffer,
  maxVersion?: SecureVersion,
): Promise<boolean> {
  const trust = { servername, rejectUnauthorized: false };
  const socket = tls.connect({ port, host: '127.0.0.1', ...trust, session, maxVersion });
  socket.write('x');
  const cutOff = once(socket, 'close').then(() => ['cut off']);
  const [said] = await Promise.race([once(socket, 'data'), cutOff]);
  assert.equal(String(said), 'x');
  const taken = socket.isSessionReused();
  socket.destroy();
  return taken;
}

/** @returns when so many processes have seen it */
async function removeGone({ folder, proxy }: Started, processes = 1): Promise<void> {
  unlinkSync(`${folder.hosts}/gone.crt`);
  const told = () => proxy.events.filter(({ event }) => event === 'host-removed').length;
  await proxy.event('host-removed', () => told() >= processes);
}

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] satisfies SecureVersion[]) {
  test(`${maxVersion}: a client with a session of a host that is gone is refused in its handshake`, async () => {
    const started = await start();
    const { port, proxy } = started;
    const session = await sessionOf(port, 'gone.test', maxVersion);
    assert.equal(await isTaken(port, 'gone.test', session, maxVersion), true);
    await removeGone(started);
    assert.match(await visit(port, 'gone.test', { session, maxVersion }), /ALERT_HANDSHAKE_FAILURE$/);
    const kept = await sessionOf(port, 'kept.test', maxVersion);
    await started.folder.add('another', ['another.test']);
    await proxy.event('host', ({ host }) => host === 'another');
    assert.equal(await isTaken(port, 'kept.test', kept, maxVersion), true);
    assert.equal(await proxy.end(), 0);
  });

  test(`${maxVersion}: so is one that named nobody, when the default host is gone`, async () => {
    const started = await start('--default-host', 'gone');
    const { port, proxy } = started;
    const session = await sessionOf(port, 'unknown.test', maxVersion);
    assert.equal(await isTaken(port, 'unknown.test', session, maxVersion), true);
    await started.folder.add('another', ['gone.test']);
    await proxy.event('host', ({ host }) => host === 'another');
    await removeGone(started);
    assert.match(await visit(port, 'unknown.test', { session, maxVersion }), /ALERT_HANDSHAKE_FAILURE$/);
    assert.equal(await proxy.end(), 0);
  });
}

test('beside a default host, such a client sees the certificate of that', async () => {
  const started = await start('--default-host', 'kept');
  const { folder, port, proxy } = started;
  const session = await sessionOf(port, 'gone.test');
  await removeGone(started);
  const seen = await visit(port, 'gone.test', { session });
  assert.equal(seen, fingerprint(readFileSync(`${folder.hosts}/kept.crt`, 'utf8')));
  assert.equal(await proxy.end(), 0);
});

test('a host that is renewed, also under the name of another file, keeps its sessions', async () => {
  const { folder, port, proxy } = await start();
  const session = await sessionOf(port, 'gone.test');
  const renewed = await folder.authority.issue({ type: 'p256', dns: ['gone.test'] });
  folder.put('another', renewed);
  await proxy.event('host', ({ host }) => host === 'another');
  unlinkSync(`${folder.hosts}/gone.crt`);
  await proxy.event('host-removed');
  assert.equal(await isTaken(port, 'gone.test', session), true);
  assert.equal(await proxy.end(), 0);
});

test('with workers none of them takes it, and they have keys in common again', async () => {
  const started = await start('--workers', '2');
  const { port, proxy } = started;
  const listening = () => proxy.events.filter(({ event }) => event === 'listening').length;
  await proxy.event('listening', () => listening() === 2);
  const session = await sessionOf(port, 'gone.test');
  await removeGone(started, 2);
  for (let time = 0; time < 4; time += 1)
    assert.match(await visit(port, 'gone.test', { session }), /ALERT_HANDSHAKE_FAILURE$/);
  // The keys that they have in common come to each a moment later.
  for (let inARow = 0, kept = await sessionOf(port, 'kept.test'); inARow < 4; ) {
    if (await isTaken(port, 'kept.test', kept)) inARow += 1;
    else [inARow, kept] = [0, await sessionOf(port, 'kept.test')];
  }
  assert.equal(await proxy.end(), 0);
});
