/** Who finds a bad signature of a key server: an app under register, by `verify` of its configuration, or its client. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { makeStub } from '../../lib/wrap/stub.ts';
import { type BadKeyServer, startBadKeyServer } from '../helpers/bad-key-server.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { type ServeFiles, serveFiles } from '../helpers/serve-process.ts';

const APP = fileURLToPath(new URL('../helpers/isolated-app.js', import.meta.url));
const REGISTER = new URL('../../lib/wrap/register.js', import.meta.url).href;

let setup: KeyServerSetup;
let files: ServeFiles;
let keyServer: BadKeyServer;
before(async () => {
  setup = await makeKeyServers(['p256', 'rsa']);
  files = serveFiles(setup);
  writeFileSync(files.path('edge.crt'), setup.edge.certPem);
  writeFileSync(files.path('edge.key'), setup.edge.keyPem, { mode: 0o600 });
  keyServer = await startBadKeyServer(setup);
  keyServer.manner = 'flipped';
});
after(async () => {
  await keyServer.close();
  files.remove();
});

/** @param visitAll calls it for each client @returns what that returns */
async function served<T>(
  kind: string,
  verify: string | undefined,
  servers: readonly BadKeyServer[],
  visitAll: (port: number) => Promise<T>,
): Promise<T> {
  const names = { servername: 'localhost', cert: 'edge.crt', key: 'edge.key', ca: 'ca.crt' };
  const addresses = servers.map(({ address }) => address);
  const config = { version: 1, servers: addresses, ...names, ...(verify && { verify }) };
  writeFileSync(files.path('keyless-tls.json'), JSON.stringify(config));
  const app = fork(APP, { cwd: files.folder, execArgv: ['--import', REGISTER] });
  try {
    const { certPem } = setup.sites[kind]!;
    app.send({ certPem, keyPem: makeStub(new X509Certificate(certPem)) });
    const [{ port }] = (await once(app, 'message')) as [{ port: number }];
    return await visitAll(port);
  } finally {
    app.kill();
  }
}

/** @returns how the handshakes of clients, one after the other, ended: `ok`, or why one failed */
function visits(kind: string, count: number, verify?: string | undefined): Promise<string[]> {
  return served(kind, verify, [keyServer], async (port) => {
    const outcomes: string[] = [];
    while (outcomes.length < count) outcomes.push(await visit(port));
    return outcomes;
  });
}

/** Says nothing before the handshake is over: otherwise Node's client, which has to write then, sends no alert. */
function visit(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      socket.end('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    });
    socket.on('data', () => resolve('ok'));
    socket.on('error', ({ message }) => resolve(message));
  });
}

const ALERT = /alert internal error/i;
const TABLE: readonly [verify: string | undefined, kind: string, byApp: boolean][] = [
  ['always', 'p256', true],
  ['always', 'rsa', true],
  ['rsa', 'p256', false],
  [undefined, 'p256', false],
  [undefined, 'rsa', true],
  ['never', 'rsa', false],
];

for (const [verify, kind, byApp] of TABLE) {
  test(`with "verify" ${verify ?? 'left out'}, a bad signature of ${kind} is found by ${byApp ? 'the app' : 'its client'}`, async () => {
    const [refusal] = await visits(kind, 1, verify);
    assert.equal(ALERT.test(refusal!), byApp);
  });
}

test('a bad signature of RSA is asked for at another key server, as without register', async () => {
  const good = await startBadKeyServer(setup);
  try {
    const { asked } = keyServer;
    // Until the one that signs badly has been asked: whichever is connected first, or seems faster, is asked alone for a while.
    const outcomes = new Set<string>();
    await served('rsa', undefined, [keyServer, good], async (port) => {
      while (keyServer.asked === asked) {
        const crowd = await Promise.all(Array.from({ length: 30 }, () => visit(port)));
        for (const outcome of crowd) outcomes.add(outcome);
      }
    });
    assert.deepEqual([...outcomes], ['ok']);
  } finally {
    await good.close();
  }
});

test('once a client has refused a bad signature of P-256, the app finds the next one', async () => {
  const outcomes = await visits('p256', 3);
  assert.ok(!ALERT.test(outcomes[0]!));
  assert.match(outcomes[2]!, ALERT);
});
