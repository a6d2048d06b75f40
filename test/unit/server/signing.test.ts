import assert from 'node:assert/strict';
import { constants, createHash, publicEncrypt, randomBytes, verify } from 'node:crypto';
import { after, before, test } from 'node:test';
import type { Answer } from '../../../lib/protocol/answers.ts';
import { decodeCapabilities } from '../../../lib/protocol/capabilities.ts';
import { certificateDigest } from '../../../lib/protocol/key-id.ts';
import {
  capabilitiesRequest,
  pingRequest,
  premasterRequest,
  rawDecryptRequest,
  signDigestRequest,
  signRequest,
} from '../../../lib/protocol/request-encoder.ts';
import { type SchemeName, SIGNING_METHODS } from '../../../lib/protocol/schemes.ts';
import type { KeyServer, KeyServerOptions } from '../../../lib/server/key-server.ts';
import { keyStoreOf } from '../../../lib/server/pem-directory.ts';
import { pemKey } from '../../../lib/server/pem-key.ts';
import { keyKindOf, schemesOf } from '../../../lib/signing/key-kind.ts';
import { KEY_KINDS } from '../../helpers/certificates.ts';
import { certificateVerify, x25519Exchange } from '../../helpers/handshake-messages.ts';
import { type KeyServerSetup, makeKeyServers, type Site } from '../../helpers/key-servers.ts';
import { connectPeer, type WirePeer } from '../../helpers/wire-peer.ts';

let setup: KeyServerSetup;
let keyServer: KeyServer & { port: number };
let peer: WirePeer;

before(async () => {
  setup = await makeKeyServers();
  keyServer = await setup.start();
  peer = await connectPeer(keyServer.port, setup.edgeOptions);
});
after(async () => {
  peer.close();
  await keyServer.close();
});

async function withServer(
  options: Partial<KeyServerOptions>,
  profile: 'ours' | 'field',
  work: (peer: WirePeer) => Promise<void>,
): Promise<void> {
  const server = await setup.start(options);
  const own = await connectPeer(server.port, setup.edgeOptions, profile);
  try {
    await work(own);
  } finally {
    own.close();
    await server.close();
  }
}

function verifies(site: Site, scheme: SchemeName, message: Buffer, signature: Uint8Array): boolean {
  const { algorithm, hash } = SIGNING_METHODS[scheme];
  const padding = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  const key = algorithm === 'rsa-pss' ? { key: site.publicKey, ...padding } : site.publicKey;
  return verify(hash, message, key, signature);
}

function isError(answer: Answer, code: number): void {
  assert.deepEqual(answer, { kind: 'error', code });
}

/** A message of TLS that may be signed with the scheme. */
function messageFor(scheme: SchemeName): Buffer {
  return scheme.startsWith('rsa_pkcs1') || scheme.endsWith('sha224') ? x25519Exchange() : certificateVerify();
}

const LEGACY = /sha1$/;

for (const kind of KEY_KINDS) {
  test(`signs with every scheme of a key of kind ${kind}`, async () => {
    const site = setup.sites[kind]!;
    for (const scheme of schemesOf(keyKindOf(site.privateKey)).filter((name) => !LEGACY.test(name))) {
      // `ecdsa_sha*` means any curve: TLS 1.2.
      const message = scheme.startsWith('ecdsa_sha') ? x25519Exchange() : messageFor(scheme);
      const answer = await peer.ask(signRequest(scheme, message, { keyId: site.keyId }));
      assert.equal(answer.kind, 'result', `${scheme}: ${JSON.stringify(answer)}`);
      assert.ok(answer.kind === 'result' && verifies(site, scheme, message, answer.payload), scheme);
    }
  });
}

test('finds RSA keys by their legacy selector', async () => {
  const { publicKey } = setup.sites.rsa!;
  const message = certificateVerify();
  const items = signRequest('rsa_pss_rsae_sha256', message, { keyId: Buffer.alloc(20) });
  const selector = certificateDigest(publicKey.export({ type: 'spki', format: 'der' }));
  const answer = await peer.ask({ ...items, keyId: undefined, certificateDigest: selector });
  assert.equal(answer.kind, 'result');
});

test('an unknown key is not found, and so is a message that is no handshake', async () => {
  const { keyId } = setup.sites.p256!;
  const sign = (message: Buffer, id = keyId) =>
    peer.ask(signRequest('ecdsa_secp256r1_sha256', message, { keyId: id }));
  isError(await sign(certificateVerify(), randomBytes(20)), 2);
  isError(await sign(Buffer.from('give me a certificate')), 2);
  isError(await sign(Buffer.concat([certificateVerify(), Buffer.of(0)])), 2);
  isError(await sign(certificateVerify('client')), 2);
});

test('the digest must be that of the message', async () => {
  const { keyId } = setup.sites.p256!;
  const items = signRequest('ecdsa_secp256r1_sha256', certificateVerify(), { keyId });
  isError(await peer.ask({ ...items, payload: randomBytes(32) }), 7);
});

