/** Keys that cannot do all their type can: handshakes choose nothing else, and what they do not limit stays native. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { before, describe, it } from 'node:test';
import nodeTls, { type TLSSocket } from 'node:tls';
import {
  type ConnectionOptions,
  connect,
  createSecureContext,
  createServer,
  localKey,
  type PrivateKey,
  type SecureContextOptions,
  type SignatureScheme,
  type TlsOptions,
} from '../../lib/index.ts';
import { type Authority, type Issued, type KeyKind, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';
import { makePfx } from '../helpers/pfx.ts';

const issued = new Map<KeyKind, Issued>();
let authority: Authority;

before(async () => {
  authority = await makeAuthority();
  for (const type of ['rsa', 'p256'] as const) issued.set(type, await authority.issue({ type }));
});

function certificate(type: KeyKind): Issued {
  return issued.get(type) as Issued;
}

/** A key for a certificate that notes what it signs with. */
function limitedKey(type: KeyKind, schemes: readonly SignatureScheme[], used: string[] = []): PrivateKey {
  const good = localKey(certificate(type).keyPem);
  return {
    schemes,
    sign(operation) {
      used.push(operation.scheme);
      return good.sign(operation);
    },
  };
}

/** @returns how the handshake went: "ok", or the code of the client's error */
async function handshake(port: number, options: ConnectionOptions): Promise<string> {
  const client = connect({
    port,
    host: '127.0.0.1',
    servername: 'localhost',
    ca: authority.certPem,
    ...options,
  });
  client.resume();
  let result = 'ok';
  client.on('error', ({ code }: NodeJS.ErrnoException) => {
    result = String(code);
  });
  return new Promise((resolve) => client.on('close', () => resolve(result)));
}

function ending(socket: TLSSocket): void {
  socket.on('error', () => {});
  socket.end();
}

