/** The hosts of `keyless-tls proxy --isolate`, and its own key towards backends, when the processes with the keys end. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import tls from 'node:tls';
import { childrenOf } from '../helpers/child-processes.ts';
import { fingerprint, HostsFolder, ProxyProcess, portOf, visit } from '../helpers/proxying.ts';

test('--isolate: keys that are lost with the processes that held them are read from the folder again', async () => {
  const folder = await HostsFolder.make();
  const echo = createServer((socket) => void socket.on('error', () => undefined).pipe(socket));
  const url = `tcp://127.0.0.1:${await portOf(echo)}`;
  const [first, second] = [await folder.add('first', ['a.test']), await folder.add('second', ['b.test'])];
  const proxy = new ProxyProcess(folder, ['--isolate', '--default-host', 'second', '--backend', url]);
  const port = await proxy.port();
  const visitAll = async () => [
    await visit(port, 'a.test'),
    await visit(port, 'b.test'),
    await visit(port, ''),
  ];
  const expected = [first, second, second].map(({ certPem }) => fingerprint(certPem));
  assert.deepEqual(await visitAll(), expected);
  for (let round = 2; round < 4; round += 1) {
    for (const pid of childrenOf(proxy.child.pid!)) process.kill(pid, 'SIGKILL');
    const told = (label: string) =>
      proxy.events.filter(({ event, host }) => event === 'host' && host === label);
    await proxy.event('host', () => told('first').length >= round && told('second').length >= round);
    assert.deepEqual(await visitAll(), expected);
  }
  assert.equal(await proxy.end(), 0);
  echo.close();
  folder.remove();
});

test('--isolate: the key of --backend-key is handed over again, too', async () => {
  const folder = await HostsFolder.make();
  await folder.add('own', ['a.test']);
  const [{ certPem: cert, keyPem: key }, own] = await Promise.all([
    folder.authority.issue({ type: 'p256', dns: ['localhost'] }),
    folder.authority.issue({ type: 'p256', dns: ['edge'] }),
  ]);
  const ca = folder.authority.certPem;
  // Whoever is let in hears whose certificate it was.
  const backend = tls.createServer({ cert, key, ca, requestCert: true }, (socket) =>
    socket.end(String(socket.getPeerX509Certificate()?.fingerprint256)),
  );
  writeFileSync(folder.file('edge.crt'), own.certPem);
  writeFileSync(folder.file('edge.key'), own.keyPem);
  const files = ['--backend-ca', 'ca.crt', '--backend-cert', 'edge.crt', '--backend-key', 'edge.key'].map(
    (word) => (word.startsWith('--') ? word : folder.file(word)),
  );
  const proxy = new ProxyProcess(folder, [
    ...['--isolate', '--backend', `tls://localhost:${await portOf(backend)}`],
    ...files,
  ]);
  const port = await proxy.port();
  const ask = () => text(tls.connect({ port, host: '127.0.0.1', servername: 'a.test', ca }));
  assert.equal(await ask(), fingerprint(own.certPem));
  for (const pid of childrenOf(proxy.child.pid!)) process.kill(pid, 'SIGKILL');
  await proxy.event('host', () => proxy.events.filter(({ event }) => event === 'host').length === 2);
  assert.equal(await ask(), fingerprint(own.certPem));
  assert.equal(await proxy.end(), 0);
  backend.close();
  folder.remove();
});
