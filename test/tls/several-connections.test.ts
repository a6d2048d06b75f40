/** Connections that come to their keys in the same turn of the loop: what one's handlers do is none of another's. */
import { once } from 'node:events';
import net from 'node:net';
import { before } from 'node:test';
import tls, { type SecureContext, type TLSSocket } from 'node:tls';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';
import { duplexPair } from '../helpers/duplex-pair.ts';
import { until } from '../helpers/edge.ts';
import { parity } from '../helpers/parity.ts';

let issued: Issued;

before(async () => {
  issued = await (await makeAuthority()).issue({ type: 'rsa' });
});

/** Whosever the RSA key is, a job reads the flight for which the server's user is asked: RSA-PSK. */
const psk = Buffer.alloc(32, 1);
const RSA_PSK = { ciphers: 'RSA-PSK-AES128-GCM-SHA256', maxVersion: 'TLSv1.2' } as const;

/** A client of a server under RSA-PSK. @returns sends its second flight */
async function standing(port: number): Promise<() => void> {
  const onward = net.connect(port, '127.0.0.1');
  const link = net.createServer((accepted) => onward.pipe(accepted).on('error', () => {}));
  const client = {
    ...{ port: await listen(link as tls.Server), host: '127.0.0.1', rejectUnauthorized: false },
    ...{ checkServerIdentity: () => undefined, pskCallback: () => ({ psk, identity: 'me' }) },
  } as unknown as tls.ConnectionOptions;
  tls.connect({ ...RSA_PSK, ...client }).on('error', () => {});
  const [accepted] = (await once(link, 'connection')) as [net.Socket];
  onward.on('error', () => {}).on('close', () => accepted.destroy());
  link.close();
  onward.write((await once(accepted, 'data'))[0]);
  const [flight] = await once(accepted, 'data');
  return () => onward.write(flight);
}

/** A client of a server that is asked for a context. @returns gives it one */
async function asking(server: tls.Server): Promise<(context: SecureContext) => void> {
  const port = await listen(server);
  const client = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false });
  client.on('error', () => {}).resume();
  const [give] = (await once(server, 'asked')) as [(context: SecureContext) => void];
  return give;
}

/** @param read is called when what is sent to the link has come */
async function linkThatCalls(read: () => void): Promise<() => void> {
  const link = net.createServer((accepted) => accepted.once('data', read));
  const socket = net.connect(await listen(link as tls.Server), '127.0.0.1');
  await Promise.all([once(link, 'connection'), once(socket, 'connect')]);
  link.close();
  return () => socket.end('now');
}

/** A connection over streams whose client has begun. @returns lets the server read that, at once; and the client */
async function begun(server: tls.Server): Promise<[() => void, TLSSocket]> {
  const [clientEnd, link] = duplexPair();
  const [serverEnd, far] = duplexPair();
  server.emit('connection', serverEnd);
  const client = tls.connect({ socket: clientEnd, rejectUnauthorized: false, ALPNProtocols: ['other'] });
  const [hello] = (await once(link, 'data')) as [Buffer];
  return [
    () => {
      far.write(hello);
      link.pipe(far).pipe(link);
    },
    client,
  ];
}

/** @returns the messages of what is thrown at nobody in particular until `work` has ended */
async function uncaughtIn(work: () => Promise<void>): Promise<string[]> {
  const thrown: string[] = [];
  process.setUncaughtExceptionCaptureCallback((error: unknown) => thrown.push((error as Error).message));
  try {
    await work();
  } finally {
    process.setUncaughtExceptionCaptureCallback(null);
  }
  return thrown;
}

