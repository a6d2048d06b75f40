/** The socketless Handshake: its states, its operations, and what it carries when it is done. */
import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { afterEach, before, describe, it } from 'node:test';
import tls from 'node:tls';
import { engineStats, Handshake, type HandshakeOptions, localKey } from '../../../lib/index.ts';
import { type Authority, type Issued, makeAuthority } from '../../helpers/certificates.ts';
import { until } from '../../helpers/edge.ts';
import { answerTo, Pair } from '../../helpers/endpoints.ts';

let authority: Authority;
let rsa: Issued;
let p256: Issued;

before(async () => {
  authority = await makeAuthority();
  [rsa, p256] = await Promise.all([authority.issue({ type: 'rsa' }), authority.issue({ type: 'p256' })]);
});

let open: Pair[] = [];

function pair(server: Partial<HandshakeOptions> = {}, client: Partial<HandshakeOptions> = {}): Pair {
  const made = new Pair(
    { cert: rsa.certPem, key: {}, ...server },
    { servername: 'localhost', ca: authority.certPem, ...client },
  );
  open.push(made);
  return made;
}

afterEach(() => {
  for (const made of open) made.close();
  open = [];
  assert.deepEqual([engineStats().handshakes, engineStats().paused], [0, 0], 'nothing is left');
});

/** Both ways, so that post-handshake messages are read too. */
function talk({ server, client }: Pair): void {
  client.write(Buffer.from('ping'));
  server.feed(client.drain());
  assert.equal(String(server.read()), 'ping');
  server.write(Buffer.from('pong'));
  client.feed(server.drain());
  assert.equal(String(client.read()), 'pong');
}

describe('a Handshake goes through its states', () => {
  it('in TLS 1.3', () => {
    const both = pair();
    const [operation, ...more] = both.finish({ server: rsa.keyPem });
    assert.deepEqual(both.states, {
      server: ['WANT_READ', 'WANT_SIGN', 'WANT_WRITE', 'WANT_READ', 'DONE'],
      client: ['WANT_WRITE', 'WANT_READ', 'DONE'],
    });
    assert.equal(more.length, 0);
    assert.deepEqual(
      [operation?.kind, operation?.role, operation?.servername, operation?.peerAddress],
      ['sign', 'server', 'localhost', undefined],
    );
    assert.deepEqual(operation?.certificate, rsa.certDer);
    talk(both);
  });

  it('in TLS 1.2', () => {
    const both = pair({}, { maxVersion: 'TLSv1.2' });
    both.finish({ server: rsa.keyPem });
    assert.deepEqual(both.states, {
      server: ['WANT_READ', 'WANT_SIGN', 'WANT_WRITE', 'WANT_READ', 'DONE'],
      client: ['WANT_WRITE', 'WANT_READ', 'WANT_WRITE', 'WANT_READ', 'DONE'],
    });
    talk(both);
  });

  it('with RSA key exchange', () => {
    const both = pair({ ciphers: 'AES128-GCM-SHA256' }, { maxVersion: 'TLSv1.2' });
    const [operation] = both.finish({ server: rsa.keyPem });
    assert.deepEqual(both.states.server, ['WANT_READ', 'WANT_WRITE', 'WANT_READ', 'WANT_DECRYPT', 'DONE']);
    assert.ok(operation?.kind === 'decrypt');
    assert.deepEqual([operation.ciphertext.length, operation.clientVersion], [256, 0x0303]);
    talk(both);
  });

  it('with a hello retry', () => {
    const both = pair({ ecdhCurve: 'P-384' }, { ecdhCurve: 'X25519:P-384' });
    both.finish({ server: rsa.keyPem });
    assert.deepEqual(both.states.server, [
      'WANT_READ',
      'WANT_WRITE',
      'WANT_READ',
      'WANT_SIGN',
      'WANT_WRITE',
      'WANT_READ',
      'DONE',
    ]);
    talk(both);
  });

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`with an operation on either side, ${maxVersion}`, () => {
      const both = pair(
        { requestCert: true, ca: authority.certPem },
        { maxVersion, cert: p256.certPem, key: {} },
      );
      const operations = both.finish({ server: rsa.keyPem, client: p256.keyPem });
      assert.deepEqual(
        operations.map(({ role, kind }) => [role, kind]),
        [
          ['server', 'sign'],
          ['client', 'sign'],
        ],
      );
      assert.ok(both.states.client.includes('WANT_SIGN'));
      talk(both);
    });
  }

  it('until it has failed, and has an alert for the peer', () => {
    const both = pair({ minVersion: 'TLSv1.3' }, { maxVersion: 'TLSv1.2' });
    both.settle();
    assert.deepEqual([both.server.state, both.client.state], ['FAILED', 'FAILED']);
    assert.equal(both.server.error?.code, 'ERR_KEYLESS_HANDSHAKE');
    assert.match(both.server.error?.message ?? '', /unsupported protocol/);
    assert.match(both.client.error?.message ?? '', /alert protocol version/);
    assert.equal(both.client.operation, undefined);
  });
});

