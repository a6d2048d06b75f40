/** A client's end that comes right behind what leads to the operation: natively it is found out after the answer. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, before } from 'node:test';
import tls, { type TLSSocket, type TlsOptions } from 'node:tls';
import { engineStats } from '../../lib/index.ts';
import { linkTo, RSA_EXCHANGE } from '../helpers/between-flights.ts';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';
import { until } from '../helpers/edge.ts';
import { parity, type Side } from '../helpers/parity.ts';

let issued: Issued;

before(async () => {
  issued = await (await makeAuthority()).issue({ type: 'rsa' });
});
after(() => until(() => engineStats().handshakes === 0 && engineStats().paused === 0));

/** How it ends; the second flight is on its way then. */
const ENDS: Readonly<Record<string, (onward: Socket) => void>> = {
  'its side': (onward) => onward.end(),
  'the connection': (onward) => onward.resetAndDestroy(),
};

/** @param onConnection sees each of the server's before TLS does; @returns what both ends have to tell */
async function visit(
  side: Side,
  own: TlsOptions,
  end: string | undefined,
  onConnection: (socket: Socket) => void = () => {},
): Promise<unknown> {
  const told = { server: [] as unknown[], client: [] as unknown[] };
  const server = side.tls.createServer({
    cert: issued.certPem,
    key: side.key(issued),
    ...RSA_EXCHANGE,
    ...own,
  });
  server.prependListener('connection', onConnection);
  const gone = new Promise<void>((resolve) => {
    server.on('tlsClientError', ({ code }: NodeJS.ErrnoException) => {
      told.server.push(code);
      resolve();
    });
    server.on('secureConnection', (socket: TLSSocket) => {
      told.server.push('secureConnection');
      // What is half-open writes to what was reset, and reads of it: which comes first is told.
      socket.on('error', ({ code }: NodeJS.ErrnoException) =>
        told.server.push(socket.allowHalfOpen ? 'an error' : code),
      );
      socket.on('end', () => told.server.push('end')).on('close', () => resolve());
      socket.resume().end('hello');
    });
  });
  const link = await linkTo(await listen(server), (flight, _data, onward) => {
    if (flight === 2 && end !== undefined) process.nextTick(() => ENDS[end]!(onward));
  });
  const { port } = link.address() as { port: number };
  const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  client.on('secureConnect', () => told.client.push('secureConnect')).on('error', () => {});
  client.on('data', (data) => told.client.push(String(data)));
  await Promise.all([gone, new Promise((resolve) => client.on('close', resolve))]);
  await close(link as tls.Server);
  await close(server);
  assert.equal(engineStats().paused, 0);
  return told;
}

for (const end of Object.keys(ENDS)) {
  for (const allowHalfOpen of [false, true]) {
    const of = allowHalfOpen ? 'a server that allows half-open connections' : 'a server';
    parity(`a client of ${of} that ends ${end} right behind its key exchange`, async (side) => {
      const own = { allowHalfOpen } as TlsOptions;
      // With the connection to the key server, which takes longer than a client that has ended its side is waited for.
      await visit(side, own, undefined);
      return visit(side, own, end);
    });
  }
}

for (const allowHalfOpen of [false, true]) {
  const end = 'its side';
  parity(
    `an app's own property "stream" makes no stream of a connection, allowHalfOpen ${allowHalfOpen}`,
    async (side) => {
      const own = { allowHalfOpen } as TlsOptions;
      const mark = (socket: Socket) => Object.assign(socket, { stream: 'the app has one' });
      await visit(side, own, undefined, mark);
      return visit(side, own, end, mark);
    },
  );
}
