/** A descriptor that becomes another's between the moment in which a handshake's reader is found and the one in which it is called. */
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import { before, test } from 'node:test';
import tls from 'node:tls';
import {
  configureEngine,
  createSecureContext,
  engineStats,
  localKey,
  type SignOperation,
} from '../../lib/index.ts';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';
import { until } from '../helpers/edge.ts';

let issued: Issued;

before(async () => {
  issued = await (await makeAuthority()).issue({ type: 'p256' });
});

/** Each takes the next free descriptor in the same turn of the loop. @returns what gives it back */
const OPENERS: Readonly<Record<string, () => () => void>> = {
  'a UDP socket': () => {
    const socket = dgram.createSocket('udp4').bind({ port: 0, exclusive: true });
    return () => socket.close();
  },
  'a server': () => {
    const server = net.createServer().listen(0);
    return () => server.close();
  },
};

interface Visit {
  readonly server: net.Socket;
  /** @returns whether it was served */
  readonly isServed: Promise<boolean>;
}

/** The first of two handshakes has ended, and gives its place to the second, whose key does this before Node is woken. */
async function whenPlaceIsGiven(meanwhile: (first: net.Socket) => void): Promise<boolean[]> {
  configureEngine({ maxPausedHandshakes: 1 });
  const key = localKey(issued.keyPem);
  let answer: () => void = () => undefined;
  const waits = new Promise<void>((resolve) => (answer = resolve));
  const visits: Visit[] = [];
  const sign = async (operation: SignOperation): Promise<Uint8Array> => {
    if (visits.length < 2) await waits;
    else {
      await null;
      meanwhile(visits[0]!.server);
    }
    return key.sign(operation);
  };
  const secureContext = createSecureContext({ cert: issued.certPem, key: { sign } });
  const server = net.createServer((raw) => {
    new tls.TLSSocket(raw, { isServer: true, secureContext }).on('error', () => undefined);
  }) as tls.Server;
  const port = await listen(server);
  const begin = async () => {
    const accepted = once(server, 'connection') as Promise<[net.Socket]>;
    const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    const isServed = new Promise<boolean>((resolve) => {
      client.on('secureConnect', () => resolve(true)).on('error', () => resolve(false));
    });
    visits.push({ server: (await accepted)[0], isServed: isServed.finally(() => client.destroy()) });
  };
  await begin();
  await until(() => engineStats().paused === 1);
  await begin();
  await until(() => engineStats().queued === 1);
  answer();
  const served = await Promise.all(visits.map(({ isServed }) => isServed));
  for (const visit of visits) visit.server.destroy();
  await close(server);
  configureEngine({ maxPausedHandshakes: 10_000 });
  return served;
}

test('the place of a handshake that has ended is given on before Node is woken', async () => {
  assert.deepEqual(await whenPlaceIsGiven(() => undefined), [true, true]);
});

for (const [name, open] of Object.entries(OPENERS)) {
  test(`${name} takes the descriptor of a connection that is to be woken: it is left alone`, async () => {
    let giveBack: () => void = () => undefined;
    const served = await whenPlaceIsGiven((first) => {
      first.destroy();
      giveBack = open();
    });
    giveBack();
    assert.deepEqual(served, [false, true]);
  });
}
