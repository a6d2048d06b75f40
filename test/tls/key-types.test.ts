/** Keys that cannot be used, and keys that do not fit their certificates: errors that say what to do. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import http2 from 'node:http2';
import https from 'node:https';
import { before, describe, it } from 'node:test';
import tls from 'node:tls';
import * as keylessHttp2 from '../../lib/http2.ts';
import * as keylessHttps from '../../lib/https.ts';
import * as keyless from '../../lib/index.ts';
import { KeylessError, type KeylessErrorCode, localKey, type PrivateKey } from '../../lib/index.ts';
import { type Authority, type Issued, type KeyKind, makeAuthority } from '../helpers/certificates.ts';
import { close, converse, describeError, listen } from '../helpers/connections.ts';
import { duplexPair } from '../helpers/duplex-pair.ts';
import { ANSWER_MODES, parity, remoteSide, type Side, sideNamed, tellsTheSame } from '../helpers/parity.ts';

const issued = new Map<KeyKind, Issued>();
let authority: Authority;
let p224: Issued;

before(async () => {
  authority = await makeAuthority();
  const odd = generateKeyPairSync('ec', { namedCurve: 'secp224r1' }).privateKey;
  p224 = await authority.issueFor(String(odd.export(PEM)));
  for (const type of ['rsa', 'p256', 'ed25519'] as const) issued.set(type, await authority.issue({ type }));
});

function certificate(type: KeyKind): Issued {
  return issued.get(type) as Issued;
}

const PEM = { type: 'pkcs8', format: 'pem' } as const;

/** A key that says nothing of itself. */
const anyKey: PrivateKey = { sign: () => new Promise(() => {}) };

function thrown(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return assert.fail('nothing was thrown');
}

function throwsKeyless(work: () => unknown, code: KeylessErrorCode, ...says: RegExp[]): void {
  const error = thrown(work);
  assert.ok(error instanceof KeylessError, String(error));
  assert.equal(error.code, code);
  for (const words of says) assert.match(error.message, words);
}

describe('a certificate with a DSA key', () => {
  it('is refused with words that name its type and those that can be', async () => {
    const dsa = generateKeyPairSync('dsa', { modulusLength: 2048, divisorLength: 256 });
    const { certPem } = await authority.issueFor(dsa.privateKey.export(PEM));
    throwsKeyless(
      () => keyless.createSecureContext({ cert: certPem, key: anyKey }),
      'ERR_KEYLESS_UNSUPPORTED_KEY',
      /CN=localhost/,
      /of the type dsa/,
      /Keyless keys are RSA, .*P-256, P-384, P-521.*Ed448/,
    );
  });

  it('likewise where it has no subject', async () => {
    const dsa = generateKeyPairSync('dsa', { modulusLength: 2048, divisorLength: 256 });
    const { certPem } = await authority.issueFor(dsa.privateKey.export(PEM), '');
    throwsKeyless(
      () => keyless.createSecureContext({ cert: certPem, key: anyKey }),
      'ERR_KEYLESS_UNSUPPORTED_KEY',
      /^The key of the certificate "" is of the type dsa/,
    );
  });
});

/**
 * Key servers do not take such a key, but a PrivateKey may. Of curves without a name of NIST's nothing is told here:
 * getPeerCertificate() of Node 24 and 26 crashes on them, keys elsewhere or not.
 */
async function onP224(side: Side, version: tls.SecureVersion): Promise<unknown> {
  const groups = { ecdhCurve: 'P-224:P-256', maxVersion: version };
  const server = side.tls.createServer({ ...groups, cert: p224.certPem, key: side.key(p224) });
  const story = await converse(side, server, await listen(server), {
    client: { ...groups, ca: authority.certPem },
  });
  await close(server);
  return story;
}

describe('a certificate with an EC key on P-224 meets with the same as natively:', () => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(version, async () => {
      const scenario = (side: Side) => onP224(side, version);
      const native = await scenario(await sideNamed('native'));
      for (const mode of ANSWER_MODES) await tellsTheSame(scenario, mode, native);
    });
  }
});

/** Every way of ours to give a key. */
const OURS: Readonly<Record<string, (options: { cert?: string | string[]; key: PrivateKey }) => unknown>> = {
  createSecureContext: (options) => keyless.createSecureContext(options),
  createServer: (options) => keyless.createServer(options),
  connect: (options) => keyless.connect({ port: 9, host: '127.0.0.1', ...options }),
  'https.createServer': (options) => keylessHttps.createServer(options),
  'https.request': (options) =>
    keylessHttps.request({ port: 9, host: '127.0.0.1', agent: false, ...options }),
  'http2.createSecureServer': (options) => keylessHttp2.createSecureServer(options),
  'http2.connect': (options) => keylessHttp2.connect('https://127.0.0.1:9', options),
  setSecureContext: (options) => keyless.createServer().setSecureContext(options as never),
  addContext: (options) => keyless.createServer().addContext('a.test', options as never),
};

describe('a PrivateKey without its certificate', () => {
  for (const [name, give] of Object.entries(OURS)) {
    it(`is refused by ${name} with words that ask for the certificate`, () => {
      for (const none of [{}, { cert: [] }, { cert: '' }]) {
        throwsKeyless(() => give({ ...none, key: anyKey }), 'ERR_KEYLESS_NO_CERTIFICATE', /"cert"/);
      }
    });
  }
});

