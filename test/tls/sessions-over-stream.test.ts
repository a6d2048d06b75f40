/**
 * A client over a stream in JavaScript whose `secureConnect` listener writes: the server answers within that, with two sessions, and
 * natively Node reads them when the listener has returned. Read before, one of them is forgotten.
 */
import { once } from 'node:events';
import { before } from 'node:test';
import tls from 'node:tls';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { duplexPair } from '../helpers/duplex-pair.ts';
import { parity, type Side } from '../helpers/parity.ts';

let issued: Issued;
before(async () => {
  issued = await (await makeAuthority()).issue({ type: 'p256' });
});

/** @param isDestroyed the client is, when it has written @returns what the client hears, in order */
async function visit(side: Side, isDestroyed: boolean): Promise<string[]> {
  const server = tls.createServer(
    { cert: issued.certPem, key: issued.keyPem, requestCert: true, rejectUnauthorized: false },
    (socket) => socket.on('data', (data) => socket.end(`${data} to you`)),
  );
  const [here, there] = duplexPair();
  server.emit('connection', there);
  const own = { cert: issued.certPem, key: side.key(issued) };
  const client = side.tls.connect({
    ...own,
    socket: here,
    servername: 'localhost',
    rejectUnauthorized: false,
  });
  const heard: string[] = [];
  client.on('session', () => heard.push('session'));
  client.on('data', (data) => heard.push(String(data)));
  client.on('secureConnect', () => {
    heard.push('secureConnect');
    client.write('hello');
    heard.push('written');
    if (isDestroyed) client.destroy();
  });
  await once(client, isDestroyed ? 'close' : 'end');
  for (const each of [client, here, there]) each.destroy();
  return heard;
}

parity('a client over a stream that writes in secureConnect hears of each session', (side) =>
  visit(side, false),
);
parity('a client over a stream that writes in secureConnect and is destroyed there hears no more', (side) =>
  visit(side, true),
);