describe('a Handshake', () => {
  it('takes bytes in pieces of any size', () => {
    const { server, client } = pair();
    const bytes = client.drain();
    for (const byte of bytes.subarray(0, -1)) assert.equal(server.feed(Buffer.of(byte)), 'WANT_READ');
    assert.equal(server.feed(bytes.subarray(-1)), 'WANT_SIGN');
    server.supply(answerTo(server.operation, rsa.keyPem));
    for (const byte of server.drain()) client.feed(Buffer.of(byte));
    assert.equal(client.state, 'DONE');
  });

  it('keeps what comes while an operation waits', () => {
    const { server, client } = pair({}, { maxVersion: 'TLSv1.2' });
    const hello = client.drain();
    server.feed(hello);
    assert.equal(server.feed(Buffer.from('15030300020100', 'hex')), 'WANT_SIGN', 'a warning, close_notify');
    assert.equal(server.feed(Buffer.alloc(0)), 'WANT_SIGN');
    const state = server.supply(answerTo(server.operation, rsa.keyPem));
    assert.notEqual(state, 'WANT_SIGN');
    client.feed(server.drain());
    assert.equal(client.state, 'WANT_WRITE');
  });

  it('says what was negotiated', () => {
    const both = pair({ ALPNProtocols: ['h2', 'http/1.1'] }, { ALPNProtocols: ['http/1.1'] });
    assert.equal(both.server.info.cipher, undefined);
    both.finish({ server: rsa.keyPem });
    const { protocol, alpnProtocol, servername } = both.server.info;
    assert.deepEqual([protocol, alpnProtocol, servername], ['TLSv1.3', 'http/1.1', 'localhost']);
    assert.deepEqual(both.client.info, both.server.info);
  });

  it('is with an IP address, which is checked and not sent (RFC 6066 §3)', () => {
    const right = pair({}, { servername: '127.0.0.1' });
    right.finish({ server: rsa.keyPem });
    assert.deepEqual([right.client.state, right.server.info.servername], ['DONE', undefined]);
    const wrong = pair({}, { servername: '127.0.0.2' });
    wrong.finish({ server: rsa.keyPem });
    assert.equal(wrong.client.state, 'FAILED');
  });

  it('is with a host name, also one with its last dot, which is not sent (RFC 6066 §3)', () => {
    const both = pair({}, { servername: 'localhost.' });
    both.finish({ server: rsa.keyPem });
    assert.deepEqual([both.client.state, both.server.info.servername], ['DONE', 'localhost']);
  });

  it('signs with the schemes of its key', () => {
    const both = pair({ key: { schemes: ['rsa_pss_rsae_sha512'] } });
    const [operation] = both.finish({ server: rsa.keyPem });
    assert.equal(operation?.kind === 'sign' && operation.scheme, 'rsa_pss_rsae_sha512');
  });

  it('carries more than a record, and says nothing of half a one', () => {
    const both = pair();
    both.finish({ server: rsa.keyPem });
    const data = Buffer.alloc(100_000, 'abc');
    both.client.write(data);
    const bytes = both.client.drain();
    assert.ok(bytes.length > data.length);
    both.server.feed(bytes.subarray(0, 10));
    assert.equal(both.server.read().length, 0);
    both.server.feed(bytes.subarray(10));
    assert.deepEqual(both.server.read(), data);
    assert.equal(both.server.read().length, 0);
    both.client.write(Buffer.alloc(0));
    assert.equal(both.client.drain().length, 0);
  });

  it('that is done fails when the bytes of the peer are no records, and tells the peer', () => {
    const both = pair();
    both.finish({ server: rsa.keyPem });
    both.client.write(Buffer.from('before'));
    both.server.feed(Buffer.concat([both.client.drain(), Buffer.from('17030300050102030405', 'hex')]));
    assert.equal(String(both.server.read()), 'before');
    assert.equal(both.server.state, 'FAILED');
    assert.equal(both.server.error?.code, 'ERR_KEYLESS_HANDSHAKE');
    both.client.feed(both.server.drain());
    assert.equal(both.client.read().length, 0);
    assert.equal(both.client.state, 'FAILED');
    assert.match(both.client.error?.message ?? '', /alert/);
  });

  it('is understood by node:tls', async () => {
    const server = new Handshake({ role: 'server', cert: p256.certPem, key: {} });
    const key = localKey(p256.keyPem);
    const told = new Promise<string>((resolve, reject) => {
      const transport = new Duplex({
        read() {},
        async write(bytes: Buffer, _encoding, done) {
          if (server.feed(bytes) === 'WANT_SIGN' && server.operation?.kind === 'sign') {
            server.supply(await key.sign(server.operation));
          }
          transport.push(server.drain());
          const data = server.state === 'DONE' ? server.read() : '';
          if (data.length > 0) resolve(String(data));
          done();
        },
      });
      const client = tls.connect({ socket: transport, servername: 'localhost', ca: authority.certPem });
      client.on('error', reject).write('hello');
    });
    assert.equal(await told, 'hello');
    server.close();
  });
});

describe('an operation of a Handshake that nobody answers', () => {
  const limited = { key: { timeoutMs: 20 } };

  it('ends at its deadline: the handshake has failed, and then its signal fires', async () => {
    const { server, client } = pair(limited);
    server.feed(client.drain());
    const { signal, deadline } = server.operation!;
    let seen: string | undefined;
    signal.addEventListener('abort', () => (seen = server.state));
    await until(() => seen !== undefined);
    assert.ok(performance.now() >= deadline);
    assert.equal(seen, 'FAILED');
    assert.equal(server.error?.code, 'ERR_KEYLESS_TIMEOUT');
    assert.equal(signal.reason, server.error);
    assert.throws(() => server.supply(Buffer.alloc(256)), { code: 'ERR_KEYLESS_STATE' });
    assert.equal(client.feed(server.drain()), 'FAILED');
  });

  it('is another matter than those that were answered, failed or closed before', async () => {
    const answered = pair(limited);
    answered.finish({ server: rsa.keyPem });
    const [failed, closed, last] = [pair(limited), pair(limited), pair(limited)];
    for (const { server, client } of [failed, closed, last]) server.feed(client.drain());
    failed.server.fail(new Error('no key'));
    closed.close();
    const { signal } = last.server.operation!;
    await until(() => signal.aborted);
    assert.equal(answered.server.state, 'DONE');
    assert.equal(failed.server.error?.code, 'ERR_KEYLESS_OPERATION_FAILED');
    talk(answered);
  });
});
