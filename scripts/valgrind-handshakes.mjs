/**
 * What scripts/valgrind.mjs lets valgrind watch: handshakes of each kind, some of which go wrong. Small, because
 * everything takes some thirty times as long there.
 *
 * `node scripts/valgrind-handshakes.mjs FOLDER`: the folder holds `rsa` and `p256`, each `.crt` and `.key`, and `ca.crt`.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import native from 'node:tls';
import { connect, createServer, localKey } from '../dist/lib/index.js';

const folder = process.argv[2];
const read = (name) => readFileSync(join(folder, name));
const ca = read('ca.crt');
const KINDS = ['rsa', 'p256'];
const keys = Object.fromEntries(KINDS.map((kind) => [kind, localKey(read(`${kind}.key`))]));

async function listen(kind, options = {}) {
  const server = createServer({ cert: read(`${kind}.crt`), key: keys[kind], ...options }, (socket) => {
    socket.on('error', () => {});
    socket.end('hello');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

const where = (server) => ({ host: '127.0.0.1', port: server.address().port, servername: 'localhost', ca });

/** A connection to its end. */
async function greet(server, options = {}, through = native.connect) {
  const socket = through({ ...where(server), ...options });
  try {
    return Buffer.concat(await socket.toArray()).toString();
  } finally {
    socket.destroy();
    server.close();
  }
}

/** Node 20 has no Promise.withResolvers. */
function resolvers() {
  const made = {};
  made.promise = new Promise((resolve) => {
    made.resolve = resolve;
  });
  return made;
}

const failing = {
  sign: () => Promise.reject(new Error('no signature today')),
};

async function fails(kind, version) {
  const server = await listen(kind, { key: failing });
  const told = once(server, 'tlsClientError');
  await assert.rejects(greet(server, { minVersion: version, maxVersion: version }));
  const [error] = await told;
  assert.equal(error.code, 'ERR_KEYLESS_OPERATION_FAILED');
}

/** The client goes while the operation is pending; the answer comes when nobody waits for it. */
async function aborts(kind, version) {
  const asked = resolvers();
  const gone = resolvers();
  const sign = async (operation) => {
    asked.resolve();
    await gone.promise;
    return keys[kind].sign(operation);
  };
  const server = await listen(kind, { key: { sign } });
  const socket = native.connect({ ...where(server), minVersion: version, maxVersion: version });
  socket.on('error', () => {});
  await asked.promise;
  const told = once(server, 'tlsClientError');
  socket.destroy();
  await told;
  gone.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  server.close();
}

for (const version of ['TLSv1.2', 'TLSv1.3']) {
  const only = { minVersion: version, maxVersion: version };
  for (const kind of KINDS) {
    assert.equal(await greet(await listen(kind), only), 'hello');
    await fails(kind, version);
    await aborts(kind, version);
  }
  const visited = await listen('p256', { requestCert: true, ca });
  const own = { cert: read('rsa.crt'), key: keys.rsa };
  assert.equal(await greet(visited, { ...only, ...own }, connect), 'hello');
}
assert.equal(await greet(await listen('rsa'), { maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' }), 'hello');
const retried = await listen('p256', { ecdhCurve: 'P-384' });
assert.equal(await greet(retried, { ecdhCurve: 'X25519:P-384' }), 'hello');

// The process ends while this one is pending.
const last = await listen('rsa', {
  key: { sign: () => new Promise(() => setImmediate(() => process.exit(0))) },
});
native.connect(where(last)).on('error', () => {});
