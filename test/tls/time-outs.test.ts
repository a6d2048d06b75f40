/** What a time-out of an operation says: the key knows who was asked, and the engine's alarm may come before the key's. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import tls, { type TLSSocket } from 'node:tls';
import { type Clock, systemClock } from '../../lib/clock.ts';
import { operationEnd } from '../../lib/engine/channels.ts';
import { connectKeyServers, KeylessError, type KeyServers, type PrivateKey } from '../../lib/index.ts';
import * as keyless from '../../lib/tls.ts';
import { type BadKeyServer, startBadKeyServer } from '../helpers/bad-key-server.ts';
import { until } from '../helpers/edge.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';

let setup: KeyServerSetup;
let keyServer: BadKeyServer;
const open: { close(): unknown }[] = [];

before(async () => {
  setup = await makeKeyServers(['p256']);
  keyServer = await startBadKeyServer(setup);
  keyServer.manner = 'silent';
});
after(async () => {
  for (const each of open) each.close();
  await keyServer.close();
});

function closed(client: TLSSocket): Promise<void> {
  return new Promise((resolve) => client.on('error', () => undefined).on('close', () => resolve()));
}

/** @returns the errors that one failed handshake has told its server, and those of its operations */
async function failedHandshake(key: PrivateKey) {
  const told: KeylessError[] = [];
  const ends: (KeylessError | undefined)[] = [];
  const note = (message: unknown) => ends.push((message as { error?: KeylessError }).error);
  const server = keyless.createServer({ cert: setup.sites.p256!.certPem, key });
  server.on('tlsClientError', (error) => told.push(error as KeylessError));
  open.push(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  operationEnd.subscribe(note);
  const { port } = server.address() as AddressInfo;
  const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await closed(client);
  operationEnd.unsubscribe(note);
  return { told, ends };
}

/** Its own alarms come far too late. */
const LATE: Clock = {
  now: systemClock.now,
  after: (ms, wake) => systemClock.after(Math.min(ms * 100, 2 ** 31 - 1), wake),
};

async function lateKeys({ address }: BadKeyServer): Promise<KeyServers> {
  const keys = connectKeyServers({ servers: [address], ...setup.edgeOptions, timeoutMs: 200, clock: LATE });
  open.push(keys);
  await keys.ready();
  return keys;
}

test('a time-out names the key server, also where the alarm of the engine comes first', async () => {
  const keys = await lateKeys(keyServer);
  const { told, ends } = await failedHandshake(keys);
  assert.deepEqual(
    told.map(({ code }) => code),
    ['ERR_KEYLESS_TIMEOUT'],
  );
  assert.match(
    told[0]!.message,
    new RegExp(`The key server ${keyServer.address} did not answer within \\d+ ms`),
  );
  assert.deepEqual(ends, told);
  assert.deepEqual(keys.stats().servers[0]!.errors, { ERR_KEYLESS_TIMEOUT: 1 });
});

test('so does one that goes through a key of the user', async () => {
  const keys = await lateKeys(keyServer);
  const { told } = await failedHandshake({
    timeoutMs: 200,
    async sign(operation) {
      const signature = await keys.sign(operation);
      return Buffer.from(signature);
    },
  });
  assert.match(told[0]!.message, /The key server 127\.0\.0\.1:\d+ did not answer/);
});

test('how the key server that was asked before had failed is its cause', async () => {
  const failing = await startBadKeyServer(setup);
  failing.manner = 'hang-up';
  const { told } = await failedHandshake(await lateKeys(failing));
  await failing.close();
  assert.equal(told[0]!.code, 'ERR_KEYLESS_TIMEOUT');
  assert.equal((told[0]!.cause as KeylessError).code, 'ERR_KEYLESS_CONNECTION');
});

/** What a key does when its signal fires. */
const TOO_LATE: Readonly<
  Record<string, (resolve: (value: Uint8Array) => void, reject: (error: unknown) => void) => void>
> = {
  'an answer': (resolve) => resolve(Buffer.alloc(70)),
  'an error of its own': (_, reject) => reject(new Error('aborted')),
  'another error of ours': (_, reject) => reject(new KeylessError('ERR_KEYLESS_CLOSED', 'closed')),
  nothing: () => undefined,
};

for (const [what, answer] of Object.entries(TOO_LATE)) {
  test(`at the signal of its time-out, ${what} is too late`, async () => {
    const reasons: unknown[] = [];
    const { told, ends } = await failedHandshake({
      timeoutMs: 50,
      sign: ({ signal }) =>
        new Promise((resolve, reject) => {
          signal.addEventListener('abort', () => {
            reasons.push(signal.reason);
            answer(resolve, reject);
          });
        }),
    });
    assert.match(told[0]!.message, /^The PrivateKey did not answer within \d+ ms/);
    assert.deepEqual([told.length, ends, reasons], [1, told, told]);
  });
}

/** @returns an error that throws as soon as somebody looks at its code */
function unreadable(): KeylessError {
  const read = () => assert.fail('looked at');
  return Object.defineProperty(new KeylessError('ERR_KEYLESS_TIMEOUT', 'unreadable'), 'code', { get: read });
}

test('at the signal of its time-out, an error whose code cannot be read is too late', async () => {
  const { told, ends } = await failedHandshake({
    timeoutMs: 50,
    sign: ({ signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(unreadable()));
      }),
  });
  assert.match(told[0]!.message, /^The PrivateKey did not answer within \d+ ms/);
  assert.deepEqual([told.length, ends], [1, told]);
});

test('a listener of its signal that ends the connection leaves one end, the time-out', async () => {
  const sockets: TLSSocket[] = [];
  const ends: (KeylessError | undefined)[] = [];
  const note = (message: unknown) => ends.push((message as { error?: KeylessError }).error);
  operationEnd.subscribe(note);
  const key: PrivateKey = {
    timeoutMs: 50,
    sign: ({ signal }) => {
      signal.addEventListener('abort', () => sockets[0]!.destroy());
      return new Promise(() => undefined);
    },
  };
  const client = tls.connect({ ...(await startNative()), secureContext: clientContext(key) });
  sockets.push(client);
  await closed(client);
  await until(() => ends.length > 0);
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  operationEnd.unsubscribe(note);
  assert.deepEqual(
    ends.map((error) => error?.code),
    ['ERR_KEYLESS_TIMEOUT'],
  );
});

/** @returns where a server of node:tls listens that asks for a certificate */
async function startNative(): Promise<{ port: number; host: string; rejectUnauthorized: boolean }> {
  const { certPem: cert, keyPem: key } = setup.sites.p256!;
  const server = tls.createServer({ cert, key, requestCert: true, rejectUnauthorized: false });
  server.on('tlsClientError', () => undefined);
  open.push(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  return { port, host: '127.0.0.1', rejectUnauthorized: false };
}

function clientContext(key: PrivateKey): tls.SecureContext {
  return keyless.createSecureContext({ cert: setup.edge.certPem, key });
}