test('a key of another type fails, and so does a hash that TLS 1.3 does not pair with the curve', async () => {
  const message = certificateVerify();
  isError(await peer.ask(signRequest('rsa_pss_rsae_sha256', message, setup.sites.p256!)), 1);
  isError(await peer.ask(signRequest('ecdsa_secp256r1_sha256', message, setup.sites.rsa!)), 1);
  isError(await peer.ask(signRequest('ed25519', message, setup.sites.ed448!)), 1);
  isError(await peer.ask(signRequest('ecdsa_secp384r1_sha384', message, setup.sites.p256!)), 1);
  isError(await peer.ask(signRequest('rsa_pkcs1_sha256', x25519Exchange(), setup.sites['rsa-pss']!)), 1);
});

test('PKCS#1 v1.5 is not for TLS 1.3', async () => {
  isError(await peer.ask(signRequest('rsa_pkcs1_sha256', certificateVerify(), setup.sites.rsa!)), 2);
});

test('legacy hashes only if they are allowed', async () => {
  const { keyId } = setup.sites.rsa!;
  const requests = (['rsa_pkcs1_sha1', 'rsa_pkcs1_md5_sha1'] as const).map((scheme) => {
    const message = x25519Exchange();
    return { scheme, message, items: signRequest(scheme, message, { keyId }) };
  });
  for (const { items } of requests) isError(await peer.ask(items), 5);
  await withServer({ allowLegacyHashes: true }, 'ours', async (allowed) => {
    for (const { scheme, message, items } of requests) {
      const answer = await allowed.ask(items);
      assert.ok(
        answer.kind === 'result' && verifies(setup.sites.rsa!, scheme, message, answer.payload),
        scheme,
      );
    }
  });
});

test('client handshakes only where the contexts say so', async () => {
  const { keyId } = setup.sites.p256!;
  const sign = (message: Buffer) => signRequest('ecdsa_secp256r1_sha256', message, { keyId });
  await withServer({ contexts: ['tls13-client'] }, 'ours', async (own) => {
    assert.equal((await own.ask(sign(certificateVerify('client')))).kind, 'result');
    isError(await own.ask(sign(certificateVerify('server'))), 2);
    isError(await own.ask(sign(x25519Exchange())), 2);
  });
  await withServer({ contexts: ['tls12-client'] }, 'ours', async (own) => {
    assert.equal((await own.ask(sign(Buffer.from('a transcript')))).kind, 'result');
  });
});

const DIGEST_SCHEMES = [
  ['rsa', 'rsa_pkcs1_sha256'],
  ['rsa', 'rsa_pkcs1_sha512'],
  ['rsa', 'rsa_pss_rsae_sha384'],
  ['rsa-pss', 'rsa_pss_pss_sha256'],
  ['p256', 'ecdsa_secp256r1_sha256'],
  ['p256', 'ecdsa_sha224'],
  ['p384', 'ecdsa_secp384r1_sha384'],
  ['p521', 'ecdsa_secp521r1_sha512'],
] as const;

test('bare digests are refused, or signed by every method that has a digest where that is allowed', async () => {
  const digest = createHash('sha256').update('abc').digest();
  const { keyId } = setup.sites.rsa!;
  const request = signDigestRequest(0x05, digest, { keyId });
  isError(await peer.ask(request), 5);
  await withServer({ contexts: ['digest'] }, 'field', async (own) => {
    for (const [kind, scheme] of DIGEST_SCHEMES) {
      const site = setup.sites[kind]!;
      const { hash, opcode } = SIGNING_METHODS[scheme];
      const unknown = randomBytes(40);
      const bare = createHash(hash!).update(unknown).digest();
      const answer = await own.ask(signDigestRequest(opcode!, bare, site));
      assert.ok(answer.kind === 'result' && verifies(site, scheme, unknown, answer.payload), scheme);
    }
    isError(await own.ask(signDigestRequest(0x05, digest, setup.sites.p256!)), 1);
    isError(await own.ask(signDigestRequest(0x05, digest, { keyId: randomBytes(20) })), 2);
  });
});

function encrypted(premaster: Buffer): Buffer {
  return publicEncrypt({ key: setup.sites.rsa!.publicKey, padding: constants.RSA_PKCS1_PADDING }, premaster);
}

const CLIENT_VERSION = 0x0303;

async function premasterFrom(
  own: WirePeer,
  ciphertext: Buffer,
  version: number | 'unsaid' = CLIENT_VERSION,
): Promise<Buffer> {
  const said = version === 'unsaid' ? {} : premasterRequest(ciphertext, version, setup.sites.rsa!);
  const request = { ...premasterRequest(ciphertext, 0, setup.sites.rsa!), extraPayload: undefined, ...said };
  const answer = await own.ask(request);
  assert.ok(answer.kind === 'result', JSON.stringify(answer));
  return Buffer.from(answer.payload);
}

