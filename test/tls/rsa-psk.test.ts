/**
 * RSA-PSK (RFC 4279 §4) wants an operation and the user's JavaScript in one flight: a server's in one message, a client's, who
 * signs, in one after the other.
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type { ConnectionOptions, TLSSocket, TlsOptions } from 'node:tls';
import tls from 'node:tls';
import { createServer, engineStats } from '../../lib/index.ts';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import { type ConversationOptions, close, converse, listen } from '../helpers/connections.ts';
import { until } from '../helpers/edge.ts';
import { parity, remoteKey, type Side } from '../helpers/parity.ts';

const psk = Buffer.alloc(32, 1);
const RSA_PSK = 'RSA-PSK-AES128-GCM-SHA256';
const COMMON = { ciphers: RSA_PSK, maxVersion: 'TLSv1.2' } as const;

let authority: Authority;
let issued: Issued;
let p256: Issued;

before(async () => {
  authority = await makeAuthority();
  [issued, p256] = await Promise.all([authority.issue({ type: 'rsa' }), authority.issue({ type: 'p256' })]);
});

/** What the callbacks answer, and what they do besides. */
interface Answers {
  readonly ofServer: (identity: string, socket: TLSSocket) => unknown;
  readonly ofClient: (hint: string | null) => unknown;
}

const KNOWN: Answers = { ofServer: () => psk, ofClient: () => ({ psk, identity: 'me' }) };

interface Visit {
  readonly answers?: Partial<Answers>;
  readonly server?: TlsOptions;
  readonly client?: ConnectionOptions;
  readonly onServer?: ConversationOptions['onServer'];
}

/** One conversation; @returns its transcript, and what the callbacks were asked */
async function visit(
  side: Side,
  { answers, server: own, client: theirs, onServer }: Visit,
): Promise<unknown> {
  const { ofServer, ofClient } = { ...KNOWN, ...answers };
  const asked: unknown[] = [];
  const server = side.tls.createServer({
    ...COMMON,
    cert: issued.certPem,
    key: side.key(issued),
    pskIdentityHint: 'who',
    pskCallback: (socket: TLSSocket, identity: string) => {
      asked.push(identity);
      return ofServer(identity, socket);
    },
    ...own,
  } as TlsOptions);
  const port = await listen(server);
  const client = {
    ...COMMON,
    ca: authority.certPem,
    checkServerIdentity: () => undefined,
    pskCallback: (hint: string | null) => {
      asked.push(hint);
      return ofClient(hint);
    },
    ...theirs,
  } as unknown as ConnectionOptions;
  const story = await converse(side, server, port, { client, ...(onServer && { onServer }) });
  await close(server);
  return { story, asked };
}

parity('RSA-PSK at a server', (side) => visit(side, {}), 1);

/** Both sides have an operation. */
function visitWithCertificate(side: Side, answers: Partial<Answers>): Promise<unknown> {
  return visit(side, {
    answers,
    server: { ca: authority.certPem, requestCert: true },
    client: { cert: p256.certPem, key: side.key(p256) },
  });
}

parity('RSA-PSK of a client with a certificate', (side) => visitWithCertificate(side, {}), 2);

parity(
  'RSA-PSK with keys of both kinds, the RSA key is of Node',
  (side) =>
    visit(side, { server: { cert: [p256.certPem, issued.certPem], key: [side.key(p256), issued.keyPem] } }),
  0,
);

const PSK = 'PSK-AES128-GCM-SHA256';

parity(
  'a server that has keys of both kinds, and needs none, says as natively which certificate is its own',
  (side) =>
    visit(side, {
      server: { ciphers: PSK, cert: [issued.certPem, p256.certPem], key: [side.key(issued), side.key(p256)] },
      client: { ciphers: PSK },
      onServer: (socket, log) => log.push(socket.getX509Certificate()?.fingerprint256),
    } as Visit),
  0,
);

/** @returns what is left of it here */
function detached(): Uint8Array {
  const bytes = new Uint8Array(32);
  structuredClone(bytes, { transfer: [bytes.buffer] });
  return bytes;
}

