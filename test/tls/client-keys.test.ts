/** Client certificates of every kind of key: what is signed, how the choice of a signature goes, native or elsewhere. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { before, describe, it } from 'node:test';
import nodeTls, { type SecureVersion } from 'node:tls';
import {
  connect,
  localKey,
  type PrivateKey,
  type SignatureScheme,
  type SignOperation,
} from '../../lib/index.ts';
import {
  type Authority,
  type Issued,
  KEY_KINDS,
  type KeyKind,
  makeAuthority,
} from '../helpers/certificates.ts';
import { close, converse, listen } from '../helpers/connections.ts';
import { ANSWER_MODES, parity, type Side, sideNamed, tellsTheSame } from '../helpers/parity.ts';
import { gone } from '../helpers/visits.ts';

const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;

let authority: Authority;
const issued = new Map<KeyKind, Issued>();

before(async () => {
  authority = await makeAuthority();
  for (const type of KEY_KINDS) issued.set(type, await authority.issue({ type }));
});

function certificate(type: KeyKind): Issued {
  return issued.get(type) as Issued;
}

/** What Node's own server asks for when nobody says otherwise, in TLS 1.3. */
const SCHEMES: Readonly<Record<KeyKind, SignatureScheme>> = {
  rsa: 'rsa_pss_rsae_sha256',
  'rsa-pss': 'rsa_pss_pss_sha256',
  p256: 'ecdsa_secp256r1_sha256',
  p384: 'ecdsa_secp384r1_sha384',
  p521: 'ecdsa_secp521r1_sha512',
  ed25519: 'ed25519',
  ed448: 'ed448',
};

/** In TLS 1.2 a scheme says nothing of the curve (RFC 5246 §7.4.1.4.1). */
const SCHEMES_OF_TLS12: Readonly<Record<KeyKind, SignatureScheme>> = {
  ...SCHEMES,
  p384: 'ecdsa_sha256',
  p521: 'ecdsa_sha256',
};

/** What is told of an operation; the addresses are the socket's, and it knows them while it lives. */
function describeOperation(operation: SignOperation) {
  const { kind, role, scheme, servername, certificate: der, peerAddress, message } = operation;
  return { facts: { kind, role, scheme, servername, peerAddress }, der, message };
}

/** The operations of one connection of a client of ours to a server of Node's that requires a certificate. */
async function operationsOf(type: KeyKind, maxVersion: SecureVersion) {
  const { certPem, keyPem } = certificate('p256');
  const server = nodeTls.createServer(
    { cert: certPem, key: keyPem, ca: authority.certPem, requestCert: true, maxVersion },
    (socket) => socket.end('well'),
  );
  const operations: ReturnType<typeof describeOperation>[] = [];
  const local = localKey(certificate(type).keyPem);
  const key: PrivateKey = {
    verify: 'always',
    sign(operation) {
      operations.push(describeOperation(operation));
      return local.sign(operation);
    },
  };
  const socket = connect({
    port: await listen(server),
    host: '127.0.0.1',
    servername: 'localhost',
    ca: authority.certPem,
    cert: certificate(type).certPem,
    key,
  });
  assert.deepEqual(await gone(socket), ['end']);
  await close(server);
  return operations;
}

describe("a client's operation", () => {
  for (const version of VERSIONS) {
    for (const type of KEY_KINDS) {
      it(`says what is to be signed: ${type}, ${version}`, async () => {
        const operations = await operationsOf(type, version);
        assert.equal(operations.length, 1);
        const { facts, der, message } = operations[0]!;
        const scheme = (version === 'TLSv1.2' ? SCHEMES_OF_TLS12 : SCHEMES)[type];
        const server = { servername: 'localhost', peerAddress: '127.0.0.1' };
        assert.deepEqual(facts, { kind: 'sign', role: 'client', scheme, ...server });
        assert.ok(der.equals(certificate(type).certDer));
        // RFC 8446 §4.4.3; before that the handshake's messages, of which the first is a ClientHello (RFC 5246 §7.4.8).
        if (version === 'TLSv1.3')
          assert.match(message.toString('latin1'), /^ {64}TLS 1\.3, client CertificateVerify\0/);
        else assert.equal(message[0], 1);
      });
    }
  }
});