function badCiphertexts(): Buffer[] {
  return [
    encrypted(randomBytes(47)),
    encrypted(randomBytes(49)),
    Buffer.alloc(256, 1),
    Buffer.alloc(256),
    Buffer.alloc(256, 0xff),
    Buffer.alloc(255, 1),
    Buffer.alloc(1),
    Buffer.alloc(20_000),
  ];
}

test('premasters are decrypted only where that is allowed, and bad ones give 48 bytes of nothing', async () => {
  const premaster = Buffer.concat([Buffer.of(3, 3), randomBytes(46)]);
  isError(await peer.ask(premasterRequest(encrypted(premaster), CLIENT_VERSION, setup.sites.rsa!)), 5);
  await withServer({ allowDecrypt: ['rsa', 'p256'] }, 'ours', async (own) => {
    assert.deepEqual(await premasterFrom(own, encrypted(premaster)), premaster);
    const bad = [encrypted(Buffer.concat([Buffer.of(3, 1), randomBytes(46)])), ...badCiphertexts()];
    const answers = await Promise.all(bad.map((ciphertext) => premasterFrom(own, ciphertext)));
    assert.ok(answers.every(({ length }) => length === 48));
    assert.equal(new Set(answers.map(String)).size, bad.length, 'of the ciphertext');
    isError(await own.ask(premasterRequest(bad[0]!, CLIENT_VERSION, setup.sites.p256!)), 1);
    isError(await own.ask(premasterRequest(bad[0]!, CLIENT_VERSION, { keyId: randomBytes(20) })), 2);
    isError(await own.ask(rawDecryptRequest(encrypted(premaster), setup.sites.rsa!)), 5);
  });
});

test('whether a premaster was there is not told by asking again, another key server, or with other versions', async () => {
  const good = [Buffer.of(3, 3), Buffer.of(3, 1)].map((version) =>
    encrypted(Buffer.concat([version, randomBytes(46)])),
  );
  const keys = keyStoreOf([pemKey(setup.sites.rsa!.keyPem, 'rsa')]);
  await withServer({ allowDecrypt: 'every-key' }, 'ours', (one) =>
    withServer({ allowDecrypt: 'every-key', keys }, 'field', async (other) => {
      for (const ciphertext of [...good, ...badCiphertexts()]) {
        const premaster = await premasterFrom(one, ciphertext, 'unsaid');
        const version = premaster.readUInt16BE();
        const elsewhere = await premasterFrom(one, ciphertext, version ^ 1);
        assert.notDeepEqual(elsewhere, premaster);
        for (const peer of [one, other]) {
          assert.deepEqual(await premasterFrom(peer, ciphertext, 'unsaid'), premaster);
          assert.deepEqual(await premasterFrom(peer, ciphertext, version), premaster);
          for (const wrong of [version ^ 1, version ^ 0x100])
            assert.deepEqual(await premasterFrom(peer, ciphertext, wrong), elsewhere);
        }
      }
    }),
  );
});

test('raw blocks are for edges of the field, where that is allowed, and never for our own', async () => {
  const premaster = randomBytes(48);
  await withServer({ allowDecrypt: ['rsa'], allowRawDecrypt: true }, 'field', async (own) => {
    const answer = await own.ask(rawDecryptRequest(encrypted(premaster), setup.sites.rsa!));
    assert.ok(answer.kind === 'result' && answer.payload.length === 256);
    assert.deepEqual(Buffer.from(answer.payload.subarray(208)), premaster);
    assert.deepEqual([...answer.payload.subarray(0, 2)], [0, 2]);
    isError(await own.ask(rawDecryptRequest(Buffer.alloc(3), setup.sites.rsa!)), 1);
  });
  await withServer({ allowDecrypt: ['rsa'], allowRawDecrypt: true }, 'ours', async (own) => {
    isError(await own.ask(rawDecryptRequest(encrypted(premaster), setup.sites.rsa!)), 5);
  });
});

test('ping comes back as it is, with and without payload', async () => {
  assert.deepEqual(await peer.ask(pingRequest(Buffer.from('hello'))), {
    kind: 'pong',
    payload: Buffer.from('hello'),
  });
  assert.deepEqual(await peer.ask(pingRequest()), { kind: 'pong', payload: undefined });
  const long = await peer.ask(pingRequest(Buffer.alloc(65_528, 3)));
  assert.ok(long.kind === 'pong' && long.payload?.length === 65_528);
});

test('capabilities say what is on', async () => {
  const answer = await peer.ask(capabilitiesRequest());
  assert.ok(answer.kind === 'result');
  const said = decodeCapabilities(answer.payload);
  assert.deepEqual(said.versions, [1]);
  assert.deepEqual(said.functions, ['capabilities', 'sign:ed448']);
  assert.deepEqual(said.contexts, ['tls13-server', 'tls12-server']);
  assert.ok(said.schemes.includes('ed448') && !said.schemes.includes('rsa_pkcs1_sha1'));
  assert.deepEqual(said.limits, { inFlight: 128, bodyBytes: 65_535 });
});
