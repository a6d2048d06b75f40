/** What a client's PrivateKey may do wrong: one typed error, an alert for the server, and the next handshake works. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import nodeTls, { type SecureVersion, type Server, type TLSSocket } from 'node:tls';
import * as keylessHttps from '../../lib/https.ts';
import { connect, engineStats, KeylessError, type PrivateKey } from '../../lib/index.ts';
import { BAD_ANSWERS, onceBad } from '../helpers/bad-answers.ts';
import { type Authority, type Issued, type KeyKind, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';
import { gone } from '../helpers/visits.ts';

const issued = new Map<KeyKind, Issued>();
let authority: Authority;

before(async () => {
  authority = await makeAuthority();
  for (const type of ['rsa', 'p256', 'ed25519'] as const) issued.set(type, await authority.issue({ type }));
});

after(() => assert.deepEqual([engineStats().handshakes, engineStats().paused], [0, 0]));

function certificate(type: KeyKind): Issued {
  return issued.get(type) as Issued;
}

let server: Server;
let port: number;

/** Node's own, which asks for a certificate and takes none but a good one. */
beforeEach(async () => {
  const { certPem, keyPem } = certificate('rsa');
  const options = { cert: certPem, key: keyPem, ca: authority.certPem, requestCert: true };
  server = nodeTls.createServer(options, (socket) => socket.on('error', () => {}).end('well'));
  port = await listen(server);
});

afterEach(() => close(server));

function client(type: KeyKind, key: PrivateKey, maxVersion: SecureVersion = 'TLSv1.3'): TLSSocket {
  const cert = certificate(type).certPem;
  return connect({
    port,
    host: '127.0.0.1',
    servername: 'localhost',
    ca: authority.certPem,
    cert,
    key,
    maxVersion,
  });
}

interface Failure {
  readonly clientErrors: unknown[];
  readonly serverCode: string;
}

/** One handshake that must fail, as both sides see it when it is over. */
async function failure(socket: TLSSocket): Promise<Failure> {
  const clientErrors: unknown[] = [];
  socket.on('error', (error) => clientErrors.push(error)).resume();
  const [[serverError]] = await Promise.all([
    once(server, 'tlsClientError'),
    new Promise((resolve) => socket.on('close', resolve)),
  ]);
  return { clientErrors, serverCode: String(serverError.code) };
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  describe(`a client's PrivateKey in ${version} that`, () => {
    for (const { what, type, sign, code, more } of BAD_ANSWERS) {
      const verified = more?.verify === 'always' || type === 'rsa';
      // A signature that is not looked at here is refused there, in words that differ with OpenSSL.
      const refusedThere = code === 'ERR_KEYLESS_BAD_SIGNATURE' && !verified;
      it(`${what} (${type}${more?.verify ? ', verified' : ''}): ${code}`, async () => {
        const key = onceBad(certificate(type).keyPem, sign, more);
        const { clientErrors, serverCode } = await failure(client(type, key, version));
        const [error] = clientErrors;
        assert.equal(clientErrors.length, 1);
        assert.ok(error instanceof KeylessError, String(error));
        assert.equal(error.code, code);
        assert.match(serverCode, refusedThere ? /SIGNATURE/ : /ALERT_INTERNAL_ERROR/);
        assert.deepEqual(await gone(client(type, key, version)), ['end'], 'the next one works');
      });
    }
  });
}

/** A key whose answer the test gives, when it likes. */
interface Held {
  readonly key: PrivateKey;
  readonly asked: Promise<AbortSignal>;
  readonly resolve: (signature: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

function held(): Held {
  let ask = (_: AbortSignal) => {};
  const asked = new Promise<AbortSignal>((resolve) => {
    ask = resolve;
  });
  let answer: Pick<Held, 'resolve' | 'reject'>;
  const answered = new Promise<Uint8Array>((resolve, reject) => {
    answer = { resolve, reject };
  });
  const sign = (operation: { signal: AbortSignal }) => {
    ask(operation.signal);
    return answered;
  };
  return { key: { sign }, asked, ...answer! };
}

/** Ways of a connection to go while its client's operation is pending, and what the client then tells. */
const DEATHS: Readonly<
  Record<string, readonly [(socket: TLSSocket, peer: Socket) => unknown, ...unknown[]]>
> = {
  'the client was destroyed': [(socket) => socket.destroy()],
  'the client was destroyed with an error': [(socket) => socket.destroy(new Error('enough')), 'enough'],
  'the client was ended': [(socket) => socket.end(), 'end', 'ECONNRESET'],
  'the server went': [(_socket, peer) => peer.destroy(), 'end', 'ECONNRESET'],
  'the server reset the connection': [(_socket, peer) => peer.resetAndDestroy(), 'ECONNRESET'],
};

describe("an answer of a client's PrivateKey", () => {
  for (const [what, [kill, ...story]] of Object.entries(DEATHS)) {
    for (const kind of ['resolve', 'reject'] as const) {
      it(`that comes after ${what} is ignored (${kind}s)`, async () => {
        const accepted = once(server, 'connection') as Promise<[Socket]>;
        const { key, asked, resolve, reject } = held();
        const socket = client('p256', key);
        const [[peer], signal] = await Promise.all([accepted, asked]);
        const failed = once(server, 'tlsClientError');
        const log = gone(socket);
        kill(socket, peer);
        assert.deepEqual(await log, story);
        await failed;
        assert.equal(signal.aborted, true);
        assert.equal(signal.reason.code, 'ERR_KEYLESS_ABORTED');
        if (kind === 'resolve') resolve(Buffer.alloc(70));
        else reject(new Error('too late'));
        await new Promise((done) => setImmediate(done));
        assert.equal(engineStats().paused, 0);
      });
    }
  }
});

describe("a client's PrivateKey that fails", () => {
  it('is the error of the https request, with what was thrown as its cause', async () => {
    const cause = new Error('the HSM is on fire');
    const key = onceBad(certificate('p256').keyPem, () => Promise.reject(cause));
    const target = {
      port,
      host: '127.0.0.1',
      servername: 'localhost',
      ca: authority.certPem,
      agent: false,
    } as const;
    const request = keylessHttps.get({ ...target, cert: certificate('p256').certPem, key });
    const [[error]] = await Promise.all([once(request, 'error'), once(server, 'tlsClientError')]);
    assert.ok(error instanceof KeylessError);
    assert.equal(error.code, 'ERR_KEYLESS_OPERATION_FAILED');
    assert.equal(error.cause, cause);
  });
});
