/** Which certificate a client of `keyless-tls proxy` gets, from a folder that changes; stubs. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { get as httpGet } from 'node:http';
import { createServer, type Server } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { makeStub } from '../../lib/wrap/stub.ts';
import { makeKeyServers } from '../helpers/key-servers.ts';
import { runCommand } from '../helpers/programs.ts';
import { fingerprint, HostsFolder, ProxyProcess, portOf, visit } from '../helpers/proxying.ts';

let echo: Server;
let url: string;
const folders: HostsFolder[] = [];
before(async () => {
  echo = createServer((socket) => void socket.on('error', () => undefined).pipe(socket));
  url = `tcp://127.0.0.1:${await portOf(echo)}`;
});
after(() => {
  echo.close();
  for (const folder of folders) folder.remove();
});

async function makeFolder(): Promise<HostsFolder> {
  const folder = await HostsFolder.make();
  folders.push(folder);
  return folder;
}

const REFUSED = 'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE';
/** The name of the error changed with OpenSSL 3.2. */
const refused = (code: string) => assert.match(code, /^ERR_SSL_.*ALERT_HANDSHAKE_FAILURE$/, REFUSED);

test('names choose the host: exact, wildcard, upper case; others are refused and told of, escaped', async () => {
  const folder = await makeFolder();
  const [exact, wild] = [
    await folder.add('exact', ['a.test']),
    await folder.add('wild', ['*.a.test', 'b.test']),
  ];
  const proxy = new ProxyProcess(folder, ['--backend', url]);
  const port = await proxy.port();
  assert.equal(await visit(port, 'a.test'), fingerprint(exact.certPem));
  assert.equal(await visit(port, 'A.Test'), fingerprint(exact.certPem));
  assert.equal(await visit(port, 'x.a.test'), fingerprint(wild.certPem));
  assert.equal(await visit(port, 'b.test'), fingerprint(wild.certPem));
  for (const name of ['x.y.a.test', 'unknown.test', '*.a.test', 'evil\n"name', '', `${'x'.repeat(60)}.test`])
    refused(await visit(port, name));
  refused(await visit(port, 'unknown.test', { ALPNProtocols: ['h2'] }));
  refused(await visit(port, 'unknown.test', { maxVersion: 'TLSv1.2' }));
  const { name } = await proxy.event('unknown-host', (event) => String(event.name).startsWith('evil'));
  assert.equal(name, 'evil\\x0a"name');
  assert.equal(await visit(port, 'a.test'), fingerprint(exact.certPem));
  assert.equal(await proxy.end(), 0);
});

test('--default-host is for clients without a name, and with an unknown one', async () => {
  const folder = await makeFolder();
  const [first, other] = [await folder.add('first', ['a.test']), await folder.add('other', ['b.test'])];
  const proxy = new ProxyProcess(folder, ['--backend', url, '--default-host', 'other']);
  const port = await proxy.port();
  assert.equal(await visit(port, 'a.test'), fingerprint(first.certPem));
  for (const name of ['', 'unknown.test']) assert.equal(await visit(port, name), fingerprint(other.certPem));
  assert.equal(await proxy.end(), 0);
});

test('names in options that no host has are told of at the start', async () => {
  const folder = await makeFolder();
  await folder.add('First', ['a.test']);
  const own = ['first', 'a.test', 'typo'].flatMap((name) => ['--backend', `${name}=${url}`]);
  const proxy = new ProxyProcess(folder, ['--backend', url, ...own, '--default-host', 'nosuch']);
  await proxy.port();
  const told = proxy.events.filter(({ event }) => event === 'option-problem');
  assert.deepEqual(
    told.map(({ option, name }) => [option, name]),
    [
      ['--default-host', 'nosuch'],
      ['--backend', 'typo'],
    ],
  );
  assert.equal(await proxy.end(), 0);
});

test('a name that two files have is the first one’s, RSA or ECDSA', async () => {
  const folder = await makeFolder();
  const [ec, rsa] = [await folder.add('a', ['a.test']), await folder.add('b', ['b.test', 'a.test'], 'rsa')];
  const proxy = new ProxyProcess(folder, ['--backend', url]);
  const port = await proxy.port();
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    assert.equal(await visit(port, 'a.test', { maxVersion }), fingerprint(ec.certPem));
    assert.equal(await visit(port, 'b.test', { maxVersion }), fingerprint(rsa.certPem));
  }
  const problem = await proxy.event('host-problem');
  assert.deepEqual([problem.file, problem.reason], ['b.crt', 'another file has its names a.test']);
  assert.equal(await proxy.end(), 0);
});

