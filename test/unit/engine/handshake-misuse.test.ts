/** The socketless Handshake, called at the wrong time or with the wrong things: an error with a code, and it still works. */
import assert from 'node:assert/strict';
import { constants } from 'node:buffer';
import { afterEach, before, describe, it } from 'node:test';
import { engineStats, Handshake, type HandshakeOptions, KeylessError } from '../../../lib/index.ts';
import { type Authority, type Issued, makeAuthority } from '../../helpers/certificates.ts';
import { answerTo, Pair } from '../../helpers/endpoints.ts';

let authority: Authority;
let rsa: Issued;
let p256: Issued;

before(async () => {
  authority = await makeAuthority();
  [rsa, p256] = await Promise.all([authority.issue({ type: 'rsa' }), authority.issue({ type: 'p256' })]);
});

let open: Pair[] = [];

function pair(issued: Issued, server: Partial<HandshakeOptions> = {}, client: object = {}): Pair {
  const made = new Pair(
    { cert: issued.certPem, key: {}, ...server },
    { servername: 'localhost', ca: authority.certPem, ...client },
  );
  open.push(made);
  return made;
}

/** A pair whose server waits for its signature. */
function waiting(issued: Issued, server: Partial<HandshakeOptions> = {}): Pair {
  const both = pair(issued, server);
  both.settle();
  assert.equal(both.server.state, 'WANT_SIGN');
  return both;
}

afterEach(() => {
  for (const made of open) made.close();
  open = [];
  assert.deepEqual([engineStats().handshakes, engineStats().paused], [0, 0], 'nothing is left');
});

const STATE = { name: 'KeylessError', code: 'ERR_KEYLESS_STATE' };
const BAD_RESULT = { name: 'KeylessError', code: 'ERR_KEYLESS_BAD_RESULT' };
const BAD_SIGNATURE = { name: 'KeylessError', code: 'ERR_KEYLESS_BAD_SIGNATURE' };
const INVALID = { name: 'KeylessError', code: 'ERR_KEYLESS_INVALID_ARGUMENT' };

const NOT_BYTES = ['text', undefined, null, 5, {}, new ArrayBuffer(256), new DataView(new ArrayBuffer(256))];
const bytes = (value: unknown) => value as Uint8Array;

describe('a Handshake in which no operation waits', () => {
  it('takes no answer and no failure, whatever its state', () => {
    const both = pair(rsa);
    const refuses = (handshake: Handshake) => {
      const { state } = handshake;
      assert.throws(() => handshake.supply(Buffer.alloc(256)), STATE, state);
      assert.throws(() => handshake.fail(new Error('no')), STATE, state);
      assert.equal(handshake.state, state);
    };
    for (const handshake of [both.server, both.client]) refuses(handshake);
    both.finish({ server: rsa.keyPem });
    for (const handshake of [both.server, both.client]) refuses(handshake);
    const failed = new Handshake({ role: 'server', cert: rsa.certPem, key: {} });
    assert.equal(failed.feed(Buffer.from('GET / HTTP/1.1\r\n\r\n')), 'FAILED');
    refuses(failed);
    failed.close();
  });

  it('takes an answer once, and a failure once', () => {
    const { server } = waiting(rsa);
    const signature = answerTo(server.operation, rsa.keyPem);
    server.supply(signature);
    assert.throws(() => server.supply(signature), STATE);
    assert.throws(() => server.fail(new Error('late')), STATE);
    const other = waiting(rsa).server;
    assert.equal(other.fail(new Error('no')), 'FAILED');
    assert.throws(() => other.fail(new Error('again')), STATE);
    assert.throws(() => other.supply(signature), STATE);
    assert.match(String(other.error), /no$/);
  });
});

describe('a wrong answer', () => {
  for (const value of NOT_BYTES) {
    it(`of ${Object.prototype.toString.call(value)} is refused, and the right one is taken afterwards`, () => {
      const both = waiting(rsa);
      assert.throws(() => both.server.supply(bytes(value)), BAD_RESULT);
      assert.equal(both.server.state, 'WANT_SIGN');
      both.finish({ server: rsa.keyPem });
      assert.deepEqual([both.server.state, both.client.state], ['DONE', 'DONE']);
    });
  }

  it('of the wrong size is refused', () => {
    for (const size of [0, 1, 255, 257, 65_536]) {
      assert.throws(() => waiting(rsa).server.supply(Buffer.alloc(size)), BAD_RESULT, `${size} bytes`);
    }
    for (const size of [0, 73, 65_536]) {
      assert.throws(() => waiting(p256).server.supply(Buffer.alloc(size, 0x30)), BAD_RESULT, `${size} bytes`);
    }
    const both = pair(rsa, { ciphers: 'AES128-GCM-SHA256' }, { maxVersion: 'TLSv1.2' });
    both.settle();
    assert.equal(both.server.state, 'WANT_DECRYPT');
    for (const size of [0, 255, 257]) {
      assert.throws(() => both.server.supply(Buffer.alloc(size)), BAD_RESULT, `${size} bytes`);
    }
    both.finish({ server: rsa.keyPem });
    assert.equal(both.client.state, 'DONE');
  });

  it('is verified as the key says: RSA by default, everything, nothing', () => {
    const signedBy = (both: Pair) => answerTo(both.server.operation, authority.keyPem);
    const rsaPair = waiting(rsa);
    assert.throws(() => rsaPair.server.supply(Buffer.alloc(256, 1)), BAD_SIGNATURE);
    const checked = waiting(p256, { key: { verify: 'always' } });
    assert.throws(() => checked.server.supply(signedBy(checked)), BAD_SIGNATURE);
    assert.equal(checked.server.state, 'WANT_SIGN');
    const unchecked = waiting(p256);
    unchecked.server.supply(signedBy(unchecked));
    unchecked.settle();
    assert.equal(unchecked.client.state, 'FAILED', 'it is the peer who finds out');
    const never = waiting(rsa, { key: { verify: 'never' } });
    never.server.supply(Buffer.alloc(256, 1));
    never.settle();
    assert.equal(never.client.state, 'FAILED');
  });
});

