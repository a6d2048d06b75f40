import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { KeylessError } from '../../../lib/errors.ts';
import { encodeFrame } from '../../../lib/protocol/frame-encoder.ts';
import { premasterRequest, rawDecryptRequest, signRequest } from '../../../lib/protocol/request-encoder.ts';
import type { Items } from '../../../lib/protocol/tags.ts';
import { serverKeyFailed } from '../../../lib/server/channels.ts';
import type { KeyServer, KeyServerOptions } from '../../../lib/server/key-server.ts';
import type { KeyStore, StoredKey } from '../../../lib/server/key-store.ts';
import { certificateVerify } from '../../helpers/handshake-messages.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';
import { connectPeer } from '../../helpers/wire-peer.ts';

let setup: KeyServerSetup;

before(async () => {
  setup = await makeKeyServers(['p256']);
});

async function withServer(
  options: Partial<KeyServerOptions>,
  work: (server: KeyServer & { port: number }) => Promise<void>,
): Promise<void> {
  const server = await setup.start(options);
  try {
    await work(server);
  } finally {
    await server.close();
  }
}

function signItems(): Items {
  return signRequest('ecdsa_secp256r1_sha256', certificateVerify(), setup.sites.p256!);
}

/** A key store that does whatever the test says. */
function storeOf(sign: StoredKey['sign']): KeyStore {
  const { keyId } = setup.sites.p256!;
  return {
    find: () => ({
      keyId,
      label: 'odd',
      kind: { type: 'ec', curve: 'prime256v1', modulusBytes: undefined },
      sign,
    }),
  };
}

function givenAway(): Uint8Array {
  const signature = new Uint8Array(64);
  structuredClone(signature.buffer, { transfer: [signature.buffer] });
  return signature;
}

const ODD_KEYS: readonly (readonly [string, () => unknown, number])[] = [
  [
    'throws',
    () => {
      throw new Error('secret');
    },
    1,
  ],
  ['rejects', () => Promise.reject(new Error('secret')), 1],
  ['answers with nothing', () => undefined, 8],
  ['answers with a promise of a text', () => Promise.resolve('text'), 8],
  ['answers with no bytes', () => Buffer.alloc(0), 8],
  ['answers with a promise of bytes that it has given away', async () => givenAway(), 8],
  ['answers with bytes that it has given away', givenAway, 8],
  ['answers with more than a frame holds', () => Buffer.alloc(70_000), 8],
];

for (const [what, sign, code] of ODD_KEYS) {
  test(`a key that ${what} gives error 0${code}`, async () => {
    await withServer({ keys: storeOf(sign as StoredKey['sign']) }, async (server) => {
      const peer = await connectPeer(server.port, setup.edgeOptions);
      assert.deepEqual(await peer.ask(signItems()), { kind: 'error', code });
      peer.close();
    });
  });
}

/** After the first block, of which the secret of implicit rejection is made. */
const ODD_BLOCKS: readonly (readonly [string, () => unknown, answer: number | 'premaster', told: number])[] =
  [
    ['does not answer', () => Promise.reject(new KeylessError('ERR_KEYLESS_KEY_STORE', 'gone')), 3, 1],
    ['fails', () => Promise.reject(new Error('secret')), 'premaster', 1],
    ['gives half a block', () => Buffer.alloc(128), 'premaster', 1],
    ['gives no bytes', () => undefined, 'premaster', 1],
    [
      'takes no such ciphertext',
      () => Promise.reject(new KeylessError('ERR_KEYLESS_INVALID_ARGUMENT', 'not below the modulus')),
      'premaster',
      0,
    ],
  ];

for (const [what, decrypt, expected, times] of ODD_BLOCKS) {
  test(`a key that ${what} when it is to decrypt: ${expected}`, async () => {
    const { keyId } = setup.sites.p256!;
    let blocks = 0;
    const key = {
      ...{ keyId, label: 'odd', kind: { type: 'rsa', curve: undefined, modulusBytes: 256 } },
      sign: () => assert.fail(),
      decryptRaw: () => (blocks++ === 0 ? Buffer.alloc(256) : decrypt()),
    } as StoredKey;
    let told = 0;
    const listen = () => {
      told += 1;
    };
    await withServer({ keys: { find: () => key }, allowDecrypt: 'every-key' }, async (server) => {
      const peer = await connectPeer(server.port, setup.edgeOptions);
      serverKeyFailed.subscribe(listen);
      const answer = await peer.ask(premasterRequest(Buffer.alloc(256, 1), 0x0303, { keyId }));
      serverKeyFailed.unsubscribe(listen);
      if (expected === 'premaster') assert.ok(answer.kind === 'result' && answer.payload.length === 48);
      else assert.deepEqual(answer, { kind: 'error', code: expected });
      assert.equal(told, times);
      peer.close();
    });
  });
}

test('a key whose holder is away for its first decryption decrypts when it is back', async () => {
  const { keyId } = setup.sites.p256!;
  const gone = new KeylessError('ERR_KEYLESS_KEY_STORE', 'gone');
  let blocks = 0;
  const key = {
    ...{ keyId, label: 'odd', kind: { type: 'rsa', curve: undefined, modulusBytes: 256 } },
    sign: () => assert.fail(),
    decryptRaw: () => (blocks++ === 0 ? Promise.reject(gone) : Buffer.alloc(256)),
  } as StoredKey;
  await withServer({ keys: { find: () => key }, allowDecrypt: 'every-key' }, async (server) => {
    const peer = await connectPeer(server.port, setup.edgeOptions);
    const request = premasterRequest(Buffer.alloc(256, 1), 0x0303, { keyId });
    assert.deepEqual(await peer.ask(request), { kind: 'error', code: 3 });
    assert.equal((await peer.ask(request)).kind, 'result');
    peer.close();
  });
});