parity('a handler that throws is none of a connection that is given its context', async (side) => {
  const log: unknown[] = [];
  const context = side.tls.createSecureContext({ cert: issued.certPem, key: side.key(issued) });
  const own = { cert: issued.certPem, key: issued.keyPem, pskCallback: () => psk };
  const one = tls.createServer({ ...own, ...RSA_PSK } as tls.TlsOptions, (socket: TLSSocket) => {
    log.push('one');
    socket.destroy();
    throw new Error('of one');
  });
  const other = side.tls.createServer(
    { SNICallback: (_name, done) => other.emit('asked', (given: SecureContext) => done(null, given)) },
    (socket: TLSSocket) => {
      log.push('other');
      socket.end();
    },
  );
  const send = await standing(await listen(one));
  const give = await asking(other);
  const callLater = await linkThatCalls(() => give(context));
  const thrown = await uncaughtIn(async () => {
    send();
    callLater();
    await until(() => log.length === 2);
  });
  await Promise.all([close(one), close(other)]);
  // Keys that take time keep no order.
  return { log: log.sort(), thrown };
});

parity(
  'an ALPNCallback is asked for a connection while it is asked for another of its context',
  async (side) => {
    const asked: string[] = [];
    let begin: (() => void) | undefined;
    const server = side.tls.createServer({
      ...{ cert: issued.certPem, key: side.key(issued) },
      ALPNCallback({ protocols }: { protocols: string[] }) {
        asked.push(protocols.join());
        if (protocols[0] === 'one') begin?.();
        return protocols[0];
      },
    } as unknown as tls.TlsOptions);
    const port = await listen(server);
    const [beginOther, other] = await begun(server);
    begin = beginOther;
    const own = { port, host: '127.0.0.1', rejectUnauthorized: false, maxVersion: 'TLSv1.2' } as const;
    const one = tls.connect({ ...own, ALPNProtocols: ['one'] });
    await Promise.all([once(one, 'secureConnect'), once(other, 'secureConnect')]);
    const protocols = [one.alpnProtocol, other.alpnProtocol];
    for (const client of [one, other]) client.destroy();
    await close(server);
    return { asked, protocols };
  },
);

/** @returns an open connection to a server, over which nothing has been said */
async function connected(port: number): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}

parity('each is told what it has failed of itself', async (side) => {
  const server = side.tls.createServer({
    ...{ cert: issued.certPem, key: side.key(issued) },
    ALPNCallback: ({ protocols }) => (protocols[0] === 'none' ? undefined : protocols[0]),
  });
  const failed: unknown[] = [];
  server.on('tlsClientError', (error: NodeJS.ErrnoException) => failed.push([error.code, error.message]));
  let accepted = 0;
  server.on('connection', () => {
    accepted += 1;
  });
  let secured = 0;
  server.on('secureConnection', (socket) => {
    secured += 1;
    socket.resume().end();
  });
  const port = await listen(server);
  const sockets = [await connected(port), await connected(port), await connected(port)];
  await until(() => accepted === sockets.length);
  const clients = sockets.map((socket, index) =>
    tls.connect({ socket, rejectUnauthorized: false, ALPNProtocols: [index === 1 ? 'some' : 'none'] }),
  );
  await Promise.all(
    clients.map(
      (client) =>
        new Promise((resolve) =>
          client
            .on('error', () => {})
            .on('close', resolve)
            .resume()
            .end(),
        ),
    ),
  );
  await close(server);
  return [failed.map((each) => String(each).replace(/[0-9A-F]{16}:/, '')), secured];
});

/** After a hello-retry OpenSSL looks for a callback in the context that was chosen by name, which has none. */
parity(
  'an ALPNCallback is asked for each of several connections as for the first, hello-retry',
  async (side) => {
    const key = { cert: issued.certPem, key: side.key(issued) };
    const chosen = side.tls.createSecureContext(key);
    const story: unknown[] = [];
    const server = side.tls.createServer({
      ...{ ...key, ecdhCurve: 'P-384' },
      SNICallback: (_, done) => done(null, chosen),
      ALPNCallback({ protocols }: { protocols: string[] }) {
        story.push(protocols);
        return protocols[0];
      },
    } as tls.TlsOptions);
    const port = await listen(server);
    for (const _ of [1, 2, 3]) {
      const client = tls.connect({
        ...{ port, host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false },
        ...{ ALPNProtocols: ['a', 'b'], ecdhCurve: 'P-256:P-384' },
      });
      await Promise.all([once(client, 'secureConnect'), once(server, 'secureConnection')]);
      story.push(client.alpnProtocol);
      client.destroy();
    }
    await close(server);
    return story;
  },
);
