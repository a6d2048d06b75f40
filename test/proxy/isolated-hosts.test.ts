/** The hosts of `keyless-tls proxy --isolate` when the processes with their keys end. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';
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
