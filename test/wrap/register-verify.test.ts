/** Who finds a bad signature of a key server: an app under register, by `verify` of its configuration, or its client. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import https from 'node:https';
import { after, before, test } from 'node:test';
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

/** @returns why a client's handshake failed */
async function refusal(kind: string, verify: string | undefined): Promise<string> {
  const names = { servername: 'localhost', cert: 'edge.crt', key: 'edge.key', ca: 'ca.crt' };
  const config = { version: 1, servers: [keyServer.address], ...names, ...(verify && { verify }) };
  writeFileSync(files.path('keyless-tls.json'), JSON.stringify(config));
  const app = fork(APP, { cwd: files.folder, execArgv: ['--import', REGISTER] });
  try {
    const { certPem } = setup.sites[kind]!;
    app.send({ certPem, keyPem: makeStub(new X509Certificate(certPem)) });
    const [{ port }] = (await once(app, 'message')) as [{ port: number }];
    const request = https.get({ port, host: '127.0.0.1', rejectUnauthorized: false, agent: false });
    const [error] = (await once(request, 'error')) as [Error];
    return error.message;
  } finally {
    app.kill();
  }
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
    assert.equal(ALERT.test(await refusal(kind, verify)), byApp);
  });
}
