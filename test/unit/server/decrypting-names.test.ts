/** Which key a name of `allowDecrypt` is: what is called so, and what only looks like it. */
import assert from 'node:assert/strict';
import { constants, createPublicKey, generateKeyPairSync, publicEncrypt } from 'node:crypto';
import { after, before, test } from 'node:test';
import { decodeCapabilities } from '../../../lib/protocol/capabilities.ts';
import { capabilitiesRequest, premasterRequest } from '../../../lib/protocol/request-encoder.ts';
import { idOf } from '../../../lib/server/key-names.ts';
import type { KeyServer, KeyServerOptions } from '../../../lib/server/key-server.ts';
import type { KeyStore } from '../../../lib/server/key-store.ts';
import { pemKey } from '../../../lib/server/pem-key.ts';
import { KeySet } from '../../../lib/server/stores/key-set.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';
import { connectPeer, type WirePeer } from '../../helpers/wire-peer.ts';

const newPem = () =>
  generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' });
const [ours, theirs] = [newPem(), newPem()];

let setup: KeyServerSetup;
let server: (KeyServer & { port: number }) | undefined;
let peer: WirePeer;
before(async () => {
  setup = await makeKeyServers(['p256']);
});
after(end);

async function end(): Promise<void> {
  peer?.close();
  await server?.close();
}

async function serve(keys: KeyStore, name: string, more: Partial<KeyServerOptions> = {}): Promise<void> {
  await end();
  server = await setup.start({ keys, allowDecrypt: [name], ...more });
  peer = await connectPeer(server.port, setup.edgeOptions);
}

/** @returns 0 or the code of the error */
async function decrypt(pem: string | Buffer): Promise<number> {
  const key = createPublicKey(pem);
  const ciphertext = publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, Buffer.alloc(48, 3));
  const answer = await peer.ask(premasterRequest(ciphertext, 0x0303, { keyId: pemKey(pem, '').keyId }));
  return answer.kind === 'error' ? answer.code : 0;
}

async function isOffered(): Promise<boolean> {
  const answer = await peer.ask(capabilitiesRequest());
  assert.ok(answer.kind === 'result');
  return decodeCapabilities(answer.payload).functions.includes('rsa-premaster');
}

test('a key that is there twice has both names, whichever comes first', async () => {
  for (const labels of [
    ['named', 'copy'],
    ['copy', 'named'],
  ]) {
    await serve(new KeySet(labels.map((label) => pemKey(ours, label))), 'named');
    assert.equal(await decrypt(ours), 0, labels.join());
  }
});

test('a label that another key which decrypts has as well names neither, until it is gone', async () => {
  const keys = new KeySet([pemKey(ours, 'named')]);
  const { decryptRaw: _, ...signing } = pemKey(theirs, 'named');
  await serve(keys, 'named');
  assert.equal(await decrypt(ours), 0);
  keys.replace([pemKey(ours, 'named'), pemKey(theirs, 'named')]);
  assert.deepEqual([await decrypt(ours), await decrypt(theirs)], [2, 2]);
  keys.replace([pemKey(ours, 'named'), signing]);
  assert.deepEqual([await decrypt(ours), await decrypt(theirs)], [0, 2]);
  keys.replace([pemKey(ours, 'named'), pemKey(ours, 'named')]);
  assert.equal(await decrypt(ours), 0, 'the same key twice is one');
});

test('a label that is made to look like the name of another key opens nothing', async () => {
  const twins = [pemKey(ours, 'twin'), pemKey(newPem(), 'twin')];
  const id = idOf(twins[0]!);
  await serve(new KeySet([...twins, pemKey(theirs, id)]), id.toUpperCase());
  assert.deepEqual([await decrypt(ours), await decrypt(theirs)], [0, 2], 'an id is nobody’s label');
  await serve(new KeySet([...twins, pemKey(theirs, `twin (${id})`)]), `twin (${id})`);
  assert.deepEqual([await decrypt(ours), await decrypt(theirs)], [2, 0], 'a label is that one’s only');
});

test('a store that does not say which keys have a label has its keys named by their ids', async () => {
  const set = new KeySet([pemKey(ours, 'named')]);
  const keys: KeyStore = { find: (selector) => set.find(selector) };
  await serve(keys, 'named');
  assert.equal(await decrypt(ours), 2);
  await serve(keys, idOf(set.keys[0]!));
  assert.equal(await decrypt(ours), 0);
});

test('a client hears of decryption as long as one of its keys is named', async () => {
  const keys = new KeySet([pemKey(ours, 'named')]);
  const client = { name: 'any', identities: ['DNS:localhost'], keys: [idOf(keys.keys[0]!)] };
  await serve(keys, 'named', { grants: { clients: [client] } });
  assert.deepEqual([await isOffered(), await decrypt(ours)], [true, 0]);
  keys.replace([pemKey(ours, 'renamed')]);
  assert.deepEqual([await isOffered(), await decrypt(ours)], [false, 5]);
  keys.replace([pemKey(ours, 'named')]);
  assert.deepEqual([await isOffered(), await decrypt(ours)], [true, 0]);
});
