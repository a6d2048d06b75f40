/** `--backend-ca`, `--backend-cert` and `--backend-key`: looked at when the proxy starts; a stub for the key. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import https from 'node:https';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { makeStub } from '../../lib/wrap/stub.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { Program, runCommand } from '../helpers/programs.ts';
import { fingerprint, HostsFolder, ProxyProcess, portOf } from '../helpers/proxying.ts';
import { type ServeFiles, ServeProcess, serveFiles } from '../helpers/serve-process.ts';

/** A pipe that is read again is waited for without end. */
const SOON = { timeout: 60_000 };

let folder: HostsFolder;
let setup: KeyServerSetup;
let files: ServeFiles;
before(async () => {
  [folder, setup] = await Promise.all([HostsFolder.make(), makeKeyServers(['p256', 'rsa'])]);
  await folder.add('own', ['own.test']);
  files = serveFiles(setup);
  const { p256, rsa } = setup.sites;
  const stub = makeStub(new X509Certificate(p256!.certPem));
  const weak = generateKeyPairSync('rsa', { modulusLength: 768 }).privateKey;
  const pkcs8 = { type: 'pkcs8', format: 'pem' } as const;
  const locked = createPrivateKey(p256!.keyPem).export({ ...pkcs8, cipher: 'aes-256-cbc', passphrase: 'x' });
  const { certPem: weakCertificate } = await setup.authority.issueFor(weak.export(pkcs8));
  for (const [name, pem] of Object.entries({
    'p256.crt': p256!.certPem,
    'p256.key': p256!.keyPem,
    'p256.stub': stub,
    'locked.key': locked,
    'cut.stub': stub.slice(0, -40),
    'other.stub': stub.replace(/^Key-Id: ./m, 'Key-Id: x'),
    'rsa.key': rsa!.keyPem,
    'rsa.stub': makeStub(new X509Certificate(rsa!.certPem)),
    'weak.crt': weakCertificate,
    'weak.key': weak.export(pkcs8),
    'edge.crt': setup.edge.certPem,
    'edge.key': setup.edge.keyPem,
    'words.txt': 'no PEM',
    'empty.txt': '',
    'half.crt': `${setup.authority.certPem}${setup.authority.certPem.slice(0, 200)}\n`,
    'bad.crt': `${setup.authority.certPem}-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n`,
  }))
    writeFileSync(files.path(name), pem, { mode: 0o600 });
});
after(() => {
  folder.remove();
  files.remove();
});

const pair = (cert: string, key: string) => [
  ...['--backend-cert', files.path(cert)],
  ...['--backend-key', files.path(key)],
];

test('files that cannot be used end the start, and it is said which', async () => {
  const base = [
    'proxy',
    '--hosts',
    folder.hosts,
    '--listen',
    '127.0.0.1:0',
    '--backend',
    'https://127.0.0.1:1',
  ];
  const NO_KEY = /of --backend-key, ".*", holds no private key without a passphrase, and no stub, in PEM/;
  const NO_CA = /of --backend-ca, ".*", holds no certificates, or some that are not whole, in PEM/;
  const cases: [args: string[], message: RegExp][] = [
    [pair('p256.crt', 'words.txt'), NO_KEY],
    [pair('p256.crt', 'locked.key'), NO_KEY],
    [pair('p256.crt', 'cut.stub'), /of --backend-key cannot be used\. .*: it is cut off\./],
    [pair('p256.crt', 'other.stub'), /of --backend-key cannot be used\. .*: its key id is not that/],
    [pair('p256.crt', 'none'), /of --backend-key cannot be read/],
    [pair('words.txt', 'p256.key'), /of --backend-cert, ".*", holds no certificate in PEM/],
    [pair('p256.crt', 'rsa.key'), /key of --backend-key is not that of the certificate of --backend-cert/],
    [pair('p256.crt', 'rsa.stub'), /key of --backend-key is not that of the certificate of --backend-cert/],
    [pair('weak.crt', 'weak.key'), /or --backend-key cannot be used: .*ee key too small/],
    ...['words.txt', 'empty.txt', 'half.crt', 'bad.crt'].map((name): [string[], RegExp] => [
      ['--backend-ca', files.path(name)],
      NO_CA,
    ]),
  ];
  for (const [args, message] of cases) {
    const { code, stderr } = await runCommand([...base, ...args]);
    assert.match(stderr, message);
    assert.equal(code, 2, stderr);
  }
});

