/** One failed handshake, one `tlsClientError` with a stable code, one metric; whatever it fails of. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import tls, { type ConnectionOptions, type Server } from 'node:tls';
import { Registry } from 'prom-client';
import * as keylessHttp2 from '../../lib/http2.ts';
import * as keylessHttps from '../../lib/https.ts';
import { connectKeyServers, type KeyServersOptions } from '../../lib/keys/key-servers.ts';
import { handshakeMetrics } from '../../lib/metrics.ts';
import * as keylessTls from '../../lib/tls.ts';
import { type BadKeyServer, type Manner, startBadKeyServer } from '../helpers/bad-key-server.ts';
import { makeAuthority } from '../helpers/certificates.ts';
import { close } from '../helpers/connections.ts';
import { until } from '../helpers/edge.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';

const TIMES = 7;

let setup: KeyServerSetup;
let keyServer: BadKeyServer;

before(async () => {
  setup = await makeKeyServers(['p256', 'rsa']);
  keyServer = await startBadKeyServer(setup);
});
after(() => keyServer.close());

const FACES = {
  tls: (options: object): Server => keylessTls.createServer(options),
  https: (options: object): Server => keylessHttps.createServer(options),
  http2: (options: object): Server => keylessHttp2.createSecureServer(options) as unknown as Server,
};

interface Counted {
  readonly port: number;
  /** Codes of `tlsClientError`. */
  readonly errors: string[];
  readonly server: Server;
  /** By reason, as Prometheus reads it; `full` and `resumed`: those that did not fail. */
  counts(): Promise<Readonly<Record<string, number>>>;
  close(): Promise<void>;
}

interface CountedOptions extends Partial<KeyServersOptions> {
  readonly face?: keyof typeof FACES;
  readonly kind?: 'p256' | 'rsa';
  readonly tls?: tls.TlsOptions;
}

async function counted({
  face = 'tls',
  kind = 'p256',
  tls: more = {},
  ...options
}: CountedOptions): Promise<Counted> {
  const keys = connectKeyServers({ servers: [keyServer.address], ...setup.edgeOptions, ...options });
  await keys.ready();
  const server = FACES[face]({ cert: setup.sites[kind]!.certPem, key: keys, ...more });
  server.on('secureConnection', (socket) => socket.on('error', () => undefined).end());
  const registry = new Registry();
  const metrics = handshakeMetrics(server, registry);
  const errors: string[] = [];
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
    errors.push(error.code ?? 'none');
    socket.destroy();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    errors,
    server,
    async counts() {
      const counts: Record<string, number> = {};
      const text = await registry.metrics();
      for (const [, name, value] of text.matchAll(/^keyless_tls_edge_handshake\w+\{\w+="(\w+)"\} (\d+)$/gm)) {
        if (value !== '0') counts[name!] = Number(value);
      }
      return counts;
    },
    async close() {
      metrics.close();
      assert.equal((await registry.metrics()).trim(), '');
      keys.close();
      await close(server);
    },
  };
}

/** @returns when the connection has closed, however */
async function visit(port: number, options: ConnectionOptions = {}): Promise<void> {
  const socket = tls.connect({
    port,
    host: '127.0.0.1',
    servername: 'localhost',
    ca: setup.authority.certPem,
    ...options,
  });
  socket.on('error', () => undefined).resume();
  await new Promise((resolve) => socket.on('close', resolve));
}

async function raw(port: number, talk: (socket: net.Socket) => void): Promise<void> {
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => undefined).resume();
  await once(socket, 'connect');
  talk(socket);
  await new Promise((resolve) => socket.on('close', resolve));
}

/** Goes away while its operation is pending, by a reset or in order. */
async function abort(port: number, how: 'reset' | 'end'): Promise<void> {
  const { asked } = keyServer;
  const socket = net.connect(port, '127.0.0.1');
  const client = tls.connect({ socket, rejectUnauthorized: false });
  for (const each of [socket, client]) each.on('error', () => undefined);
  await until(() => keyServer.asked > asked);
  if (how === 'reset') socket.resetAndDestroy();
  else socket.destroy();
}