describe('a key with few schemes', () => {
  it("fails as keys that cannot do more, with OpenSSL's reason for them", async () => {
    const reason = async (server: nodeTls.Server) => {
      const failed = once(server, 'tlsClientError');
      await handshake(await listen(server), { minVersion: 'TLSv1.3', sigalgs: 'RSA-PSS+SHA256' });
      await close(server);
      return ((await failed) as [NodeJS.ErrnoException])[0].code;
    };
    const { certPem, keyPem } = certificate('p256');
    const native = await reason(nodeTls.createServer({ cert: certPem, key: keyPem }));
    const cert = [certificate('rsa').certPem, certPem];
    const key = [limitedKey('rsa', ['rsa_pkcs1_sha256']), keyPem];
    assert.equal(await reason(createServer({ cert, key })), native);
  });

  it('is offered only what it can', async () => {
    const used: string[] = [];
    const key = limitedKey('rsa', ['rsa_pkcs1_sha512', 'rsa_pss_rsae_sha384'], used);
    const server = createServer({ cert: certificate('rsa').certPem, key }, ending);
    const port = await listen(server);
    await handshake(port, {});
    await handshake(port, { sigalgs: 'RSA+SHA256:RSA+SHA512', maxVersion: 'TLSv1.2' });
    await handshake(port, { sigalgs: 'RSA-PSS+SHA256:RSA-PSS+SHA384' });
    await close(server);
    assert.deepEqual(used, ['rsa_pss_rsae_sha384', 'rsa_pkcs1_sha512', 'rsa_pss_rsae_sha384']);
  });

  it('in a context chosen late is offered only what it can', async () => {
    const used: string[] = [];
    const key = limitedKey('rsa', ['rsa_pkcs1_sha512', 'rsa_pss_rsae_sha384'], used);
    const late = createSecureContext({ cert: certificate('rsa').certPem, key });
    const server = createServer({ SNICallback: (_, done) => setImmediate(done, null, late) }, ending);
    const port = await listen(server);
    assert.equal(await handshake(port, { sigalgs: 'RSA-PSS+SHA256:RSA-PSS+SHA384' }), 'ok');
    assert.equal(await handshake(port, { sigalgs: 'RSA+SHA256:RSA+SHA512', maxVersion: 'TLSv1.2' }), 'ok');
    await close(server);
    assert.deepEqual(used, ['rsa_pss_rsae_sha384', 'rsa_pkcs1_sha512']);
  });

  it("does not widen the user's own sigalgs at a server", async () => {
    const used: string[] = [];
    const key = limitedKey('rsa', ['rsa_pss_rsae_sha256', 'rsa_pss_rsae_sha512'], used);
    const options = { cert: certificate('rsa').certPem, sigalgs: 'RSA-PSS+SHA512:RSA-PSS+SHA384' };
    const server = createServer({ ...options, key }, ending);
    const native = nodeTls.createServer({ ...options, key: certificate('rsa').keyPem }, ending);
    const refused: string[] = [];
    for (const each of [native, server]) {
      each.on('tlsClientError', () => {});
      const port = await listen(each);
      assert.equal(await handshake(port, {}), 'ok');
      refused.push(await handshake(port, { sigalgs: 'RSA-PSS+SHA256' }));
      await close(each);
    }
    assert.match(String(refused[0]), /HANDSHAKE_FAILURE/);
    assert.equal(refused[1], refused[0]);
    assert.deepEqual(used, ['rsa_pss_rsae_sha512']);
  });

  it("asks clients for what a native server's user lets them sign with", async () => {
    const asked = async (make: typeof nodeTls.createServer, options: TlsOptions) => {
      const server = make(
        { ...(options as nodeTls.TlsOptions), requestCert: true, rejectUnauthorized: false },
        ending,
      );
      const port = await listen(server);
      const shared: string[][] = [];
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        const client = nodeTls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, maxVersion });
        client.resume();
        await once(client, 'secureConnect');
        shared.push(client.getSharedSigalgs());
        await once(client, 'close');
      }
      await close(server);
      return shared;
    };
    for (const sigalgs of [undefined, 'RSA-PSS+SHA512:ECDSA+SHA384:RSA-PSS+SHA256']) {
      const options = { cert: certificate('rsa').certPem, ...(sigalgs && { sigalgs }) };
      const key = limitedKey('rsa', ['rsa_pss_rsae_sha256']);
      const native = await asked(nodeTls.createServer, { ...options, key: certificate('rsa').keyPem });
      assert.deepEqual(await asked(createServer as typeof nodeTls.createServer, { ...options, key }), native);
    }
  });

  it('does not speak for the key that an ALPNCallback exchanges it for', async () => {
    const { certPem: cert, keyPem } = certificate('rsa');
    const given = createSecureContext({ cert, key: localKey(keyPem) });
    const server = createServer(
      {
        ...{ cert, key: limitedKey('rsa', ['rsa_pss_rsae_sha256', 'rsa_pkcs1_sha384']) },
        ALPNCallback(this: TLSSocket, { protocols }: { protocols: string[] }) {
          this.setKeyCert(given);
          return protocols[0];
        },
      } as unknown as TlsOptions,
      ending,
    );
    const port = await listen(server);
    const offer = { sigalgs: 'RSA+SHA256', ALPNProtocols: ['a'], maxVersion: 'TLSv1.2' } as const;
    assert.equal(await handshake(port, offer), 'ok');
    await close(server);
  });

  it("does not widen the user's own sigalgs at a client", async () => {
    const used: string[] = [];
    const key = limitedKey('rsa', ['rsa_pss_rsae_sha256', 'rsa_pss_rsae_sha512'], used);
    const server = nodeTls.createServer(
      {
        cert: certificate('rsa').certPem,
        key: certificate('rsa').keyPem,
        requestCert: true,
        ca: authority.certPem,
      },
      ending,
    );
    const port = await listen(server);
    const options = { cert: certificate('rsa').certPem, key, sigalgs: 'RSA-PSS+SHA512:RSA-PSS+SHA384' };
    assert.equal(await handshake(port, options), 'ok');
    await close(server);
    assert.deepEqual(used, ['rsa_pss_rsae_sha512']);
  });
});

describe('a context whose key is limited, that has served', () => {
  /** @returns what a peer that knows only `offer` saw of a server, and then of a client, of one and the same context */
  async function serveThenConnect(
    options: SecureContextOptions,
    peer: nodeTls.TlsOptions,
  ): Promise<string[]> {
    const context = createSecureContext(options);
    const accepting = net.createServer((raw) => {
      const socket = new nodeTls.TLSSocket(raw, { isServer: true, secureContext: context });
      socket.on('secure', () => ending(socket));
    });
    const first = await handshake(await listen(accepting as nodeTls.Server), {});
    await close(accepting as nodeTls.Server);
    const other = nodeTls.createServer(
      { cert: certificate('rsa').certPem, key: certificate('rsa').keyPem, ...peer },
      ending,
    );
    other.on('tlsClientError', () => {});
    const second = await handshake(await listen(other), {
      secureContext: context,
      rejectUnauthorized: false,
    });
    await close(other);
    return [first, second];
  }

  it('connects with all the signatures that its user did not forbid', async () => {
    const key = limitedKey('p256', ['ecdsa_secp256r1_sha256']);
    assert.deepEqual(await serveThenConnect({ cert: certificate('p256').certPem, key }, {}), ['ok', 'ok']);
  });

  it('connects with RSA key exchange, which its own key cannot do', async () => {
    const good = localKey(certificate('rsa').keyPem);
    const key: PrivateKey = { sign: (operation) => good.sign(operation) };
    const onlyRsa = { ciphers: 'AES128-GCM-SHA256', maxVersion: 'TLSv1.2' } as const;
    assert.deepEqual(
      await serveThenConnect({ cert: certificate('rsa').certPem, key, maxVersion: 'TLSv1.2' }, onlyRsa),
      ['ok', 'ok'],
    );
  });
});