interface Choice {
  readonly version: SecureVersion;
  /** The client's, in its order. */
  readonly kinds: readonly KeyKind[];
  /** What the server takes. */
  readonly sigalgs?: string;
  /** What the client offers to sign with. */
  readonly offers?: string;
  /** A client without a certificate is served too. */
  readonly optional?: boolean;
}

async function choose(side: Side, { version, kinds, sigalgs, offers, optional }: Choice): Promise<unknown> {
  const own = certificate('p256');
  const server = side.tls.createServer({
    cert: own.certPem,
    key: own.keyPem,
    ca: authority.certPem,
    requestCert: true,
    rejectUnauthorized: optional !== true,
    maxVersion: version,
    ...(sigalgs ? { sigalgs } : {}),
  });
  const identities = kinds.map(certificate);
  const story = await converse(side, server, await listen(server), {
    client: {
      ca: authority.certPem,
      cert: identities.map(({ certPem }) => certPem),
      key: identities.map((identity) => side.key(identity)),
      ...(offers ? { sigalgs: offers } : {}),
    },
  });
  await close(server);
  return story;
}

/** What the server takes says what it signs with as well, which is P-256. Operations: with TLS 1.2, with TLS 1.3. */
const CHOICES: readonly (readonly [
  what: string,
  operations: readonly [number, number],
  choice: Omit<Choice, 'version'>,
])[] = [
  ['RSA with SHA-512', [1, 1], { kinds: ['rsa'], sigalgs: 'RSA-PSS+SHA512:ECDSA+SHA256' }],
  ['RSA-PSS with SHA-384', [1, 1], { kinds: ['rsa-pss'], sigalgs: 'rsa_pss_pss_sha384:ECDSA+SHA256' }],
  ['the first of two that the server takes', [1, 1], { kinds: ['rsa', 'p384'] }],
  [
    'the one of two that the server takes',
    [1, 1],
    { kinds: ['rsa', 'ed25519'], sigalgs: 'ed25519:ECDSA+SHA256' },
  ],
  // With TLS 1.2 Node's own client shows none of these either.
  [
    'the one of three, P-521',
    [0, 1],
    { kinds: ['rsa', 'p521', 'ed448'], sigalgs: 'ECDSA+SHA512:ECDSA+SHA256' },
  ],
  ['the one of three, Ed448', [1, 1], { kinds: ['rsa', 'p521', 'ed448'], sigalgs: 'ed448:ECDSA+SHA256' }],
  ['none: Ed448 where it is not taken', [0, 0], { kinds: ['ed448'], sigalgs: 'ECDSA+SHA256' }],
  ['none: RSA where it is not taken', [0, 0], { kinds: ['rsa'], sigalgs: 'ECDSA+SHA256' }],
  ['none, and none is needed', [0, 0], { kinds: ['ed25519'], sigalgs: 'ECDSA+SHA256', optional: true }],
  ["the client's own limit", [1, 1], { kinds: ['rsa'], offers: 'RSA-PSS+SHA384:ECDSA+SHA256' }],
];

for (const version of VERSIONS) {
  for (const [what, operations, choice] of CHOICES) {
    parity(
      `a choice of the client's signature, ${version}: ${what}`,
      (side) => choose(side, { version, ...choice }),
      operations[version === 'TLSv1.2' ? 0 : 1],
    );
  }
}

/** An RSA-PSS key that is for one digest only (RFC 4055 §3.1), in both roles. */
async function restricted(side: Side, pss: Issued, maxVersion: SecureVersion): Promise<unknown> {
  const identity = { cert: pss.certPem, key: side.key(pss), ca: authority.certPem };
  const server = side.tls.createServer({ ...identity, requestCert: true, maxVersion });
  const story = await converse(side, server, await listen(server), { client: identity });
  await close(server);
  return story;
}

describe('an RSA-PSS key that is for SHA-384 only', () => {
  for (const version of VERSIONS) {
    it(`meets with the same as natively, ${version}`, async () => {
      const { privateKey } = generateKeyPairSync('rsa-pss', {
        modulusLength: 2048,
        hashAlgorithm: 'sha384',
        mgf1HashAlgorithm: 'sha384',
      });
      const pss = await authority.issueFor(String(privateKey.export({ type: 'pkcs8', format: 'pem' })));
      const scenario = (side: Side) => restricted(side, pss, version);
      const native = await scenario(await sideNamed('native'));
      for (const mode of ANSWER_MODES) await tellsTheSame(scenario, mode, native);
    });
  }
});