for (const pskCallback of [null, false]) {
  const ciphers = `${RSA_PSK}:AES128-GCM-SHA256`;
  const none = { pskCallback, ciphers } as unknown as TlsOptions;
  parity(`a pskCallback that is ${pskCallback} is none`, (side) =>
    visit(side, { server: none, client: { pskCallback: undefined, ciphers: 'AES128-GCM-SHA256' } }),
  );
}

const REFUSALS: Readonly<Record<string, Partial<Answers>>> = {
  'a server that knows no such identity': { ofServer: () => null },
  'a server with another key': { ofServer: () => Buffer.alloc(32, 2) },
  'a client that knows no key for the hint': { ofClient: () => null },
  'a server that ends the connection meanwhile': {
    ofServer: (_identity, socket) => {
      socket.destroy();
      return psk;
    },
  },
  'an identity that is no text': { ofClient: () => ({ psk, identity: 'm\udc00e' }) },
  "a server's key in a buffer that was handed on": { ofServer: detached },
  "a client's key in a buffer that was handed on": { ofClient: () => ({ psk: detached(), identity: 'me' }) },
};

for (const [name, answers] of Object.entries(REFUSALS)) {
  parity(`RSA-PSK and ${name}`, async (side) => {
    // Under isolate, connections to the key server of the comparison count too.
    const { handshakes } = engineStats();
    const told = await visit(side, { answers });
    await until(() => engineStats().handshakes <= handshakes);
    return told;
  });
}

/** Node counts its elements. */
const OF_TOO_MANY_BYTES = new Uint32Array(500);

/** Node looks at it twice before it takes it. */
function growing(): unknown {
  let looks = 0;
  return {
    psk,
    get identity() {
      looks += 1;
      return looks > 2 ? 'm'.repeat(100_000) : 'me';
    },
  };
}

const TOO_LONG: Readonly<Record<string, Partial<Answers>>> = {
  "a server's key": { ofServer: () => OF_TOO_MANY_BYTES },
  "a client's key": { ofClient: () => ({ psk: OF_TOO_MANY_BYTES, identity: 'me' }) },
  "a client's identity": { ofClient: growing },
};

for (const [name, answers] of Object.entries(TOO_LONG)) {
  parity(`RSA-PSK and ${name} that is longer than OpenSSL has room for`, (side) =>
    visitWithCertificate(side, answers),
  );
}

/** The client's premaster is for the certificate that it has seen, so only a renewed one helps. */
function renew(side: Side, make: Side['tls']['createServer'], key: string): Promise<unknown> {
  const context = side.tls.createSecureContext({ cert: issued.certPem, key: side.key(issued) });
  const ofServer: Answers['ofServer'] = (_identity, socket) => {
    socket.setKeyCert(context);
    return psk;
  };
  const maker = { ...side, tls: { ...side.tls, createServer: make } };
  return visit(maker, { answers: { ofServer }, server: { key } });
}

parity(
  'setKeyCert in a pskCallback under RSA-PSK',
  (side) => renew(side, side.tls.createServer, side.key(issued)),
  1,
);

parity(
  "setKeyCert in a pskCallback under RSA-PSK at a server of Node's own",
  (side) => renew(side, tls.createServer, issued.keyPem),
  1,
);

test('a server whose RSA key does not decrypt does not choose it', async () => {
  const { decrypt: _, ...signs } = remoteKey(issued.keyPem, 'sync');
  const ciphers = `${RSA_PSK}:${PSK}`;
  for (const [offered, chosen] of [
    [ciphers, PSK],
    [RSA_PSK, 'ERR_SSL'],
  ] as const) {
    const server = createServer({
      ...{ cert: issued.certPem, key: signs, ciphers, pskCallback: () => psk },
    } as Parameters<typeof createServer>[0]);
    server.on('tlsClientError', () => {});
    const socket = tls.connect({
      ...{ port: await listen(server), host: '127.0.0.1', ciphers: offered, maxVersion: 'TLSv1.2' },
      ...{ rejectUnauthorized: false, checkServerIdentity: () => undefined },
      pskCallback: () => ({ psk, identity: 'me' }),
    } as unknown as ConnectionOptions);
    const outcome = await new Promise<string>((resolve) => {
      socket.on('secureConnect', () => resolve(socket.getCipher().name));
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
    });
    assert.ok(outcome.startsWith(chosen), outcome);
    socket.destroy();
    await close(server);
  }
});
