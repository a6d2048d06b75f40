/** What a key server answers to who asks again because a connection was lost. */
import assert from 'node:assert/strict';
import { constants, publicEncrypt, randomBytes, X509Certificate } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { connect as connectTcp } from 'node:net';
import { after, before, test } from 'node:test';
import { setSigningThreads } from '../../../lib/engine/signing-threads.ts';
import type { Answer } from '../../../lib/protocol/answers.ts';
import {
  pingRequest,
  premasterRequest,
  signDigestRequest,
  signRequest,
  waitItem,
} from '../../../lib/protocol/request-encoder.ts';
import type { SchemeName } from '../../../lib/protocol/schemes.ts';
import type { Items } from '../../../lib/protocol/tags.ts';
import { type ServerOperation, serverOperation } from '../../../lib/server/channels.ts';
import type { KeyServer, KeyServerOptions } from '../../../lib/server/key-server.ts';
import { resultOf } from '../../../lib/server/operation-record.ts';
import { identityOf } from '../../../lib/server/peer-identity.ts';
import { certificateVerify, x25519Exchange } from '../../helpers/handshake-messages.ts';
import { heldKey } from '../../helpers/held-key.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';
import { connectPeer, type WirePeer } from '../../helpers/wire-peer.ts';

let setup: KeyServerSetup;
let pin: string;
let other: { readonly cert: string; readonly key: string; readonly ca: string };
// One signature at a time: whatever comes next waits.
before(() => setSigningThreads(1));
before(async () => {
  setup = await makeKeyServers(['p256', 'rsa', 'ed25519']);
  pin = identityOf(new X509Certificate(setup.edge.certPem)).pin;
  const issued = await setup.authority.issue({ type: 'p256', usage: 'client', cn: 'edge 2' });
  other = { cert: issued.certPem, key: issued.keyPem, ca: setup.authority.certPem };
});

let keyServer: (KeyServer & { port: number }) | undefined;
const peers: WirePeer[] = [];
async function serve(options: Partial<KeyServerOptions> = {}): Promise<KeyServer> {
  for (const peer of peers.splice(0)) peer.close();
  await keyServer?.close();
  keyServer = await setup.start(options);
  return keyServer;
}
after(async () => {
  for (const peer of peers) peer.close();
  await keyServer?.close();
});

async function connect(credentials: typeof other = setup.edgeOptions): Promise<WirePeer> {
  const peer = await connectPeer(keyServer!.port, credentials);
  peers.push(peer);
  return peer;
}

/** A connection and how it is lost: one that only ended its side might still read its answers. */
async function losable(): Promise<{ readonly gone: WirePeer; lose(): void }> {
  const socket = connectTcp(keyServer!.port, '127.0.0.1');
  const gone = await connectPeer(keyServer!.port, setup.edgeOptions, 'ours', { socket, host: undefined });
  peers.push(gone);
  return { gone, lose: () => socket.resetAndDestroy() };
}

const SCHEMES: Readonly<Record<string, SchemeName>> = {
  p256: 'ecdsa_secp256r1_sha256',
  rsa: 'rsa_pss_rsae_sha256',
  ed25519: 'ed25519',
};

function requestOf(kind: string, message = certificateVerify(), servername = 'www.example.org'): Items {
  return signRequest(SCHEMES[kind]!, message, { keyId: setup.sites[kind]!.keyId, servername });
}

const REPLAYED: Answer = { kind: 'error', code: 6 };
const turn = () => new Promise(setImmediate);

/** @returns the results that were told of, in their order */
async function told(work: () => Promise<void>): Promise<string[]> {
  const results: string[] = [];
  const listener = (message: unknown) => {
    const operation = message as ServerOperation;
    if (operation.kind === 'sign') results.push(resultOf(operation));
  };
  subscribe(serverOperation.name, listener);
  try {
    await work();
  } finally {
    unsubscribe(serverOperation.name, listener);
  }
  return results;
}

for (const kind of Object.keys(SCHEMES)) {
  test(`${kind}: who asks again, on whatever connection, has the signature that was made`, async () => {
    await serve();
    const request = requestOf(kind);
    const results = await told(async () => {
      const [first, second] = [await connect(), await connect()];
      const signature = await first.ask(request);
      assert.equal(signature.kind, 'result');
      first.close();
      // How long it waits is not what it asks for.
      for (const again of [request, { ...request, wait: waitItem(1000) }])
        assert.deepEqual(await second.ask(again), signature);
    });
    assert.deepEqual(results, ['ok', 'repeated', 'repeated']);
  });
}

