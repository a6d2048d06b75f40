/** A PrivateKey that wraps another one hands on the operation, a copy of it, or what inherits from it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import {
  connectKeyServers,
  type KeylessError,
  type KeyServers,
  localKey,
  type PrivateKey,
} from '../../lib/index.ts';
import type { Operation, SignOperation } from '../../lib/keys/private-key.ts';
import { encodeError } from '../../lib/protocol/answers.ts';
import * as keyless from '../../lib/tls.ts';
import { type BadKeyServer, startBadKeyServer } from '../helpers/bad-key-server.ts';
import { until } from '../helpers/edge.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { startRudeKeyServer } from '../helpers/rude-key-server.ts';

let setup: KeyServerSetup;
let keyServer: BadKeyServer;
let keys: KeyServers;
const open: { close(): unknown }[] = [];

before(async () => {
  setup = await makeKeyServers(['p256', 'rsa']);
  keyServer = await startBadKeyServer(setup);
  keys = connectKeyServers({ servers: [keyServer.address], ...setup.edgeOptions });
  await keys.ready();
});
after(async () => {
  for (const each of open) each.close();
  keys.close();
  await keyServer.close();
});

async function listen(key: PrivateKey, kind: 'p256' | 'rsa' = 'p256') {
  const errors: KeylessError[] = [];
  const server = keyless.createServer({ cert: setup.sites[kind]!.certPem, key }, (socket) =>
    socket.end('hello'),
  );
  server.on('tlsClientError', (error) => errors.push(error as KeylessError));
  open.push(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const connect = (options: tls.ConnectionOptions = {}) =>
    tls
      .connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options })
      .on('error', () => undefined);
  return { errors, connect };
}

/** @returns what the client has read, and the server's errors */
async function visit(key: PrivateKey, kind?: 'p256' | 'rsa', options?: tls.ConnectionOptions) {
  const { errors, connect } = await listen(key, kind);
  const client = connect(options);
  let text = '';
  client.on('data', (chunk) => {
    text += String(chunk);
  });
  await new Promise((resolve) => client.on('close', resolve));
  return { text, errors };
}

const COPIES: Readonly<Record<string, <T extends Operation>(operation: T) => T>> = {
  'a spread copy': (operation) => ({ ...operation, deadline: operation.deadline - 10 }),
  'a copy by Object.assign': (operation) => Object.assign(Object.create(null), operation),
  'an object that inherits from it': (operation) =>
    Object.create(operation, { servername: { value: 'other' } }),
  'a Proxy': (operation) => new Proxy(operation, {}),
  'the operation itself, frozen,': (operation) => Object.freeze(operation),
};