test('a folder that changes: new, renewed and removed hosts; one that cannot be used stays what it was', async () => {
  const folder = await makeFolder();
  const [old, other] = [await folder.add('www', ['a.test']), await folder.add('other', ['b.test'])];
  const proxy = new ProxyProcess(folder, ['--backend', url]);
  const port = await proxy.port();
  assert.equal(await visit(port, 'a.test'), fingerprint(old.certPem));
  const loaded = async (work: () => Promise<unknown> | unknown, event = 'host') => {
    const from = proxy.events.length;
    await work();
    return proxy.event(event, (each) => proxy.events.indexOf(each) >= from);
  };
  writeFileSync(`${folder.hosts}/www.key`, 'no key');
  chmodSync(`${folder.hosts}/www.key`, 0o600);
  assert.equal((await loaded(() => proxy.child.kill('SIGHUP'), 'host-problem')).file, 'www.crt');
  assert.equal(await visit(port, 'a.test'), fingerprint(old.certPem));
  assert.equal(await visit(port, 'b.test'), fingerprint(other.certPem));
  const renewed = await folder.authority.issue({ type: 'p256', dns: ['a.test', 'c.test'] });
  // The certificate is renewed first: its old key does not belong to it.
  const mismatch = await loaded(() => writeFileSync(`${folder.hosts}/www.key`, old.keyPem));
  assert.equal(mismatch.event, 'host');
  await loaded(() => writeFileSync(`${folder.hosts}/www.crt`, renewed.certPem), 'host-problem');
  assert.equal(await visit(port, 'a.test'), fingerprint(old.certPem));
  await loaded(() => folder.put('www', renewed));
  while ((await visit(port, 'c.test')) !== fingerprint(renewed.certPem))
    await once(proxy.child.stdout!, 'data');
  const from = proxy.events.length;
  unlinkSync(`${folder.hosts}/other.crt`);
  await proxy.event('host-removed', (each) => proxy.events.indexOf(each) >= from);
  refused(await visit(port, 'b.test'));
  assert.equal(await proxy.end(), 0);
});

test('a key of another kind than its certificate’s takes no names, and leaves the host that it was', async () => {
  const folder = await makeFolder();
  const old = await folder.add('www', ['a.test']);
  const renewed = await folder.authority.issue({ type: 'rsa', dns: ['a.test'] });
  folder.put('first', { certPem: old.certPem, keyPem: renewed.keyPem });
  const proxy = new ProxyProcess(folder, ['--backend', url]);
  const port = await proxy.port();
  const problem = (file: string, from = 0) =>
    proxy.event('host-problem', (each) => each.file === file && proxy.events.indexOf(each) >= from);
  assert.match(String((await problem('first.crt')).reason), /belongs to another certificate/);
  assert.equal(await visit(port, 'a.test'), fingerprint(old.certPem));
  // As a renewal does it: one file after the other.
  writeFileSync(`${folder.hosts}/www.crt`, renewed.certPem);
  await problem('www.crt');
  assert.equal(await visit(port, 'a.test'), fingerprint(old.certPem));
  folder.put('www', renewed);
  while ((await visit(port, 'a.test')) !== fingerprint(renewed.certPem))
    await once(proxy.child.stdout!, 'data');
  assert.equal(await proxy.end(), 0);
});

