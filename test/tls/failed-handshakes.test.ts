/** What OpenSSL's error queue holds of a handshake that fails, when handlers of the user's run. */
import assert from 'node:assert/strict';
import { createHook } from 'node:async_hooks';
import { createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { before, test } from 'node:test';
import tls, { type Server, type TLSSocket } from 'node:tls';
import {
  configureEngine,
  connect,
  createSecureContext,
  createServer,
  type PrivateKey,
} from '../../lib/index.ts';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, describeError, listen } from '../helpers/connections.ts';
import { clientHello } from '../helpers/half-open.ts';
import { parity } from '../helpers/parity.ts';
import { begin, clientHello as keyExchangeHello } from '../helpers/premaster-client.ts';

let issued: Issued;
let rsa: Issued;

before(async () => {
  const authority = await makeAuthority();
  [issued, rsa] = await Promise.all([authority.issue({ type: 'p256' }), authority.issue({ type: 'rsa' })]);
});

const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;
const failing: PrivateKey = {
  sign: async () => {
    await new Promise(setImmediate);
    throw new Error('the holder of the key is down');
  },
};

/** Node says that a key is bad where the queue holds an error of somebody else's. */
function looksForItsOwn(events: string[], event: string): void {
  try {
    createPrivateKey(issued.keyPem);
    events.push(event);
  } catch (error) {
    events.push(`${event}: ${(error as { code?: string }).code}`);
  }
}

async function watch(socket: TLSSocket, early: boolean): Promise<string[]> {
  const events: string[] = [];
  if (early) socket.write('early', () => looksForItsOwn(events, 'written'));
  for (const event of ['_tlsError', 'error', 'close']) socket.on(event, () => looksForItsOwn(events, event));
  await new Promise((resolve) => socket.on('close', resolve));
  return events;
}

async function failingClient(maxVersion: 'TLSv1.2' | 'TLSv1.3', early: boolean): Promise<string[]> {
  const server = tls.createServer({
    ...{ cert: issued.certPem, key: issued.keyPem, requestCert: true, rejectUnauthorized: false, maxVersion },
  });
  server.on('tlsClientError', () => undefined);
  const port = await listen(server);
  const options = { port, host: '127.0.0.1', rejectUnauthorized: false };
  const events = await watch(connect({ ...options, cert: issued.certPem, key: failing }), early);
  await close(server);
  return events;
}

async function failingServer(maxVersion: 'TLSv1.2' | 'TLSv1.3', early: boolean): Promise<string[]> {
  const secureContext = createSecureContext({ cert: issued.certPem, key: failing, maxVersion });
  const server = net.createServer() as tls.Server;
  const accepted = once(server, 'connection') as Promise<[net.Socket]>;
  const client = tls.connect({ port: await listen(server), host: '127.0.0.1' }).on('error', () => undefined);
  const [raw] = await accepted;
  const socket = new tls.TLSSocket(raw, { isServer: true, secureContext });
  socket.on('_tlsError', () => socket.destroy());
  const events = await watch(socket, early);
  client.destroy();
  await close(server);
  return events;
}

for (const [name, scenario] of Object.entries({ client: failingClient, server: failingServer })) {
  for (const version of VERSIONS) {
    for (const early of [false, true]) {
      const what = early ? 'with a write that waits' : 'with nothing to write';
      test(`handlers of a ${name} ${what} find no error of its failed handshake, ${version}`, async () => {
        const events = await scenario(version, early);
        assert.equal(events.at(-1), 'close');
        assert.equal(early, events.includes('written'));
        assert.deepEqual(
          events.filter((event) => event.includes(':')),
          [],
        );
      });
    }
  }
}

/** A server's socket that may be half-open, and a client that has said hello. */
async function accept(
  server: Server,
  key: PrivateKey,
  hello: Buffer,
): Promise<{ socket: TLSSocket; client: net.Socket }> {
  const accepted = once(server, 'connection') as Promise<[net.Socket]>;
  const { port } = server.address() as net.AddressInfo;
  const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => undefined);
  client.resume().write(hello);
  const [raw] = await accepted;
  const secureContext = createSecureContext({ cert: issued.certPem, key });
  const socket = new tls.TLSSocket(raw, { isServer: true, secureContext });
  return { socket: socket.on('_tlsError', () => socket.destroy()), client };
}

/** Node does not read there any more, so it is woken from JavaScript, which hooks see coming. */
test('nor do hooks, where the client had ended its side while its handshake waited for its turn', async (context) => {
  configureEngine({ maxPausedHandshakes: 1 });
  const fails: (() => void)[] = [];
  const sign = () =>
    new Promise<never>((_, reject) => fails.push(() => reject(new Error('the key is away'))));
  const asked = async () => {
    while (fails.length === 0) await new Promise(setImmediate);
    return fails.pop()!;
  };
  const server = net.createServer({ allowHalfOpen: true });
  await listen(server as Server);
  const hello = await clientHello();
  const first = await accept(server as Server, { sign }, hello);
  const failFirst = await asked();
  const second = await accept(server as Server, { sign }, hello);
  second.client.end();
  await once(second.socket.resume(), 'end');
  const events: string[] = [];
  const hook = createHook({ before: () => looksForItsOwn(events, 'before') }).enable();
  context.after(() => {
    hook.disable();
    configureEngine({ maxPausedHandshakes: 10_000 });
  });
  const told = [first, second].map(({ socket }) => watch(socket, false));
  failFirst();
  (await asked())();
  events.push(...(await Promise.all(told)).flat());
  assert.ok(events.includes('before'));
  assert.deepEqual(
    events.filter((event) => event.includes(':')),
    [],
  );
  for (const { client } of [first, second]) client.destroy();
  await close(server as Server);
});

/** Of its key exchange, which a job reads. OpenSSL has no error then, and Node finds an end. */
parity('a client that takes its leave in the place of a key exchange', async (side) => {
  const CLOSE_NOTIFY = Buffer.of(21, 3, 3, 0, 2, 1, 0);
  const server = side.tls.createServer({ cert: rsa.certPem, key: side.key(rsa) });
  const port = await listen(server);
  const told = once(server, 'tlsClientError');
  const { socket } = await begin(port, keyExchangeHello());
  socket.write(CLOSE_NOTIFY);
  const [error] = await told;
  socket.destroy();
  await close(server);
  return describeError(error);
});

/** A signature that is not one makes OpenSSL say several things, of which Node tells one. A client with a key reads it in a job. */
for (const scheme of ['rsa_pss_rsae_sha256', 'ecdsa_secp256r1_sha256'] as const) {
  parity(`a client with a key tells of a bad signature, ${scheme}`, async (side) => {
    const { certPem } = scheme.startsWith('rsa') ? rsa : issued;
    const key: PrivateKey = { verify: 'never', schemes: [scheme], sign: () => BAD[scheme] };
    const server = createServer({ cert: certPem, key, requestCert: true, rejectUnauthorized: false });
    server.on('tlsClientError', () => undefined);
    const port = await listen(server);
    const client = side.tls.connect({
      ...{ port, host: '127.0.0.1', rejectUnauthorized: false },
      ...{ cert: issued.certPem, key: side.key(issued) },
    });
    const [error] = await once(client, 'error');
    await close(server);
    return describeError(error);
  });
}
const BAD = {
  rsa_pss_rsae_sha256: new Uint8Array(256).fill(0xff),
  ecdsa_secp256r1_sha256: Uint8Array.from([0x30, 6, 2, 1, 1, 2, 1, 1]),
} as const;