for (const [what, copy] of Object.entries(COPIES)) {
  test(`${what} serves key servers and keys of this process, for signatures and decryption`, async () => {
    const { keyPem } = setup.sites.rsa!;
    const local = localKey(keyPem);
    const wrapped = { sign: (op: SignOperation) => local.sign(copy(op)), decrypt: local.decrypt };
    assert.equal((await visit({ sign: (op) => keys.sign(copy(op)) })).text, 'hello');
    assert.equal((await visit(wrapped, 'rsa')).text, 'hello');
    const exchange = { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' } as const;
    const decrypting = {
      sign: local.sign,
      decrypt: (op: Parameters<NonNullable<PrivateKey['decrypt']>>[0]) => local.decrypt!(copy(op)),
    };
    assert.equal((await visit(decrypting, 'rsa', exchange)).text, 'hello');
  });

  test(`${what} is given up when the client goes`, async () => {
    keyServer.manner = 'silent';
    const { connect } = await listen({ sign: (op) => keys.sign(copy(op)) });
    const { cancelled } = keys.stats();
    const { asked } = keyServer;
    const client = connect();
    await until(() => keyServer.asked > asked);
    client.destroy();
    await until(() => keys.stats().cancelled === cancelled + 1);
    keyServer.manner = 'sign';
  });
}

test('a copy has the addresses of its operation where the key servers are told of them, unless it has others', async () => {
  const told: (string | undefined)[] = [];
  const field = await startRudeKeyServer({
    server: setup.server,
    ca: setup.authority.certPem,
    onRequest({ id, items }, socket) {
      const { clientAddress } = items;
      told.push(clientAddress && Buffer.from(clientAddress).join('.'));
      socket.write(encodeError(id, 2));
    },
  });
  const asking = connectKeyServers({ servers: [field.address], ...setup.edgeOptions, sendAddresses: true });
  await asking.ready();
  await visit({ sign: (op) => asking.sign({ ...op }) });
  await visit({ sign: (op) => asking.sign({ ...op, peerAddress: '192.0.2.1' }) });
  await visit({ sign: (op) => asking.sign({ ...op, peerAddress: undefined }) });
  asking.close();
  await field.close();
  assert.deepEqual(told, ['127.0.0.1', '192.0.2.1', undefined]);
});

for (const [what, copy] of Object.entries(COPIES)) {
  test(`a key server that signs wrongly is told of, by ${what} too`, async () => {
    const wrong = await startBadKeyServer(setup);
    wrong.manner = 'flipped';
    const asking = connectKeyServers({ servers: [wrong.address], ...setup.edgeOptions });
    await asking.ready();
    const wrapped: PrivateKey = {
      sign: (op) => asking.sign(copy(op)),
      onRefused: (op, refused) => asking.onRefused(copy(op), refused),
    };
    const { errors } = await visit(wrapped);
    await until(() => errors.length > 0);
    asking.close();
    await wrong.close();
    const { code } = errors[0]!;
    assert.deepEqual([code, asking.stats().servers[0]!.errors], ['ERR_KEYLESS_BAD_SIGNATURE', { [code]: 1 }]);
  });
}

test('two sets of key servers that are asked at once both hear that the client has gone', async () => {
  const asked = keyServer.asked;
  keyServer.manner = 'silent';
  const sets = [0, 1].map(() =>
    connectKeyServers({ servers: [keyServer.address], ...setup.edgeOptions, timeoutMs: 60_000 }),
  );
  await Promise.all(sets.map((set) => set.ready()));
  const sign = (op: SignOperation) => Promise.any(sets.map((set) => set.sign(op)));
  const client = (await listen({ sign, timeoutMs: 60_000 })).connect();
  await until(() => keyServer.asked === asked + 2);
  client.destroy();
  await until(() => sets.every((set) => set.stats().cancelled === 1));
  keyServer.manner = 'sign';
  for (const set of sets) set.close();
});

test('another key server is asked where the first signs wrongly, also for copies', async () => {
  const wrong = await startBadKeyServer(setup);
  wrong.manner = 'flipped';
  const both = connectKeyServers({ servers: [wrong.address, keyServer.address], ...setup.edgeOptions });
  await both.ready();
  const wrapped: PrivateKey = {
    verify: 'always',
    sign: (op) => both.sign({ ...op }),
    signAgain: (op, refused) => both.signAgain!({ ...op }, refused),
  };
  for (let times = 0; times < 4; times += 1) assert.equal((await visit(wrapped)).text, 'hello');
  assert.deepEqual(Object.keys(both.stats().servers[0]!.errors), ['ERR_KEYLESS_BAD_SIGNATURE']);
  both.close();
  await wrong.close();
});

/** Of an operation, each of which would be asked for wrongly or never end. */
const WRONG: readonly Readonly<Record<string, unknown>>[] = [
  { deadline: 'x' },
  { deadline: Number.NaN },
  { message: undefined },
  { message: 'text' },
  { keyId: undefined },
  { keyId: 'ab12' },
  { servername: 5 },
  { signal: {} },
  { signal: null },
  { signal: { aborted: false, addEventListener: () => undefined } },
  { signal: { aborted: false, removeEventListener: () => undefined } },
  { signal: { addEventListener: () => undefined, removeEventListener: () => undefined } },
];

test('what is no operation is told at once, with what to do', async () => {
  for (const wrong of WRONG) {
    const { errors } = await visit({ sign: (op) => keys.sign({ ...op, ...wrong }) });
    const [name] = Object.keys(wrong);
    assert.deepEqual(
      [errors.length, errors[0]!.code],
      [1, 'ERR_KEYLESS_INVALID_ARGUMENT'],
      JSON.stringify(wrong),
    );
    assert.match(errors[0]!.message, new RegExp(`"${name}" must be .*\\{ \\.\\.\\.operation, deadline \\}`));
  }
  for (const nothing of [undefined, null, 5, {}]) {
    await assert.rejects(keys.sign(nothing as never), { code: 'ERR_KEYLESS_INVALID_ARGUMENT' });
    await assert.rejects(keys.decrypt!(nothing as never), { code: 'ERR_KEYLESS_INVALID_ARGUMENT' });
  }
});