interface Failure {
  readonly reason: string;
  readonly manner?: Manner;
  readonly options?: CountedOptions;
  readonly client?: ConnectionOptions;
  readonly act?: (port: number) => Promise<void>;
}

const FAILURES: Readonly<Record<string, Failure>> = {
  'the key server refuses': { manner: { error: 5 }, reason: 'ERR_KEYLESS_REFUSED' },
  'the key is not there': { manner: { error: 2 }, reason: 'ERR_KEYLESS_KEY_NOT_FOUND' },
  'no answer in time': { manner: 'silent', options: { timeoutMs: 300 }, reason: 'ERR_KEYLESS_TIMEOUT' },
  'a result that is none': { manner: 'empty', reason: 'ERR_KEYLESS_BAD_RESULT' },
  'an ECDSA signature that the client refuses': { manner: 'flipped', reason: 'ERR_KEYLESS_BAD_SIGNATURE' },
  'an RSA signature that does not verify': {
    manner: 'flipped',
    options: { kind: 'rsa' },
    reason: 'ERR_KEYLESS_BAD_SIGNATURE',
  },
  'the handshake takes too long': {
    manner: 'silent',
    options: { tls: { handshakeTimeout: 400 } },
    reason: 'ERR_TLS_HANDSHAKE_TIMEOUT',
  },
  'the client resets while its operation is pending': {
    manner: 'silent',
    act: (port) => abort(port, 'reset'),
    reason: 'ECONNRESET',
  },
  'the client goes while its operation is pending': {
    manner: 'silent',
    act: (port) => abort(port, 'end'),
    reason: 'ECONNRESET',
  },
  'the client says nothing and goes': {
    act: (port) => raw(port, (socket) => socket.end()),
    reason: 'ECONNRESET',
  },
  'no TLS': {
    act: (port) => raw(port, (socket) => socket.write('GET / HTTP/1.1\r\n\r\n')),
    reason: 'ERR_SSL_HTTP_REQUEST',
  },
  'no protocol in common': {
    options: { tls: { minVersion: 'TLSv1.3' } },
    client: { maxVersion: 'TLSv1.2' },
    reason: 'ERR_SSL_UNSUPPORTED_PROTOCOL',
  },
  // Node's clients look at certificates when the handshake is over, and go without an alert.
  'a client that does not trust us': { client: { ca: [] }, reason: 'ECONNRESET' },
};

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`${maxVersion}: a client whose certificate is refused counts by the reason, which Node's event does not tell`, async () => {
    const stranger = await (await makeAuthority('Strangers')).issue({ type: 'p256', usage: 'client' });
    const edge = await counted({ tls: { ca: setup.authority.certPem, requestCert: true, maxVersion } });
    try {
      await visit(edge.port, { cert: stranger.certPem, key: stranger.keyPem });
      await until(() => edge.errors.length === 1);
      assert.deepEqual(edge.errors, ['ECONNRESET']);
      assert.deepEqual(await edge.counts(), { UNABLE_TO_VERIFY_LEAF_SIGNATURE: 1 });
    } finally {
      await edge.close();
    }
  });
}

for (const face of ['tls', 'https', 'http2'] as const) {
  for (const [name, { reason, manner = 'sign', options = {}, client, act }] of Object.entries(FAILURES)) {
    test(`${face}: ${name}: each counts once, with its reason`, async () => {
      keyServer.manner = manner;
      const edge = await counted({ ...options, face });
      try {
        for (let time = 0; time < TIMES; time += 1) await (act ?? ((port) => visit(port, client)))(edge.port);
        await until(() => edge.errors.length >= TIMES);
        assert.deepEqual([...new Set(edge.errors)].length, 1, String(edge.errors));
        const [code] = edge.errors as [string];
        assert.deepEqual([code, edge.errors.length], [reason, TIMES]);
        assert.deepEqual(await edge.counts(), { [code]: TIMES });
        keyServer.manner = 'sign';
        await visit(edge.port);
        assert.deepEqual(await edge.counts(), { [code]: TIMES, full: 1 });
      } finally {
        await edge.close();
      }
    });
  }
}