test('what is no file is a problem of its host: the proxy waits for no pipe, serves the others and ends', {
  timeout: 120_000,
}, async (context) => {
  const folder = await makeFolder();
  const fine = await folder.add('fine', ['a.test']);
  await folder.add('piped-key', ['b.test']);
  const socket = createServer();
  socket.listen(`${folder.hosts}/socket.crt`);
  await once(socket, 'listening');
  rmSync(`${folder.hosts}/piped-key.key`);
  execFileSync('mkfifo', [`${folder.hosts}/piped-key.key`, `${folder.hosts}/pipe.crt`]);
  symlinkSync('/dev/zero', `${folder.hosts}/zero.crt`);
  symlinkSync(folder.path, `${folder.hosts}/folder.crt`);
  const proxy = new ProxyProcess(folder, ['--backend', url]);
  context.after(() => {
    proxy.child.kill('SIGKILL');
    socket.close();
  });
  const port = await proxy.port();
  assert.equal(await visit(port, 'a.test'), fingerprint(fine.certPem));
  const problems = proxy.events.filter(({ event }) => event === 'host-problem');
  assert.deepEqual(
    problems.map(({ file, reason }) => `${file}: ${reason}`),
    ['folder', 'pipe', 'piped-key', 'socket', 'zero'].map((name) => `${name}.crt: it is not a file`),
  );
  assert.equal(await proxy.end(), 0);
});

test('a stub’s host is signed for by the key servers; without a configuration the proxy says what is missing', async () => {
  const setup = await makeKeyServers(['p256']);
  const folder = await makeFolder();
  folder.put('www', {
    ...setup.sites.p256!,
    keyPem: makeStub(new X509Certificate(setup.sites.p256!.certPem)),
  });
  const keyServer = await setup.start();
  for (const [name, pem] of Object.entries({ ...setup.edgeOptions, ca: setup.authority.certPem }))
    writeFileSync(folder.file(`edge.${name}`), pem, { mode: 0o600 });
  const env = {
    ...process.env,
    KEYLESS_TLS_SERVERS: `localhost:${keyServer.port}`,
    KEYLESS_TLS_CERT: folder.file('edge.cert'),
    KEYLESS_TLS_KEY: folder.file('edge.key'),
    KEYLESS_TLS_CA: folder.file('edge.ca'),
  };
  const proxy = new ProxyProcess(folder, ['--backend', url, '--metrics', '0'], env);
  const port = await proxy.port();
  assert.equal(await visit(port, 'localhost'), fingerprint(setup.sites.p256!.certPem));
  const { port: metrics } = await proxy.event('metrics');
  const [response] = await once(httpGet({ port: metrics as number, path: '/metrics' }), 'response');
  const page = await text(response);
  assert.match(page, /keyless_tls_proxy_connections_accepted 1\n/);
  assert.match(page, /keyless_tls_edge_operations_total\{result="ok"\} 1\n/);
  assert.equal(await proxy.end(), 0);
  await keyServer.close();
  const args = ['proxy', '--hosts', folder.hosts, '--backend', url, '--listen', '0'];
  const without = await runCommand(args, { cwd: folder.path });
  assert.equal(without.code, 1);
  assert.match(without.stderr, /There is no keyless-tls\.json/);
});

test('a folder without a usable host, and options that make no sense, are said at once', async () => {
  const folder = await makeFolder();
  const run = (...args: string[]) => runCommand(['proxy', '--listen', '0', ...args]);
  const base = ['--hosts', folder.hosts, '--backend', url];
  const cases: [args: string[], message: RegExp][] = [
    [base, /holds no usable host/],
    [['--hosts', folder.file('none'), '--backend', url], /cannot be read/],
    [['--backend', url], /It needs --hosts/],
    [['--hosts', folder.hosts], /It needs --backend/],
    [['--hosts', folder.hosts, '--backend', 'ftp://x'], /is no backend/],
    [[...base, '--backend', 'www=http://'], /is no backend/],
    [[...base, '--backend', url], /two backends/],
    [[...base, '--trust', '10.0.0.0/33'], /no address/],
    [[...base, '--workers', '0'], /whole number/],
    [[...base, '--workers', '1000'], /at most 256/],
    [[...base, '--backend-cert', folder.file('ca.crt')], /belong together/],
  ];
  for (const [args, message] of cases) {
    const { code, stderr } = await run(...args);
    assert.equal(code, 2, stderr);
    assert.match(stderr, message);
  }
  await folder.add('readable', ['a.test']);
  chmodSync(`${folder.hosts}/readable.key`, 0o644);
  assert.match((await run(...base)).stderr, /readable\.crt: its permissions are 0644/);
  rmSync(`${folder.hosts}/readable.key`);
  assert.match((await run(...base)).stderr, /no \.key of its name beside it/);
});
