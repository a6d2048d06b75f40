/** Keys that Node was given in any of its forms, taken out of its contexts: what isolate rests on. */
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { before, beforeEach, test } from 'node:test';
import tls, { type SecureContextOptions } from 'node:tls';
import { addon } from '../../lib/engine/addon.ts';
import { moveNativeKeys } from '../../lib/engine/contexts.ts';
import * as keyless from '../../lib/index.ts';
import { localKey, type PrivateKey } from '../../lib/index.ts';
import { type Authority, type Issued, type KeyKind, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';
import { makePfx } from '../helpers/pfx.ts';

const KINDS = ['rsa', 'p256', 'p384', 'ed25519'] as const satisfies readonly KeyKind[];

let authority: Authority;
const sites = new Map<KeyKind, Issued>();
const site = (kind: KeyKind) => sites.get(kind)!;
const taken: { fingerprint: string; pkcs8: Buffer }[] = [];
let operations = 0;
let takes: (type: string | undefined) => boolean = () => true;

function counted(key: PrivateKey): PrivateKey {
  const { decrypt } = key;
  return {
    sign(operation) {
      operations += 1;
      return key.sign(operation);
    },
    decrypt: decrypt && ((operation) => decrypt(operation)),
  };
}

before(async () => {
  authority = await makeAuthority();
  for (const kind of KINDS) sites.set(kind, await authority.issue({ type: kind }));
  // Under isolate its own mover comes with the first key, and must not come later than this one.
  tls.createSecureContext({ cert: site('rsa').certPem, key: site('rsa').keyPem });
  moveNativeKeys(({ raw, publicKey }, pkcs8) => {
    const fingerprint =
      raw.length === 0 ? `${publicKey.asymmetricKeyType} alone` : new X509Certificate(raw).fingerprint256;
    taken.push({ fingerprint, pkcs8 });
    if (!takes(publicKey.asymmetricKeyType)) throw new Error('no room');
    return counted(localKey(createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' })));
  });
});
beforeEach(() => {
  taken.length = 0;
  operations = 0;
});

function encrypted({ keyPem }: Issued, passphrase: string): string {
  const text = createPrivateKey(keyPem).export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase,
  });
  return text.toString();
}

const SIGALGS: Partial<Record<KeyKind, string>> = {
  rsa: 'RSA-PSS+SHA256',
  p256: 'ECDSA+SHA256',
  p384: 'ECDSA+SHA384',
  ed25519: 'ed25519',
};

/** @returns the fingerprint of the certificate that a client gets which can verify this kind of signature only */
async function served(port: number, kind: KeyKind): Promise<string> {
  const client = tls.connect({
    port,
    host: '127.0.0.1',
    servername: 'localhost',
    ca: authority.certPem,
    sigalgs: SIGALGS[kind],
  });
  await once(client, 'secureConnect');
  const { fingerprint256 } = client.getPeerCertificate();
  client.resume();
  await once(client, 'close');
  return fingerprint256;
}

async function serves(options: SecureContextOptions, kinds: readonly KeyKind[]): Promise<void> {
  const server = tls.createServer(options, (socket) => socket.end('hello'));
  const port = await listen(server);
  const expected = kinds.map((kind) => new X509Certificate(site(kind).certPem).fingerprint256);
  for (const [index, kind] of kinds.entries()) assert.equal(await served(port, kind), expected[index], kind);
  assert.deepEqual(new Set(taken.map(({ fingerprint }) => fingerprint)), new Set(expected));
  assert.equal(operations, kinds.length, 'the moved keys signed');
  assert.ok(
    taken.every(({ pkcs8 }) => pkcs8.every((octet) => octet === 0)),
    'the bytes that were handed over are wiped',
  );
  await close(server);
}

for (const kind of KINDS) {
  test(`a PEM of the kind ${kind}`, () =>
    serves({ cert: site(kind).certPem, key: site(kind).keyPem }, [kind]));
}

test('a Buffer, and a certificate with its chain', async () => {
  const { certPem, keyPem } = site('p256');
  await serves({ cert: Buffer.from(certPem + authority.certPem), key: Buffer.from(keyPem) }, ['p256']);
});

test('an encrypted PEM, with the passphrase beside it or in the options', async () => {
  const { certPem } = site('rsa');
  await serves({ cert: certPem, key: [{ pem: encrypted(site('rsa'), 'secret'), passphrase: 'secret' }] }, [
    'rsa',
  ]);
  taken.length = 0;
  operations = 0;
  await serves({ cert: certPem, key: encrypted(site('rsa'), 'other'), passphrase: 'other' }, ['rsa']);
});

test('a pfx', () => serves({ pfx: makePfx(site('p256'), 'secret'), passphrase: 'secret' }, ['p256']));

test('two certificates and their keys, in either order of the keys', async () => {
  for (const kinds of [
    ['rsa', 'p256'],
    ['p256', 'rsa'],
  ] as const) {
    taken.length = 0;
    operations = 0;
    const cert = ['rsa', 'p256'].map((kind) => site(kind as KeyKind).certPem);
    await serves({ cert, key: kinds.map((kind) => site(kind).keyPem) }, kinds);
  }
});

test('a context without a key, or with a certificate alone, gives nothing away', () => {
  tls.createSecureContext();
  tls.createSecureContext({ cert: site('p256').certPem });
  tls.createSecureContext({ ca: authority.certPem });
  assert.equal(taken.length, 0);
});

/** Keys that a context has no certificate for. @returns what a client of a server with this context is told */
async function outcome(options: SecureContextOptions): Promise<string> {
  const server = tls.createServer(options, (socket) => socket.end('hello'));
  const failed = once(server, 'tlsClientError').then(([error]) => String(error.code));
  const port = await listen(server);
  const client = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca: authority.certPem });
  client.on('error', () => undefined).resume();
  const ended = once(client, 'secureConnect').then(() => client.getPeerCertificate().fingerprint256);
  ended.catch(() => undefined);
  const told = await Promise.race([failed, ended]);
  client.destroy();
  await close(server);
  return told;
}