test('a stub without a configuration ends the start', async () => {
  const backend = ['--backend', 'https://127.0.0.1:1', ...pair('p256.crt', 'p256.stub')];
  const proxy = new ProxyProcess(folder, backend);
  assert.equal(await proxy.ended, 1);
  assert.match(proxy.stderr, /ERR_KEYLESS_INVALID_ARGUMENT/);
});

/** @returns whose certificate the backend has seen */
async function ask(port: number): Promise<string> {
  const name = { servername: 'own.test', headers: { host: 'own.test' } };
  const request = https.get({ port, host: '127.0.0.1', ...name, rejectUnauthorized: false, agent: false });
  const [response] = await once(request, 'response');
  return text(response);
}

test('a stub is the key towards backends also where no host has one; with startup "fail" its key servers must be there', async () => {
  const serve = new ServeProcess([...files.args, '--allow-client']);
  const { certPem: cert, keyPem: key } = setup.server;
  const backend = https.createServer({ cert, key, requestCert: true, rejectUnauthorized: false });
  backend.on('request', ({ socket }, response) =>
    response.end((socket as TLSSocket).getPeerX509Certificate()?.fingerprint256 ?? 'nobody'),
  );
  const url = `https://localhost:${await portOf(backend)}`;
  const args = ['--backend', url, '--backend-ca', files.path('ca.crt'), ...pair('p256.crt', 'p256.stub')];
  const env = {
    ...process.env,
    KEYLESS_TLS_SERVERS: `127.0.0.1:${await serve.port()}`,
    KEYLESS_TLS_SERVERNAME: 'localhost',
    KEYLESS_TLS_CERT: files.path('edge.crt'),
    KEYLESS_TLS_KEY: files.path('edge.key'),
    KEYLESS_TLS_CA: files.path('ca.crt'),
    KEYLESS_TLS_STARTUP: 'fail',
  };
  const proxy = new ProxyProcess(folder, args, env);
  assert.equal(await ask(await proxy.port()), fingerprint(setup.sites.p256!.certPem));
  assert.equal(await proxy.end(), 0);
  const alone = new ProxyProcess(folder, args, { ...env, KEYLESS_TLS_SERVERS: '127.0.0.1:1' });
  assert.equal(await alone.ended, 1);
  assert.match(alone.stderr, /ERR_KEYLESS_NO_KEY_SERVER/);
  backend.close();
  serve.child.kill('SIGTERM');
  await serve.ended;
});

/** Files for words that are none: pipes, each with the file's bytes in it, once. */
function throughPipes(words: readonly string[]): string[] {
  return words.map((word) => {
    if (word.startsWith('--')) return word;
    const pipe = `${word}.pipe`;
    execFileSync('mkfifo', ['-m', '600', pipe]);
    new Program('sh', ['-c', 'cat "$1" > "$2"', 'sh', word, pipe], {});
    return pipe;
  });
}

test('pipes are read once, and are nothing for several processes', SOON, async () => {
  const backend = ['--backend', 'https://127.0.0.1:1'];
  const words = [...pair('p256.crt', 'p256.key'), '--backend-ca', files.path('ca.crt')];
  const proxy = new ProxyProcess(folder, [...backend, ...throughPipes(words)]);
  await proxy.port();
  assert.equal(await proxy.end(), 0);
  const pipe = throughPipes(['--backend-ca', files.path('edge.crt')]);
  const workers = new ProxyProcess(folder, [...backend, ...pipe, '--workers', '2']);
  assert.equal(await workers.ended, 2);
  assert.match(workers.stderr, /--backend-ca is a pipe/);
});
