/** What a PrivateKey or its user may do wrong: one typed error, an alert for the peer, and the next handshake works. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import nodeTls, { type Server } from 'node:tls';
import {
  connect,
  createServer,
  engineStats,
  KeylessError,
  localKey,
  type PrivateKey,
} from '../../lib/index.ts';
import { answer, BAD_ANSWERS, never, onceBad } from '../helpers/bad-answers.ts';
import { type Authority, type Issued, type KeyKind, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';

const issued = new Map<KeyKind, Issued>();
let authority: Authority;

before(async () => {
  authority = await makeAuthority();
  for (const type of ['rsa', 'p256', 'ed25519'] as const) issued.set(type, await authority.issue({ type }));
});

after(() => assert.deepEqual(engineStats().paused, 0));

function certificate(type: KeyKind): Issued {
  return issued.get(type) as Issued;
}

interface Failure {
  readonly serverError: KeylessError;
  readonly clientError: NodeJS.ErrnoException;
}

/** One handshake that must fail, as both sides see it. */
async function failure(server: Server, options: nodeTls.ConnectionOptions = {}): Promise<Failure> {
  const port = (server.address() as { port: number }).port;
  const client = nodeTls.connect({
    port,
    host: '127.0.0.1',
    servername: 'localhost',
    ca: authority.certPem,
    ...options,
  });
  const [[serverError], [clientError]] = await Promise.all([
    once(server, 'tlsClientError'),
    once(client, 'error'),
  ]);
  return { serverError, clientError };
}

async function works(server: Server): Promise<void> {
  const port = (server.address() as { port: number }).port;
  const client = nodeTls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca: authority.certPem });
  client.resume();
  await once(client, 'close');
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  describe(`a PrivateKey in ${version} that`, () => {
    for (const { what, type, sign, code, more } of BAD_ANSWERS) {
      it(`${what} (${type}): ${code}`, async () => {
        const server = createServer(
          {
            cert: certificate(type).certPem,
            key: onceBad(certificate(type).keyPem, sign, more),
            maxVersion: version,
          },
          (socket) => socket.end('well'),
        );
        await listen(server);
        const { serverError, clientError } = await failure(server);
        assert.ok(serverError instanceof KeylessError, String(serverError));
        assert.equal(serverError.code, code);
        assert.match(String(clientError.code), /ERR_SSL|ECONNRESET/);
        await works(server);
        await close(server);
      });
    }
  });
}

describe('a PrivateKey that fails', () => {
  it('sends the peer an alert', async () => {
    const server = createServer({
      cert: certificate('p256').certPem,
      key: onceBad(certificate('p256').keyPem, () => answer(null)),
    });
    await listen(server);
    const { clientError } = await failure(server);
    assert.equal(clientError.code, 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR');
    await close(server);
  });

  it('keeps what was thrown as the cause', async () => {
    const cause = new Error('the HSM is on fire');
    const server = createServer({
      cert: certificate('p256').certPem,
      key: onceBad(certificate('p256').keyPem, () => {
        throw cause;
      }),
    });
    await listen(server);
    const { serverError } = await failure(server);
    assert.equal(serverError.cause, cause);
    assert.match(serverError.message, /the HSM is on fire/);
    await close(server);
  });

  it('surfaces at a client as its error, also with a write waiting', async () => {
    for (const writes of [false, true]) {
      const server = nodeTls.createServer({
        cert: certificate('rsa').certPem,
        key: certificate('rsa').keyPem,
        requestCert: true,
        ca: authority.certPem,
      });
      const port = await listen(server);
      const key: PrivateKey = { sign: () => answer(null) };
      const client = connect({
        port,
        host: '127.0.0.1',
        servername: 'localhost',
        ca: authority.certPem,
        cert: certificate('p256').certPem,
        key,
      });
      if (writes) client.write('early');
      const [error] = await once(client, 'error');
      assert.equal(error.code, 'ERR_KEYLESS_BAD_RESULT');
      await close(server);
    }
  });

  it('does not tell the peer of an RSA key exchange: the handshake ends as with a wrong premaster', async () => {
    const bad: PrivateKey[] = [
      {
        sign: () => never,
        decrypt: () => {
          throw new Error('bad padding');
        },
      },
      { sign: () => never, decrypt: () => Buffer.alloc(48) },
      { sign: () => never, decrypt: () => Buffer.alloc(256) },
      { sign: () => never, decrypt: () => answer('nonsense') },
    ];
    const seen = new Set<string>();
    for (const key of bad) {
      const server = createServer({ cert: certificate('rsa').certPem, key });
      await listen(server);
      const { serverError, clientError } = await failure(server, {
        maxVersion: 'TLSv1.2',
        ciphers: 'AES128-GCM-SHA256',
      });
      seen.add(String(clientError.code));
      assert.ok(serverError);
      await close(server);
    }
    assert.equal(seen.size, 1, [...seen].join());
    assert.match([...seen].join(), /BAD_RECORD_MAC/);
  });
});

describe('an answer', () => {
  it('counts once: a second one is ignored', async () => {
    const good = localKey(certificate('p256').keyPem, { sync: true });
    const key: PrivateKey = {
      sign(operation) {
        const signature = good.sign(operation) as Uint8Array;
        return {
          // biome-ignore lint/suspicious/noThenProperty: a thenable that answers twice is what is tested
          then(resolve: (value: Uint8Array) => void) {
            resolve(signature);
            resolve(Buffer.alloc(3));
          },
        } as unknown as Promise<Uint8Array>;
      },
    };
    const server = createServer({ cert: certificate('p256').certPem, key }, (socket) => socket.end());
    await listen(server);
    await works(server);
    await close(server);
  });

  it('that comes after the socket has died is ignored, and the operation was told', async () => {
    let resolve = (_: Uint8Array) => {};
    let signal: AbortSignal | undefined;
    let begin = () => {};
    const started = new Promise<void>((done) => {
      begin = done;
    });
    const key: PrivateKey = {
      sign(operation) {
        signal = operation.signal;
        begin();
        return new Promise((settle) => {
          resolve = settle;
        });
      },
    };
    const server = createServer({ cert: certificate('p256').certPem, key });
    const port = await listen(server);
    const client = nodeTls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    client.on('error', () => {});
    await started;
    client.destroy();
    await once(server, 'tlsClientError');
    await new Promise((done) => setImmediate(done));
    assert.equal(signal?.aborted, true);
    assert.equal(signal?.reason.code, 'ERR_KEYLESS_ABORTED');
    resolve(Buffer.alloc(70));
    await new Promise((done) => setImmediate(done));
    assert.equal(engineStats().paused, 0);
    await close(server);
  });
});
