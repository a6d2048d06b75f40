/** What a PrivateKey and the options it comes with may say, and what is refused. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { before, describe, it } from 'node:test';
import nodeTls from 'node:tls';
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
      { schemes: ['ed25519', 'ecdsa_secp256r1_sha256', 'rsa_pss_pss_sha256'] },
      ...[null, false, 'x'].flatMap((value) => [
        { decrypt: value },
        { signAgain: value },
        { onRefused: value },
      ]),
      ...[null, '', 'PEM', 5, {}, [], true, new ArrayBuffer(8)].map((publicKey) => ({ publicKey })),
    ]) {
      const options = { cert, key: { ...key, ...bad } as PrivateKey };
      assert.equal(
        code(() => createServer(options)),
        'ERR_KEYLESS_INVALID_ARGUMENT',
        JSON.stringify(bad),
      );
    }
  });
  it('refuse schemes that do not fit the certificate, or the sigalgs beside them, and say which', () => {
    const limited = (type: KeyKind, schemes: string[], sigalgs?: string) => () =>
      createServer({
        cert: certificate(type).certPem,
        key: { ...key, schemes } as PrivateKey,
        ...(sigalgs && { sigalgs }),
      });
    assert.throws(limited('rsa', ['ed25519']), /ed25519.*certificate's key.*is rsa:/);
    assert.throws(limited('p256', ['ecdsa_secp384r1_sha384']), /is ec on prime256v1:/);
    assert.throws(limited('rsa', ['rsa_pkcs1_sha256'], 'RSA+SHA512'), {
      code: 'ERR_KEYLESS_INVALID_ARGUMENT',
      message: /"sigalgs" \(RSA\+SHA512\) has none of the "schemes"/,
    });
  });
  it('are kept where they are inherited or not enumerable, as by Node', async () => {
    const { certPem: cert, keyPem } = certificate('p256');
    const base = { requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3', cert };
    const refused = async (make: (options: object) => nodeTls.Server, own: object): Promise<string> => {
      const server = make(Object.assign(Object.create(base), own));
      const failed = once(server, 'tlsClientError') as Promise<[NodeJS.ErrnoException]>;
      const port = await listen(server);
      const client = nodeTls.connect({
        port,
        host: '127.0.0.1',
        rejectUnauthorized: false,
        maxVersion: 'TLSv1.2',
      });
      client.on('error', () => {});
      const [error] = await failed;
      await close(server);
      return String(error.code);
    };
    const native = await refused(nodeTls.createServer, { key: keyPem });
    assert.match(native, /UNSUPPORTED_PROTOCOL/);
    assert.equal(await refused(createServer, { key: localKey(keyPem) }), native);
    const trapped = (own: object) =>
      createServer(
        new Proxy<object>(
          { ...own, cert },
          { get: (target, name) => Reflect.get(target, name) ?? Reflect.get(base, name) },
        ),
      );
    assert.equal(
      await refused((own) => trapped({ key: Reflect.get(own, 'key') }), { key: localKey(keyPem) }),
      native,
    );
    const hidden = Object.defineProperty({ key: localKey(keyPem) }, 'cert', { value: cert });
    assert.ok(createSecureContext(hidden));
    assert.ok(createServer(Object.freeze({ cert, key: localKey(keyPem) })));
    class Options {
      readonly #cert = cert;
      readonly key = localKey(keyPem);
      get cert(): string {
        return this.#cert;
      }
    }
    assert.ok(createServer(new Options()));
    assert.ok(createSecureContext(new Options()));
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
