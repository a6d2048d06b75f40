/** The SSH agent as a key store, with Debian's ssh-agent and handshakes through a key server. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import type tls from 'node:tls';
import type { SignatureScheme } from '../../lib/keys/private-key.ts';
import { premasterRequest, signDigestRequest, signRequest } from '../../lib/protocol/request-encoder.ts';
import { SIGNING_METHODS } from '../../lib/protocol/schemes.ts';
import type { LiveKeyStore } from '../../lib/server/key-store.ts';
import { sshAgent } from '../../lib/server/stores/ssh-agent.ts';
import type { KeyKind } from '../helpers/certificates.ts';
import { startEdge } from '../helpers/edge.ts';
import { certificateVerify, x25519Exchange } from '../helpers/handshake-messages.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { ManualClock } from '../helpers/manual-clock.ts';
import { SshAgentProcess } from '../helpers/ssh-agent-process.ts';
import { connectPeer } from '../helpers/wire-peer.ts';

const KINDS: readonly KeyKind[] = ['p256', 'p384', 'p521', 'ed25519', 'rsa'];
const P256 = SIGNING_METHODS.ecdsa_secp256r1_sha256;

let setup: KeyServerSetup;
let agent: SshAgentProcess;

before(async () => {
  [setup, agent] = await Promise.all([makeKeyServers(KINDS), SshAgentProcess.start()]);
});
after(() => agent.end());
beforeEach(() => agent.removeAll());

async function withStore<T>(
  kinds: readonly KeyKind[],
  work: (store: LiveKeyStore) => Promise<T>,
): Promise<T> {
  for (const kind of kinds) await agent.add(setup.sites[kind]!.keyPem);
  const store = await sshAgent({ path: agent.path });
  try {
    return await work(store);
  } finally {
    store.close();
  }
}

/** One handshake with the site of that kind; its key is with the agent. */
async function handshake(
  keys: LiveKeyStore,
  kind: KeyKind,
  server: tls.TlsOptions,
  schemes?: readonly SignatureScheme[],
): Promise<readonly string[]> {
  const keyServer = await setup.start({ keys });
  const edge = await startEdge(setup, setup.sites[kind]!, [`127.0.0.1:${keyServer.port}`], {
    server,
    schemes,
  });
  try {
    return [await edge.visit(), ...edge.errors];
  } finally {
    await edge.close();
    await keyServer.close();
  }
}

test('an agent has a key of each kind', () =>
  withStore(KINDS, async (store) => {
    assert.deepEqual(
      store.keys.map(({ keyId, kind }) => [Buffer.from(keyId).toString('hex'), kind.type]).sort(),
      KINDS.map((kind) => [
        setup.sites[kind]!.keyId.toString('hex'),
        setup.sites[kind]!.publicKey.asymmetricKeyType,
      ]).sort(),
    );
    for (const kind of KINDS)
      assert.ok(store.find({ keyId: setup.sites[kind]!.keyId, certificateDigest: undefined }));
  }));

const HANDSHAKES: readonly (readonly [KeyKind, tls.SecureVersion])[] = [
  ...(['p256', 'p384', 'p521', 'ed25519'] as const).map((kind) => [kind, 'TLSv1.3'] as const),
  ...KINDS.map((kind) => [kind, 'TLSv1.2'] as const),
];

for (const [kind, version] of HANDSHAKES) {
  test(`a handshake over ${version} with a key of an agent, ${kind}`, () =>
    withStore([kind], async (store) => {
      const versions = { minVersion: version, maxVersion: version };
      // A TLS 1.2 server may pair a curve with any hash; SSH pairs it with one.
      const schemes: Record<string, SignatureScheme> = {
        p256: 'ecdsa_secp256r1_sha256',
        p384: 'ecdsa_secp384r1_sha384',
        p521: 'ecdsa_secp521r1_sha512',
        ed25519: 'ed25519',
        rsa: 'rsa_pkcs1_sha256',
      };
      assert.deepEqual(await handshake(store, kind, versions, [schemes[kind]!]), ['ok']);
    }));
}

test('an RSA key of an agent signs PKCS#1 with SHA-256 and SHA-512, for TLS 1.2, and nothing else', () =>
  withStore(['rsa'], async (store) => {
    const [key] = store.keys;
    const can = Object.entries(SIGNING_METHODS).filter(([, method]) => key!.canSign!(method));
    assert.deepEqual(
      can.map(([name]) => name),
      ['rsa_pkcs1_sha256', 'rsa_pkcs1_sha512'],
    );
    const { rsa_pkcs1_sha512, rsa_pss_rsae_sha256 } = SIGNING_METHODS;
    assert.equal((await key!.sign(rsa_pkcs1_sha512, x25519Exchange())).length, 256);
    assert.equal(key!.signDigest, undefined);
    assert.equal(key!.decryptRaw, undefined);
    await assert.rejects(async () => key!.sign(rsa_pss_rsae_sha256, certificateVerify()), {
      code: 'ERR_KEYLESS_UNSUPPORTED_SCHEME',
      message: /does not sign by rsa-pss sha256/,
    });
  }));