test('asked for by another client, under another name, by another hash or without its message, it is refused', async () => {
  await serve({ contexts: ['tls12-server', 'tls13-server', 'digest'] });
  const [edge, stranger] = [await connect(), await connect(other)];
  const { keyId } = setup.sites.rsa!;
  const message = x25519Exchange();
  const request = signRequest('rsa_pkcs1_sha256', message, { keyId, servername: 'a.example.org' });
  const results = await told(async () => {
    assert.equal((await edge.ask(request)).kind, 'result');
    assert.deepEqual(await stranger.ask(request), REPLAYED);
    const { payload, ...words } = request;
    const others: Items[] = [
      signRequest('rsa_pkcs1_sha256', message, { keyId, servername: 'b.example.org' }),
      signRequest('rsa_pkcs1_sha256', message, { keyId }),
      signRequest('rsa_pss_rsae_sha256', message, { keyId, servername: 'a.example.org' }),
      signRequest('rsa_pkcs1_sha512', message, { keyId, servername: 'a.example.org' }),
      signDigestRequest(words.opcode![0]!, payload!, { keyId, servername: 'a.example.org' }),
    ];
    for (const each of others) assert.deepEqual(await edge.ask(each), REPLAYED);
    assert.equal((await edge.ask(request)).kind, 'result');
  });
  assert.deepEqual(results, ['ok', ...Array.from({ length: 6 }, () => 'replayed'), 'repeated']);
});

test('a repeat is looked at as the first was: the policy of now, and a rate', async () => {
  const client = { name: 'edge', identities: [pin] };
  const server = await serve({ grants: { clients: [{ ...client, rate: { perSecond: 0.001, burst: 3 } }] } });
  const [first, edge] = [await connect(), await connect()];
  const request = requestOf('p256');
  const signature = await first.ask(request);
  assert.deepEqual(await edge.ask(request), signature);
  server.setGrants({ clients: [{ ...client, servernames: ['other.example.org'], rate: { perSecond: 1 } }] });
  assert.deepEqual(await edge.ask(request), { kind: 'error', code: 2 });
  server.setGrants({ clients: [client] });
  assert.deepEqual(await edge.ask(request), signature);
  server.setGrants({ clients: [{ ...client, rate: { perSecond: 0.001, burst: 1 } }] });
  assert.deepEqual(await edge.ask(request), signature);
  assert.deepEqual(await edge.ask(request), { kind: 'error', code: 8 });
  server.setGrants({ clients: [], revoked: [pin] });
  await edge.closed;
});

/** Asks until a request waits for its turn. */
async function occupy(server: KeyServer, peer: WirePeer): Promise<Promise<Answer>[]> {
  const answers: Promise<Answer>[] = [];
  while (server.stats().waiting === 0) {
    answers.push(peer.ask(requestOf('rsa')));
    await turn();
  }
  return answers;
}

/** Lets signatures go until all is answered. */
async function finish<T>(work: Promise<T>, release: () => void): Promise<T> {
  let done = false;
  void work.finally(() => {
    done = true;
  });
  while (!done) {
    release();
    await turn();
  }
  return work;
}

test('a repeat joins the first while that waits for its turn: it is begun for the repeat, though who asked first has gone', async () => {
  const held = heldKey(setup.sites.rsa!.keyId);
  const server = await serve({ keys: held.keys });
  const [busy, edge, { gone, lose }] = [await connect(other), await connect(), await losable()];
  const answers = await occupy(server, busy);
  const { waiting } = server.stats();
  const request = requestOf('rsa');
  const results = await told(async () => {
    gone.send(request);
    await gone.ask(pingRequest());
    const again = edge.ask(request);
    await edge.ask(pingRequest());
    assert.equal(server.stats().waiting, waiting + 1, 'one of the two waits');
    lose();
    while (server.stats().connections > 2) await turn();
    const [answer] = await finish(Promise.all([again, ...answers]), held.release);
    assert.equal(answer.kind, 'result');
  });
  assert.equal(held.begun(), answers.length + 1);
  assert.deepEqual(results.sort(), [...answers.map(() => 'ok'), 'ok', 'repeated']);
});

test('what was dropped before it was signed is signed when it is asked for again', async () => {
  const held = heldKey(setup.sites.rsa!.keyId);
  const server = await serve({ keys: held.keys });
  const [busy, edge, { gone, lose }] = [await connect(other), await connect(), await losable()];
  const answers = await occupy(server, busy);
  const request = requestOf('rsa');
  const results = await told(async () => {
    gone.send(request);
    await gone.ask(pingRequest());
    lose();
    while (server.stats().connections > 2) await turn();
    await finish(Promise.all(answers), held.release);
    assert.equal((await finish(edge.ask(request), held.release)).kind, 'result');
  });
  assert.deepEqual(results.sort(), ['abandoned', ...answers.map(() => 'ok'), 'ok']);
  assert.equal(held.begun(), answers.length + 1);
});

test('a premaster is made again, and is the same', async () => {
  await serve({ allowDecrypt: 'every-key' });
  const [first, second] = [await connect(), await connect()];
  const { keyId, publicKey: key } = setup.sites.rsa!;
  const encrypted = publicEncrypt(
    { key, padding: constants.RSA_PKCS1_PADDING },
    Buffer.concat([Buffer.of(3, 3), randomBytes(46)]),
  );
  const request = premasterRequest(encrypted, 0x0303, { keyId });
  const premaster = await first.ask(request);
  assert.equal(premaster.kind, 'result');
  assert.deepEqual(await second.ask(request), premaster);
});