describe('a key that cannot decrypt', () => {
  async function refusal(options: TlsOptions): Promise<string> {
    const good = localKey(certificate('rsa').keyPem);
    const key: PrivateKey = { sign: (operation) => good.sign(operation) };
    const server = createServer({ cert: certificate('rsa').certPem, key, ...options });
    const port = await listen(server);
    const failed = once(server, 'tlsClientError');
    await handshake(port, { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' });
    const [error] = (await failed) as [NodeJS.ErrnoException];
    await close(server);
    return String(error.code);
  }

  it('offers no RSA key exchange', async () => {
    assert.equal(await refusal({}), 'ERR_SSL_NO_SHARED_CIPHER');
  });

  it('does not speak for a native key that is chosen by name', async () => {
    const good = localKey(certificate('rsa').keyPem);
    const { certPem: cert, keyPem } = certificate('rsa');
    const server = createServer({ cert, key: { sign: (operation) => good.sign(operation) } }, ending);
    server.addContext('localhost', { cert, key: keyPem });
    const port = await listen(server);
    const offer = { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' } as const;
    assert.equal(await handshake(port, offer), 'ok');
    server.on('tlsClientError', () => {});
    assert.match(await handshake(port, { ...offer, servername: '' }), /HANDSHAKE_FAILURE/);
    await close(server);
  });

  it('offers nothing in TLS 1.2 where its user allows nothing else', async () => {
    assert.equal(
      await refusal({ ciphers: 'AES128-GCM-SHA256:AES256-GCM-SHA384' }),
      'ERR_SSL_NO_SHARED_CIPHER',
    );
  });
});

describe("keyless keys and Node's in one context that is chosen by name", () => {
  const offers = ['ECDHE-RSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES128-GCM-SHA256'];

  async function outcomes(
    make: typeof createServer,
    key: TlsOptions['key'],
    more: { pfx?: Buffer; passphrase?: string } = {},
  ): Promise<string[]> {
    const certs = [certificate('p256').certPem, certificate('rsa').certPem];
    const cert = more.pfx === undefined ? certs : certs[0];
    const context =
      make === createServer
        ? createSecureContext({ cert, key, ...more })
        : nodeTls.createSecureContext({ cert, key, ...more } as nodeTls.SecureContextOptions);
    const server = make({ SNICallback: (_, done) => done(null, context) }, ending);
    server.on('tlsClientError', () => {});
    const port = await listen(server);
    const seen: string[] = [];
    for (const ciphers of offers) seen.push(await handshake(port, { maxVersion: 'TLSv1.2', ciphers }));
    await close(server);
    return seen;
  }

  it('the certificate of the last key is taken, as natively', async () => {
    const [p256, rsa] = [certificate('p256').keyPem, certificate('rsa').keyPem];
    const native = await outcomes(nodeTls.createServer as typeof createServer, [p256, rsa]);
    assert.equal(native.filter((each) => each === 'ok').length, 1);
    assert.deepEqual(await outcomes(createServer, [localKey(p256), rsa]), native);
    assert.deepEqual(await outcomes(createServer, [p256, localKey(rsa)]), native);
    assert.deepEqual(await outcomes(createServer, [localKey(p256), localKey(rsa)]), native);
    const more = { pfx: makePfx(certificate('rsa'), 'secret'), passphrase: 'secret' };
    const ownPfx = await outcomes(nodeTls.createServer as typeof createServer, p256, more);
    assert.deepEqual(await outcomes(createServer, localKey(p256), more), ownPfx);
    const reversed = await outcomes(nodeTls.createServer as typeof createServer, [rsa, p256]);
    assert.deepEqual(await outcomes(createServer, [localKey(rsa), localKey(p256)]), reversed);
  });
});