test('the key server refuses what the agent cannot, by error 01, and asks it nothing', () =>
  withStore(['rsa'], async (store) => {
    await using server = await setup.start({ keys: store, allowDecrypt: 'every-key' });
    const peer = await connectPeer(server.port, setup.edgeOptions);
    const sign = signRequest('rsa_pss_rsae_sha256', certificateVerify(), setup.sites.rsa!);
    assert.deepEqual(await peer.ask(sign), { kind: 'error', code: 1 });
    const decrypt = premasterRequest(Buffer.alloc(256, 1), 0x0303, setup.sites.rsa!);
    assert.deepEqual(await peer.ask(decrypt), { kind: 'error', code: 1 });
    peer.close();
  }));

test('bare digests are not signed by an agent, also where the context digest is allowed: error 05', () =>
  withStore(['p256'], async (store) => {
    await using server = await setup.start({ keys: store, contexts: ['tls13-server', 'digest'] });
    const peer = await connectPeer(server.port, setup.edgeOptions, 'field');
    const digest = signDigestRequest(P256.opcode!, Buffer.alloc(32, 1), setup.sites.p256!);
    assert.deepEqual(await peer.ask(digest), { kind: 'error', code: 5 });
    const message = signRequest('ecdsa_secp256r1_sha256', certificateVerify(), setup.sites.p256!);
    assert.equal((await peer.ask(message)).kind, 'result');
    peer.close();
  }));

test('a P-256 key of an agent signs with SHA-256 only', () =>
  withStore(['p256'], async (store) => {
    const can = Object.values(SIGNING_METHODS).filter((method) => store.keys[0]!.canSign!(method));
    assert.deepEqual([...new Set(can)], [P256]);
  }));

test('a locked agent signs nothing, says so, and signs again once it is unlocked', () =>
  withStore(['p256'], async (store) => {
    await agent.lock();
    const [key] = store.keys;
    const locked = { code: 'ERR_KEYLESS_KEY_STORE', message: /refused to sign .*locked/ };
    await assert.rejects(async () => key!.sign(P256, certificateVerify()), locked);
    await assert.rejects(store.reload(), {
      code: 'ERR_KEYLESS_KEY_STORE',
      message: /lists no keys any more/,
    });
    assert.deepEqual(store.keys, [key], 'its keys stay');
    const [outcome, ...errors] = await handshake(store, 'p256', {});
    assert.notEqual(outcome, 'ok');
    assert.deepEqual(errors, ['ERR_KEYLESS_KEY_SERVER_READ']);
    await agent.unlock();
    assert.deepEqual(await handshake(store, 'p256', {}), ['ok']);
  }));

test('keys that come and go are told of by a reload', () =>
  withStore(['p256'], async (store) => {
    await agent.add(setup.sites.ed25519!.keyPem);
    const { added, removed, problems } = await store.reload();
    assert.deepEqual([added.map(({ kind }) => kind.type), removed, problems], [['ed25519'], [], []]);
    await agent.removeAll();
    await agent.add(setup.sites.p384!.keyPem);
    const change = await store.reload();
    assert.deepEqual([change.added.length, change.removed.length, store.keys.length], [1, 2, 1]);
  }));

test('an agent that has gone is an error at once, and is found again when it is back', () =>
  withStore(['p256'], async (store) => {
    const [key] = store.keys;
    await agent.kill();
    const gone = { code: 'ERR_KEYLESS_KEY_STORE', message: /cannot be reached: .*(ENOENT|ECONNREFUSED)/ };
    await assert.rejects(async () => key!.sign(P256, certificateVerify()), gone);
    await assert.rejects(store.reload(), gone);
    await agent.restart();
    await agent.add(setup.sites.p256!.keyPem);
    await key!.sign(P256, certificateVerify());
    // Exchanged between two requests: the connection is dead, which is nobody's business.
    await agent.kill();
    await agent.restart();
    await agent.add(setup.sites.p256!.keyPem);
    await key!.sign(P256, certificateVerify());
  }));

test('an agent that stands still fails its requests in time, also those that wait', async () => {
  const frozen = await SshAgentProcess.start();
  await frozen.add(setup.sites.p256!.keyPem);
  const clock = new ManualClock();
  const store = await sshAgent({ path: frozen.path, timeoutMs: 100, maxWaiting: 2, clock });
  frozen.freeze();
  const sign = async () => store.keys[0]!.sign(P256, certificateVerify());
  const all = Promise.allSettled([sign(), sign(), sign(), sign()]);
  clock.advance(100);
  const outcomes = await all;
  const reasons = outcomes.map((outcome) =>
    outcome.status === 'rejected' ? outcome.reason.message : 'signed',
  );
  const late = `The SSH agent at ${frozen.path} did not answer within 100 ms.`;
  assert.deepEqual(reasons.slice(0, 3), [late, late, late]);
  assert.match(reasons[3]!, /does not keep up: 2 requests wait already/);
  store.close();
  await assert.rejects(sign(), { code: 'ERR_KEYLESS_KEY_STORE', message: /was closed/ });
  await frozen.end();
});

test('an agent that is not there is an error that says where it should be', async () => {
  await assert.rejects(sshAgent({ path: `${agent.folder}/nowhere` }), {
    code: 'ERR_KEYLESS_KEY_STORE',
    message: /nowhere cannot be reached: .*ENOENT/,
  });
  await assert.rejects(sshAgent({ path: '' }), { code: 'ERR_KEYLESS_INVALID_ARGUMENT' });
});
