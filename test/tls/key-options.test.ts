/** What a PrivateKey and the options it comes with may say: what is refused, and what a key that can less offers. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { before, describe, it } from 'node:test';
import nodeTls, { type TLSSocket } from 'node:tls';
import {
  createSecureContext,
  createServer,
  KeylessError,
  localKey,
  type PrivateKey,
} from '../../lib/index.ts';
import { type Authority, type Issued, type KeyKind, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';

const issued = new Map<KeyKind, Issued>();
let authority: Authority;

before(async () => {
  authority = await makeAuthority();
  for (const type of ['rsa', 'p256'] as const) issued.set(type, await authority.issue({ type }));
});

function certificate(type: KeyKind): Issued {
  return issued.get(type) as Issued;
}

describe('options', () => {
  const key: PrivateKey = { sign: () => Buffer.alloc(0) };
  const code = (work: () => unknown) => {
    try {
      work();
    } catch (error) {
      return error instanceof KeylessError ? error.code : String(error);
    }
    return undefined;
  };

  it('need a certificate for a PrivateKey', () => {
    assert.equal(
      code(() => createSecureContext({ key })),
      'ERR_KEYLESS_NO_CERTIFICATE',
    );
  });
  it("refuse a PrivateKey whose public key is not the certificate's", () => {
    const other = localKey(certificate('p256').keyPem);
    assert.equal(
      code(() => createServer({ cert: certificate('rsa').certPem, key: other })),
      'ERR_KEYLESS_KEY_MISMATCH',
    );
  });
  it('refuse values out of range', () => {
    const cert = certificate('rsa').certPem;
    for (const bad of [
      { timeoutMs: 0 },
      { timeoutMs: '5' },
      { verify: 'sometimes' },
      { schemes: [] },
      { schemes: ['rot13'] },
    ]) {
      const options = { cert, key: { ...key, ...bad } as PrivateKey };
      assert.equal(
        code(() => createServer(options)),
        'ERR_KEYLESS_INVALID_ARGUMENT',
        JSON.stringify(bad),
      );
    }
  });
  it('given to node:tls itself are refused with words that say what to do', () => {
    const cert = certificate('rsa').certPem;
    for (const value of [key, [key]]) {
      const options = { cert, key: value as unknown as string };
      assert.throws(() => nodeTls.createServer(options), /keyless-tls/);
      assert.throws(() => nodeTls.createSecureContext(options), { code: 'ERR_KEYLESS_INVALID_ARGUMENT' });
    }
  });
  it("keep Node's own errors", () => {
    assert.throws(() => createSecureContext({ cert: 'nonsense', key }), /PEM|no start line/);
  });
});

describe('a key that cannot do all its type can', () => {
  it('is offered only what it can', async () => {
    const schemes: string[] = [];
    const good = localKey(certificate('rsa').keyPem);
    const key: PrivateKey = {
      schemes: ['rsa_pkcs1_sha512', 'rsa_pss_rsae_sha384'],
      sign(operation) {
        schemes.push(operation.scheme);
        return good.sign(operation);
      },
    };
    const server = createServer({ cert: certificate('rsa').certPem, key }, (socket: TLSSocket) =>
      socket.end(),
    );
    const port = await listen(server);
    const offers: nodeTls.ConnectionOptions[] = [
      {},
      { sigalgs: 'RSA+SHA256:RSA+SHA512', maxVersion: 'TLSv1.2' },
      { sigalgs: 'RSA-PSS+SHA256:RSA-PSS+SHA384' },
    ];
    for (const offer of offers) {
      const client = nodeTls.connect({
        port,
        host: '127.0.0.1',
        servername: 'localhost',
        ca: authority.certPem,
        ...offer,
      });
      client.resume();
      await once(client, 'close');
    }
    assert.deepEqual(schemes, ['rsa_pss_rsae_sha384', 'rsa_pkcs1_sha512', 'rsa_pss_rsae_sha384']);
    await close(server);
  });

  it('and cannot decrypt offers no RSA key exchange', async () => {
    const good = localKey(certificate('rsa').keyPem);
    const server = createServer({
      cert: certificate('rsa').certPem,
      key: { sign: (operation) => good.sign(operation) },
    });
    const port = await listen(server);
    const client = nodeTls.connect({
      port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      maxVersion: 'TLSv1.2',
      ciphers: 'AES128-GCM-SHA256',
    });
    client.on('error', () => {});
    const [serverError] = await once(server, 'tlsClientError');
    assert.equal(serverError.code as string, 'ERR_SSL_NO_SHARED_CIPHER');
    await close(server);
  });
});