test('keys without a certificate move as well, and a server serves with the others as before', async () => {
  const { keyPem: rsa } = site('rsa');
  const { certPem: cert, keyPem: key } = site('p256');
  const { fingerprint256 } = new X509Certificate(cert);
  for (const [keys, moved] of [
    [
      [rsa, key],
      ['rsa alone', fingerprint256],
    ],
    [
      [key, rsa],
      [fingerprint256, 'rsa alone'],
    ],
    [
      [{ pem: encrypted(site('rsa'), 'secret'), passphrase: 'secret' }, key, site('ed25519').keyPem],
      ['rsa alone', fingerprint256, 'ed25519 alone'],
    ],
  ] as const) {
    taken.length = 0;
    assert.equal(await outcome({ cert, key: keys as unknown as string[] }), fingerprint256);
    assert.deepEqual(taken.map(({ fingerprint }) => fingerprint).sort(), [...moved].sort());
    assert.ok(taken.every(({ pkcs8 }) => pkcs8.every((octet) => octet === 0)));
  }
});

test('a key without a certificate beside a pfx moves as well', async () => {
  const { certPem: cert } = site('p256');
  const pfx = makePfx(site('p256'), 'secret');
  const { fingerprint256 } = new X509Certificate(cert);
  assert.equal(await outcome({ key: site('rsa').keyPem, pfx, passphrase: 'secret' }), fingerprint256);
  assert.deepEqual(taken.map(({ fingerprint }) => fingerprint).sort(), [fingerprint256, 'rsa alone'].sort());
});

test('a key of Node beside a PrivateKey moves, whichever comes last, and each signs for its certificate', async () => {
  const [own, native] = [site('p256'), site('rsa')];
  const nodes = new X509Certificate(native.certPem).fingerprint256;
  const pfx = { pfx: makePfx(native, 'secret'), passphrase: 'secret' };
  for (const options of [
    { cert: [own.certPem, native.certPem], key: [localKey(own.keyPem), native.keyPem] },
    { cert: [own.certPem, native.certPem], key: [native.keyPem, localKey(own.keyPem)] },
    { cert: own.certPem, key: localKey(own.keyPem), ...pfx },
  ]) {
    taken.length = 0;
    operations = 0;
    const server = keyless.createServer(options, (socket) => socket.end('hello'));
    const port = await listen(server);
    assert.equal(await served(port, 'rsa'), nodes);
    assert.equal(await served(port, 'p256'), new X509Certificate(own.certPem).fingerprint256);
    await close(server);
    assert.deepEqual(
      taken.map(({ fingerprint }) => fingerprint),
      [nodes],
    );
    assert.equal(operations, 1);
    assert.ok(taken.every(({ pkcs8 }) => pkcs8.every((octet) => octet === 0)));
  }
});

test('a context with a key alone: no handshake, as natively, until it gets the certificate', async () => {
  for (const kind of KINDS) {
    taken.length = 0;
    operations = 0;
    const { certPem, keyPem } = site(kind);
    assert.match(await outcome({ key: keyPem }), /^ERR_SSL_NO_S/);
    const context = tls.createSecureContext({ key: Buffer.from(keyPem) });
    (context.context as { setCert(cert: string): void }).setCert(certPem);
    const server = tls.createServer({ SNICallback: (_, done) => done(null, context) }, (socket) =>
      socket.end('hello'),
    );
    assert.equal(await served(await listen(server), kind), new X509Certificate(certPem).fingerprint256);
    await close(server);
    assert.equal(operations, 1, kind);
    assert.equal(taken.length, 2);
  }
});

test('of keys of one type OpenSSL keeps the last, and so is it with those that move', () => {
  const { keyPem } = site('p384');
  tls.createSecureContext({ key: [site('p256').keyPem, keyPem] });
  assert.equal(taken.length, 1);
  assert.throws(() => tls.createSecureContext({ key: [keyPem, 'none'] }));
  assert.equal(taken.length, 1);
});

test('where one key finds no taker, no copy of any key is left', (t) => {
  const copies: Buffer[] = [];
  const engine = addon();
  const { nativeKeys, keyOfPem } = engine;
  t.after(() => {
    takes = () => true;
    Object.assign(engine, { nativeKeys, keyOfPem });
  });
  engine.nativeKeys = () => {
    const found = nativeKeys();
    copies.push(...found.filter((_, index) => index % 2 === 1));
    return found;
  };
  engine.keyOfPem = (...values) => {
    const found = keyOfPem(...values);
    copies.push(...found.slice(1));
    return found;
  };
  takes = (type) => type !== 'ec';
  const cert = [site('p256').certPem, site('rsa').certPem];
  const key = [site('p256').keyPem, site('rsa').keyPem, site('ed25519').keyPem];
  assert.throws(() => tls.createSecureContext({ cert, key }), /no room/);
  assert.ok(copies.length > taken.length, 'there were keys that nobody was asked to take');
  assert.ok(copies.every((copy) => copy.length > 0 && copy.every((octet) => octet === 0)));
});