test('a raw ciphertext of another length than the modulus comes to no key', async () => {
  const { keyId } = setup.sites.p256!;
  const decrypted: number[] = [];
  const key = {
    ...{ keyId, label: 'odd', kind: { type: 'rsa', curve: undefined, modulusBytes: 256 } },
    sign: () => assert.fail(),
    decryptRaw: async ({ length }) => {
      decrypted.push(length);
      return Buffer.alloc(256);
    },
  } as StoredKey;
  const options = { keys: { find: () => key }, allowDecrypt: 'every-key', allowRawDecrypt: true } as const;
  await withServer(options, async (server) => {
    const peer = await connectPeer(server.port, setup.edgeOptions, 'field');
    const kinds: string[] = [];
    for (const bytes of [0, 1, 255, 257, 512, 256])
      kinds.push((await peer.ask(rawDecryptRequest(Buffer.alloc(bytes, 1), { keyId }))).kind);
    assert.deepEqual(kinds, [...Array(5).fill('error'), 'result']);
    peer.close();
  });
  assert.deepEqual(decrypted, [256]);
});

test('a key store that throws gives error 08', async () => {
  const keys: KeyStore = {
    find: () => {
      throw new Error('broken');
    },
  };
  await withServer({ keys }, async (server) => {
    const peer = await connectPeer(server.port, setup.edgeOptions);
    assert.deepEqual(await peer.ask(signItems()), { kind: 'error', code: 8 });
    peer.close();
  });
});

test('a key store that throws when a request has waited for its turn gives error 08, too, and ends nothing', async () => {
  let isBroken = false;
  const whenBroken = (value: number) => {
    if (isBroken) throw new Error('broken');
    return value;
  };
  let end: (signature: Uint8Array) => void = () => undefined;
  const workplace = { atOnce: () => whenBroken(1) };
  const store = storeOf(() => new Promise((resolve) => (end = resolve)));
  const keys: KeyStore = {
    find(selector) {
      whenBroken(1);
      return Object.assign(store.find(selector)!, { workplace });
    },
  };
  await withServer({ keys }, async (server) => {
    const peer = await connectPeer(server.port, setup.edgeOptions);
    const [first, second] = [peer.ask(signItems()), peer.ask(signItems())];
    while (server.stats().waiting === 0) await new Promise(setImmediate);
    isBroken = true;
    end(Buffer.of(1));
    assert.equal((await first).kind, 'result');
    assert.deepEqual(await second, { kind: 'error', code: 8 });
    isBroken = false;
    const third = peer.ask(signItems());
    while (server.stats().inFlight === 0) await new Promise(setImmediate);
    end(Buffer.of(1));
    assert.equal((await third).kind, 'result');
    peer.close();
  });
});

test('no more requests of a connection are in hand than the limit', async () => {
  const begun: (() => void)[] = [];
  const keys = storeOf(() => new Promise((resolve) => begun.push(() => resolve(Buffer.alloc(70)))));
  await withServer({ keys, maxInFlight: 4 }, async (server) => {
    const peer = await connectPeer(server.port, setup.edgeOptions);
    peer.socket.write(Buffer.concat(Array.from({ length: 12 }, (_, id) => encodeFrame(id, signItems()))));
    for (let answered = 0; answered < 12; answered += 4) {
      while (begun.length < 4) await new Promise((resolve) => setImmediate(resolve));
      assert.equal(begun.length, 4);
      assert.equal(server.stats().inFlight, 4);
      for (const finish of begun.splice(0)) finish();
    }
    for (let id = 0; id < 12; id += 1) assert.equal((await peer.answer(id)).kind, 'result');
    peer.close();
  });
});

test('answers that come one by one within a turn leave in one write', async () => {
  const keys = storeOf(() => new Promise((resolve) => setImmediate(() => resolve(Buffer.alloc(70)))));
  await withServer({ keys }, async (server) => {
    const peer = await connectPeer(server.port, setup.edgeOptions);
    peer.socket.write(Buffer.concat(Array.from({ length: 8 }, (_, id) => encodeFrame(id, signItems()))));
    for (let id = 0; id < 8; id += 1) assert.equal((await peer.answer(id)).kind, 'result');
    assert.equal(peer.chunks.length, 1, `${peer.chunks}`);
    peer.close();
  });
});

test('close() lets the answers leave and takes no more', async () => {
  let finish = (): void => undefined;
  const keys = storeOf(
    () =>
      new Promise((resolve) => {
        finish = () => resolve(Buffer.alloc(70));
      }),
  );
  const server = await setup.start({ keys });
  const peer = await connectPeer(server.port, setup.edgeOptions);
  const id = peer.send(signItems());
  while (server.stats().inFlight === 0) await new Promise((resolve) => setImmediate(resolve));
  const closed = server.close();
  finish();
  assert.equal((await peer.answer(id)).kind, 'result');
  await Promise.all([closed, peer.closed]);
});