describe('a failure of the operation', () => {
  it('becomes the error of the handshake, and an alert for the peer', () => {
    const both = waiting(rsa);
    const cause = new Error('the HSM is on fire');
    both.server.fail(cause);
    assert.equal(both.server.error?.code, 'ERR_KEYLESS_OPERATION_FAILED');
    assert.equal(both.server.error?.cause, cause);
    assert.match(both.server.error?.message ?? '', /the HSM is on fire/);
    assert.equal(both.server.operation, undefined);
    both.settle();
    assert.match(both.client.error?.message ?? '', /alert internal error/);
  });

  it('may be anything, and a KeylessError stays itself', () => {
    for (const thrown of [undefined, null, 'text', {}]) {
      const { server } = waiting(p256);
      assert.equal(server.fail(thrown as Error), 'FAILED');
      assert.equal(server.error?.code, 'ERR_KEYLESS_OPERATION_FAILED');
    }
    const { server } = waiting(p256);
    const timeout = new KeylessError('ERR_KEYLESS_TIMEOUT', 'too slow');
    server.fail(timeout);
    assert.equal(server.error, timeout);
  });

  it('of an RSA key exchange shows the peer no more than a wrong premaster does', () => {
    const alerts = [
      (server: Handshake) => server.fail(new Error('bad padding')),
      (server: Handshake) => server.supply(Buffer.alloc(256, 7)),
    ].map((answer) => {
      const both = pair(rsa, { ciphers: 'AES128-GCM-SHA256' }, { maxVersion: 'TLSv1.2' });
      both.settle();
      answer(both.server);
      both.settle();
      assert.equal(both.server.state, 'FAILED');
      return both.client.error?.message;
    });
    assert.match(alerts[0] ?? '', /bad record mac/);
    assert.equal(alerts[1], alerts[0]);
  });
});

describe('a Handshake that is not done', () => {
  it('neither reads nor writes', () => {
    const { server, client } = waiting(rsa);
    for (const handshake of [server, client]) {
      assert.throws(() => handshake.read(), STATE);
      assert.throws(() => handshake.write(Buffer.from('early')), STATE);
    }
  });

  it('takes nothing but bytes, also when it is', () => {
    const both = pair(rsa);
    for (const value of [...NOT_BYTES, new Float64Array(4)]) {
      assert.throws(() => both.server.feed(bytes(value)), INVALID);
    }
    both.finish({ server: rsa.keyPem });
    for (const value of NOT_BYTES) assert.throws(() => both.client.write(bytes(value)), INVALID);
    assert.equal(both.server.state, 'DONE');
  });
});

describe('a Handshake that is closed', () => {
  it('refuses every call but a second close, and has told its operation', () => {
    const { server, client } = waiting(rsa);
    const { signal } = server.operation!;
    assert.equal(signal.aborted, false);
    const handshakes = engineStats().handshakes;
    server.close();
    server.close();
    assert.equal(engineStats().handshakes, handshakes - 1);
    assert.equal((signal.reason as KeylessError).code, 'ERR_KEYLESS_ABORTED');
    assert.equal(server.operation, undefined);
    const calls = [
      () => server.feed(Buffer.alloc(1)),
      () => server.drain(),
      () => server.supply(Buffer.alloc(256)),
      () => server.fail(new Error('no')),
      () => server.read(),
      () => server.write(Buffer.alloc(1)),
      () => server.info,
    ];
    for (const call of calls) assert.throws(call, STATE, String(call));
    assert.equal(client.state, 'WANT_READ');
  });
});

describe('more bytes than OpenSSL keeps', () => {
  // Nothing of it is touched, and so it takes no memory.
  const many = (size: number) => Buffer.alloc(Math.min(size, constants.MAX_LENGTH));
  const refused = { name: 'KeylessError', code: 'ERR_KEYLESS_HANDSHAKE' };

  it('are not taken, and that is said', () => {
    const { server, client } = waiting(p256);
    for (const size of [1.7 * 2 ** 30, 2 ** 31 + 10, 2 ** 32 + 5])
      assert.throws(() => client.feed(many(size)), refused);
    server.supply(answerTo(server.operation, p256.keyPem));
    client.feed(server.drain());
    assert.equal(client.state, 'DONE');
  });

  it('are not written', () => {
    const both = pair(p256);
    both.finish({ server: p256.keyPem });
    for (const size of [2 ** 31 + 10, 2 ** 32 + 5])
      assert.throws(() => both.client.write(many(size)), { ...refused, message: /bad length/ });
    both.client.write(Buffer.from('ping'));
    both.settle();
    assert.equal(String(both.server.read()), 'ping');
  });
});
