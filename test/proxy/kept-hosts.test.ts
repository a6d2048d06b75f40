/** Connections that are open when the folder of `keyless-tls proxy` changes: they keep the host that they were made for. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { unlinkSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import tls from 'node:tls';
import { linkTo } from '../helpers/between-flights.ts';
import { close } from '../helpers/connections.ts';
import { portOf, proxied } from '../helpers/proxying.ts';

const backend = createServer((request, response) => request.on('end', () => response.end('hello')).resume());

test('another file for its names, and none any more, change nothing for a connection that is open', async () => {
  const { folder, proxy, port, end } = await proxied(backend, [], { other: 'other.test' });
  const www = await folder.authority.issue({ type: 'p256', dns: ['a.test', 'b.test'] });
  const changed = async (event: string, label: string, change: () => void) => {
    change();
    await proxy.event(event, ({ host }) => host === label);
  };
  await changed('host', 'www', () => folder.put('www', www));
  const ca = folder.authority.certPem;
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1, ca, servername: 'a.test' });
  const session = http2.connect(`https://127.0.0.1:${port}`, { ca, servername: 'a.test' });
  /** By HTTP/1.1 and HTTP/2, each on its one connection. */
  const ask = async (name: string): Promise<[status: unknown, isOpen: unknown][]> => {
    const options = { port, host: '127.0.0.1', agent, method: 'POST', headers: { host: name } };
    const request = https.request(options).end('data');
    const [answer] = (await once(request, 'response')) as [IncomingMessage];
    await once(answer.resume(), 'end');
    const stream = session.request({ ':authority': name });
    const [headers] = await once(stream, 'response');
    await once(stream.resume(), 'end');
    return [
      [answer.statusCode, request.reusedSocket],
      [headers[':status'], !session.closed],
    ];
  };
  await ask('a.test');
  const kept = [
    [200, true],
    [200, true],
  ];
  await changed('host', 'new', () => folder.put('new', www));
  for (const name of ['a.test', 'b.test']) assert.deepEqual(await ask(name), kept, name);
  for (const label of ['www', 'new'])
    await changed('host-removed', label, () => unlinkSync(`${folder.hosts}/${label}.crt`));
  for (const name of ['a.test', 'b.test']) assert.deepEqual(await ask(name), kept, name);
  assert.deepEqual(
    (await ask('other.test')).map(([status]) => status),
    [421, 421],
  );
  session.close();
  agent.destroy();
  await end();
});

for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
  test(`a handshake that is under way keeps its host and backend as well (${version})`, async () => {
    const others = createServer((_, response) => response.end('of another'));
    const { folder, proxy, port, end } = await proxied(
      createServer((_, response) => response.end('hello')),
      ['--backend', `new=http://127.0.0.1:${await portOf(others)}`],
      { www: 'a.test', other: 'other.test' },
    );
    const www = await folder.authority.issue({ type: 'p256', dns: ['a.test'] });
    const ca = folder.authority.certPem;
    /** The client's second flight, until it is let go. */
    let letGo: () => void = () => undefined;
    let held: () => void = () => undefined;
    const link = await linkTo(port, (flight, _, onward: Socket) => {
      if (flight !== 2) return;
      onward.cork();
      letGo = () => onward.uncork();
      held();
    });
    const ask = async (change: () => Promise<void>): Promise<string> => {
      const holding = new Promise<void>((resolve) => {
        held = resolve;
      });
      const { port: through } = link.address() as { port: number };
      const socket = tls.connect({
        ...{ port: through, host: '127.0.0.1', servername: 'a.test', ca },
        ...{ minVersion: version, maxVersion: version },
      });
      socket.write('GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n');
      const answer = text(socket);
      await holding;
      await change();
      letGo();
      return answer;
    };
    const changed = async (event: string, label: string, change: () => void) => {
      change();
      await proxy.event(event, ({ host }) => host === label);
    };
    assert.match(
      await ask(async () => {
        await changed('host', 'new', () => folder.put('new', www));
        await changed('host-removed', 'www', () => unlinkSync(`${folder.hosts}/www.crt`));
      }),
      /hello$/,
    );
    assert.match(
      await ask(() => changed('host-removed', 'new', () => unlinkSync(`${folder.hosts}/new.crt`))),
      /of another$/,
    );
    await close(link as tls.Server);
    await end();
    others.close();
  });