describe('keys and certificates that do not fit', () => {
  const refused = (cert: string | string[], ...key: (PrivateKey | string)[]) =>
    throwsKeyless(
      () => keyless.createServer({ cert, key }),
      'ERR_KEYLESS_KEY_MISMATCH',
      /belongs to none .*"cert"/,
    );

  it('are refused: the key of another certificate', () => {
    refused(certificate('rsa').certPem, localKey(certificate('p256').keyPem));
  });
  it('are refused: more keys than certificates', () => {
    const { certPem, keyPem } = certificate('rsa');
    refused(certPem, localKey(keyPem), localKey(certificate('p256').keyPem));
    refused(certPem, localKey(keyPem), anyKey);
    refused(certPem, anyKey, { ...anyKey });
  });
  it('are refused: two keys, one of which has its certificate', () => {
    const certs = [certificate('rsa').certPem, certificate('p256').certPem];
    refused(certs, localKey(certificate('rsa').keyPem), localKey(certificate('ed25519').keyPem));
  });
});

parity('two certificates, a key for one of them', async (side) => {
  const server = side.tls.createServer({
    cert: [certificate('rsa').certPem, certificate('p256').certPem],
    key: [side.key(certificate('p256'))],
  });
  const story = await converse(side, server, await listen(server), { client: { ca: authority.certPem } });
  await close(server);
  return story;
});

function outcome(work: () => unknown): unknown {
  try {
    work();
    return 'taken';
  } catch (error) {
    return describeError(error);
  }
}

describe('a native key that does not fit its certificate', () => {
  const other = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const pem = () => String(other().export(PEM));
  const KEYS: Readonly<Record<string, () => unknown>> = {
    'a PEM': pem,
    'a Buffer': () => Buffer.from(pem()),
    'a PEM with a passphrase': () => [{ pem: pem(), passphrase: 'x' }],
    // OpenSSL takes it, for a certificate that might still come.
    'a PEM of another type': () => certificate('rsa').keyPem,
    'a KeyObject': other,
    nonsense: () => 'nonsense',
    'a number': () => 5,
  };
  for (const [name, key] of Object.entries(KEYS)) {
    it(`meets with what Node says of it: ${name}`, () => {
      const options = { cert: certificate('p256').certPem, key: key() as string };
      const native = outcome(() => tls.createSecureContext(options));
      assert.equal(native === 'taken', name === 'a PEM of another type');
      assert.deepEqual(
        outcome(() => keyless.createSecureContext(options)),
        native,
      );
      assert.deepEqual(
        outcome(() => keylessHttps.createServer(options)),
        native,
      );
      assert.deepEqual(
        outcome(() => keylessHttp2.createSecureServer(options)),
        native,
      );
    });
  }

  it('meets with the same beside a PrivateKey that does fit', () => {
    const [rsa, p256] = [certificate('rsa'), certificate('p256')];
    const cert = [rsa.certPem, p256.certPem];
    const strange = pem();
    const side = remoteSide('sync');
    const native = outcome(() => tls.createServer({ cert, key: [rsa.keyPem, strange] }));
    assert.notEqual(native, 'taken');
    assert.deepEqual(
      outcome(() => side.tls.createServer({ cert, key: [side.key(rsa), strange] })),
      native,
    );
  });
});

/** Every way of Node's own to give a key. */
const NODES: Readonly<Record<string, (options: { cert: string; key: string }) => unknown>> = {
  'tls.createSecureContext': (options) => tls.createSecureContext(options),
  'tls.createServer': (options) => tls.createServer(options),
  'tls.connect': (options) => tls.connect({ port: 9, host: '127.0.0.1', ...options }),
  'new TLSSocket': (options) => new tls.TLSSocket(duplexPair()[0], { isServer: true, ...options }),
  'https.createServer': (options) => https.createServer(options),
  'https.request': (options) => https.request({ port: 9, host: '127.0.0.1', agent: false, ...options }),
  'http2.createSecureServer': (options) => http2.createSecureServer(options),
  'http2.connect': (options) => http2.connect('https://127.0.0.1:9', options),
  setSecureContext: (options) => tls.createServer().setSecureContext(options),
  addContext: (options) => tls.createServer().addContext('a.test', options),
};

describe("a PrivateKey given to Node's own", () => {
  for (const [name, give] of Object.entries(NODES)) {
    it(`${name} is refused with words that name ours`, () => {
      for (const key of [anyKey, [anyKey], [certificate('rsa').keyPem, anyKey]]) {
        throwsKeyless(
          () => give({ cert: certificate('rsa').certPem, key: key as unknown as string }),
          'ERR_KEYLESS_INVALID_ARGUMENT',
          /given to node:tls/,
          /Call createServer, connect or createSecureContext of "keyless-tls" .*keyless-tls\/https.*keyless-tls\/http2/,
        );
      }
    });
  }

  it('https.Agent is refused at its first request', () => {
    const agent = new https.Agent({ cert: certificate('rsa').certPem, key: anyKey as unknown as string });
    throwsKeyless(
      () => https.request({ port: 9, host: '127.0.0.1', agent }),
      'ERR_KEYLESS_INVALID_ARGUMENT',
      /given to node:tls/,
    );
  });
});
