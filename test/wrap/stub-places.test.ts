/** A stub wherever Node takes `key`, of servers and of clients. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { makeStub } from '../../lib/wrap/stub.ts';
import { makeKeyServers } from '../helpers/key-servers.ts';
import { type ServeFiles, ServeProcess, serveFiles } from '../helpers/serve-process.ts';

const REGISTER = new URL('../../lib/wrap/register.js', import.meta.url);

let files: ServeFiles;
let serve: ServeProcess;
let env: NodeJS.ProcessEnv;

before(async () => {
  const setup = await makeKeyServers(['p256', 'rsa']);
  files = serveFiles(setup);
  serve = new ServeProcess([...files.args, '--allow-client']);
  const { p256, rsa } = setup.sites;
  writeFileSync(files.path('edge.crt'), setup.edge.certPem);
  writeFileSync(files.path('edge.key'), setup.edge.keyPem, { mode: 0o600 });
  writeFileSync(files.path('app.mjs'), APP);
  env = {
    ...process.env,
    KEYLESS_TLS_SERVERS: `127.0.0.1:${await serve.port()}`,
    KEYLESS_TLS_SERVERNAME: 'localhost',
    KEYLESS_TLS_CERT: 'edge.crt',
    KEYLESS_TLS_KEY: 'edge.key',
    KEYLESS_TLS_CA: 'ca.crt',
    SITE: p256!.certPem,
    SITE_STUB: makeStub(new X509Certificate(p256!.certPem)),
    NATIVE: rsa!.certPem,
    NATIVE_KEY: rsa!.keyPem,
  };
});
after(async () => {
  serve.child.kill('SIGTERM');
  await serve.ended;
  files.remove();
});

/** Prints whose certificate the other end has seen: the stub's, or another. */
const APP = `
import tls from 'node:tls';
import https from 'node:https';
import http2 from 'node:http2';
import { once } from 'node:events';
import { X509Certificate } from 'node:crypto';
const { SITE: cert, SITE_STUB: stub, NATIVE, NATIVE_KEY } = process.env;
const native = { cert: NATIVE, key: NATIVE_KEY };
const told = (socket) =>
  socket.getPeerX509Certificate()?.fingerprint256 === new X509Certificate(cert).fingerprint256 ? 'stub' : 'another';
const client = { host: '127.0.0.1', rejectUnauthorized: false };
async function seenByClient(server, options = {}) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = tls.connect({ ...client, port: server.address().port, ...options });
  await once(socket, 'secureConnect');
  const seen = told(socket);
  socket.destroy();
  server.close();
  return seen;
}
async function seenByServer(visit) {
  const server = https.createServer({ ...native, ALPNProtocols: ['h2', 'http/1.1'], requestCert: true, rejectUnauthorized: false });
  server.on('request', (request, response) => response.end(told(request.socket)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const got = once(server, 'secureConnection');
  visit({ ...client, port: server.address().port });
  const [socket] = await got;
  const seen = told(socket);
  server.close();
  server.closeAllConnections();
  return seen;
}
const servers = {
  string: () => tls.createServer({ cert, key: stub }),
  buffer: () => https.createServer({ cert: Buffer.from(cert), key: Buffer.from(stub) }),
  view: () => {
    const bytes = Buffer.from('x' + stub);
    return tls.createServer({ cert, key: new DataView(bytes.buffer, bytes.byteOffset + 1, stub.length) });
  },
  array: () => tls.createServer({ cert: [cert], key: [stub] }),
  pem: () => tls.createServer({ cert, key: [{ pem: stub }] }),
  passphrase: () => tls.createServer({ cert, key: [{ pem: Buffer.from(stub), passphrase: 'ignored' }], passphrase: 'too' }),
  http2: () => http2.createSecureServer({ cert, key: stub }),
  setSecureContext: () => {
    const server = tls.createServer(native);
    server.setSecureContext({ cert, key: stub });
    return server;
  },
  secureContext: () => tls.createServer({ SNICallback: (_, done) => done(null, tls.createSecureContext({ cert, key: stub })) }),
  addContext: () => {
    const server = tls.createServer(native);
    server.addContext('stub.test', { cert, key: stub });
    return server;
  },
};
const ignore = (emitter) => emitter.on('error', () => undefined);
const clients = {
  connect: (to) => ignore(tls.connect({ ...to, cert, key: stub })),
  agent: (to) => ignore(https.get({ ...to, agent: new https.Agent({ cert, key: [{ pem: stub }] }) })),
  request: (to) => ignore(https.get({ ...to, cert, key: Buffer.from(stub) })),
  session: ({ port, ...to }) => ignore(http2.connect('https://127.0.0.1:' + port, { ...to, cert, key: stub })),
};
const seen = {};
for (const [name, make] of Object.entries(servers)) seen[name] = await seenByClient(make(), { servername: 'stub.test' });
seen.otherName = await seenByClient(servers.addContext(), { servername: 'native.test' });
for (const [name, visit] of Object.entries(clients)) seen[name] = await seenByServer(visit);
console.log(JSON.stringify(seen));
process.exit();
`;

test('a stub works in every form and place of a key, for servers and for clients', () => {
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ['--import', REGISTER.href, files.path('app.mjs')],
    { cwd: files.folder, env, encoding: 'utf8', timeout: 120_000 },
  );
  assert.equal(status, 0, stderr);
  const { otherName, ...others } = JSON.parse(stdout) as Record<string, string>;
  assert.equal(otherName, 'another');
  assert.equal(Object.keys(others).length, 14);
  assert.deepEqual(new Set(Object.values(others)), new Set(['stub']), stdout);
});
