/** What `register` says of a configuration that it cannot use: which file, which member, what is wrong and what to do. */
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { readConfig } from '../../lib/wrap/config.ts';
import { makeStub, readStub } from '../../lib/wrap/stub.ts';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';

let authority: Authority;
let edge: Issued;
let other: Issued;
let folder: string;
const path = (name: string) => join(folder, name);

before(async () => {
  authority = await makeAuthority();
  [edge, other] = await Promise.all([authority.issue({ type: 'p256' }), authority.issue({ type: 'rsa' })]);
  folder = mkdtempSync(join(tmpdir(), 'keyless-tls-config-'));
  const encrypted = createPrivateKey(edge.keyPem).export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'secret',
  });
  for (const [name, text] of Object.entries({
    'edge.crt': edge.certPem,
    'edge.key': edge.keyPem,
    'ca.crt': authority.certPem,
    'other.crt': other.certPem,
    'encrypted.key': encrypted,
    'edge.stub': makeStub(new X509Certificate(edge.certPem)),
    'words.txt': 'no PEM',
  }))
    writeFileSync(path(name), text);
  mkdirSync(path('folder.json'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

const GOOD = {
  version: 1,
  servers: ['127.0.0.1:2407'],
  ...{ cert: 'edge.crt', key: 'edge.key', ca: 'ca.crt' },
};

/** @param text of the file */
function read(text: string) {
  writeFileSync(path('trial.json'), text);
  return readConfig({ KEYLESS_TLS_CONFIG: 'trial.json' }, folder)!;
}

const BAD: readonly [what: string, text: string, says: RegExp][] = [
  ['empty', '', /trial\.json is not JSON/],
  ['null', 'null', /trial\.json cannot be used: the file: .*object/],
  ['a list', '[]', /the file: .*object/],
  ['without a version', JSON.stringify({ ...GOOD, version: undefined }), /version: .*expected 1/],
  ['of a version in quotes', JSON.stringify({ ...GOOD, version: '1' }), /version: .*expected 1/],
  [
    'of a future version',
    JSON.stringify({ version: 7, what: 'ever' }),
    /it is 7, and this keyless-tls knows 1/,
  ],
  ['with a startup nobody knows', JSON.stringify({ ...GOOD, startup: 'maybe' }), /startup: .*"wait"\|"fail"/],
  [
    'with neither servers nor a record of them',
    JSON.stringify({ ...GOOD, servers: undefined }),
    /either "servers" or "srv"/,
  ],
  ['with both', JSON.stringify({ ...GOOD, srv: '_keys._tcp.internal' }), /either "servers" or "srv"/],
  ['without a server', JSON.stringify({ ...GOOD, servers: [] }), /servers: /],
  [
    'with a server that is no address',
    JSON.stringify({ ...GOOD, servers: ['127.0.0.1:2407', 'localhost:99999'] }),
    /cannot be used: servers\.1: A key server is "host:port".*, not "localhost:99999"\.$/,
  ],
  [
    'with a word of another program',
    JSON.stringify({ ...GOOD, server: 'keys' }),
    /the file: Unrecognized key: "server"/,
  ],
  ['with a time-out of nothing', JSON.stringify({ ...GOOD, timeoutMs: 0 }), /timeoutMs: .*>=1/],
  [
    'with a time-out that timers do not know',
    JSON.stringify({ ...GOOD, timeoutMs: 2 ** 31 }),
    /timeoutMs: .*2147483647/,
  ],
  [
    'with a stub for its own key',
    JSON.stringify({ ...GOOD, key: 'edge.stub' }),
    /"key" is a stub: .*of its own/,
  ],
  [
    'with words for a certificate',
    JSON.stringify({ ...GOOD, cert: 'words.txt' }),
    /"cert" holds no certificate/,
  ],
  ['with words for a key', JSON.stringify({ ...GOOD, key: 'words.txt' }), /"key" holds no private key/],
  [
    'with an encrypted key',
    JSON.stringify({ ...GOOD, key: 'encrypted.key' }),
    /"key" holds no private key without a passphrase/,
  ],
  ['with words for an authority', JSON.stringify({ ...GOOD, ca: 'words.txt' }), /"ca" holds no certificate/],
  [
    'with the key of another certificate',
    JSON.stringify({ ...GOOD, cert: 'other.crt' }),
    /"key" does not belong/,
  ],
  ['with a folder for a file', JSON.stringify({ ...GOOD, ca: 'folder.json' }), /"ca" cannot be read: EISDIR/],
];

for (const [what, text, says] of BAD) {
  test(`a configuration ${what} is refused with the reason`, () => {
    assert.throws(() => read(text), { code: 'ERR_KEYLESS_INVALID_ARGUMENT', message: says });
  });
}

test('one that cannot be read is named', () => {
  const env = { KEYLESS_TLS_CONFIG: 'folder.json' };
  assert.throws(() => readConfig(env, folder), {
    code: 'ERR_KEYLESS_INVALID_ARGUMENT',
    message: /The configuration .*folder\.json cannot be read: EISDIR/,
  });
});

test('a byte order mark is no fault, and a variable that is empty is not set', () => {
  assert.deepEqual(read(`\uFEFF${JSON.stringify(GOOD)}`).servers, GOOD.servers);
  const empty = { KEYLESS_TLS_SERVERS: '', KEYLESS_TLS_CONFIG: '' };
  assert.equal(readConfig(empty, folder), undefined);
  writeFileSync(path('keyless-tls.json'), JSON.stringify(GOOD));
  assert.deepEqual(readConfig(empty, folder)!.servers, GOOD.servers);
});

test('what a configuration does not say: it waits for key servers, and offers no RSA key exchange', () => {
  const { startup, decrypt, identityFiles, identitySeen: _, ...rest } = read(JSON.stringify(GOOD));
  assert.deepEqual({ startup, decrypt }, { startup: 'wait', decrypt: false });
  assert.deepEqual(Object.keys(rest).sort(), ['ca', 'cert', 'key', 'servers']);
  const { cert, key, ca } = GOOD;
  assert.deepEqual(identityFiles, { cert: path(cert), key: path(key), ca: path(ca) });
});

test('what it says is what is used', () => {
  const said = {
    ...{ servername: 'keys', timeoutMs: 5, decrypt: true, verify: 'never', startup: 'fail' },
    servers: ['a', '[::1]:5'],
  };
  const {
    cert,
    key,
    ca,
    identityFiles: _,
    identitySeen: __,
    ...rest
  } = read(JSON.stringify({ ...GOOD, ...said }));
  assert.deepEqual(rest, said);
  assert.deepEqual([cert, key, ca].map(String), [edge.certPem, edge.keyPem, authority.certPem]);
});

test('key servers may be named by an SRV record, in the file and in the environment', () => {
  const srv = '_keyless._tcp.internal';
  assert.equal(read(JSON.stringify({ ...GOOD, servers: undefined, srv })).srv, srv);
  const files = { KEYLESS_TLS_CERT: 'edge.crt', KEYLESS_TLS_KEY: 'edge.key', KEYLESS_TLS_CA: 'ca.crt' };
  const config = readConfig({ ...files, KEYLESS_TLS_SRV: srv }, folder)!;
  assert.deepEqual([config.srv, config.servers], [srv, undefined]);
  assert.throws(() => readConfig({ ...files, KEYLESS_TLS_SRV: srv, KEYLESS_TLS_SERVERS: 'a:1' }, folder), {
    message: /either "servers" or "srv"/,
  });
});

test('its paths are relative to its own folder', () => {
  mkdirSync(path('elsewhere'));
  writeFileSync(path('elsewhere/keyless-tls.json'), JSON.stringify({ ...GOOD, cert: '../edge.crt' }));
  const env = { KEYLESS_TLS_CONFIG: 'elsewhere/keyless-tls.json' };
  assert.throws(() => readConfig(env, folder), { message: /"key" cannot be read: .*elsewhere\/edge\.key/ });
});

test('the environment comes before a file, with servers between commas or spaces, and its paths from the working directory', () => {
  const env = {
    KEYLESS_TLS_SERVERS: ' a:1, b:2 c:3,',
    KEYLESS_TLS_CONFIG: 'nowhere.json',
    ...{ KEYLESS_TLS_CERT: 'edge.crt', KEYLESS_TLS_KEY: 'edge.key', KEYLESS_TLS_CA: 'ca.crt' },
    ...{ KEYLESS_TLS_SERVERNAME: 'keys', KEYLESS_TLS_STARTUP: 'fail' },
  };
  const { servers, servername, startup } = readConfig(env, folder)!;
  assert.deepEqual([servers, servername, startup], [['a:1', 'b:2', 'c:3'], 'keys', 'fail']);
  assert.throws(() => readConfig({ ...env, KEYLESS_TLS_STARTUP: 'maybe' }, folder), {
    message: /^The environment \(KEYLESS_TLS_\*\) cannot be used: startup: /,
  });
  for (const name of ['KEYLESS_TLS_CERT', 'KEYLESS_TLS_KEY', 'KEYLESS_TLS_CA'])
    assert.throws(() => readConfig({ ...env, [name]: '' }, folder), {
      message: new RegExp(`${name} must name a file`),
    });
});

test('a stub whose key id is another, or none, is refused; one that an editor has been at is not', () => {
  const stub = makeStub(new X509Certificate(edge.certPem));
  for (const id of ['', 'nonsense', '0'.repeat(40)])
    assert.throws(() => readStub(stub.replace(/Key-Id: .*/, `Key-Id: ${id}`)), {
      message: /key id is not that/,
    });
  for (const text of [stub.replaceAll('\n', '\r\n'), `\uFEFF${stub}`, `${stub}\n\n`])
    assert.deepEqual(readStub(text), readStub(stub));
});

test('a stub says of which certificate it is, also of one without a subject', async () => {
  assert.match(makeStub(new X509Certificate(edge.certPem)), /^Subject: CN=/m);
  const names = { cn: '', alternativeNames: 'critical,DNS:www.test,IP:127.0.0.1' };
  const { certPem } = await authority.issue({ type: 'p256', ...names });
  const stub = makeStub(new X509Certificate(certPem));
  assert.match(stub, /^Names: DNS:www\.test, IP Address:127\.0\.0\.1$/m);
  assert.ok(readStub(stub));
});

test('what is left of a stub is called one: cut before its BEGIN line, without it, with another, in UTF-16', () => {
  const stub = makeStub(new X509Certificate(edge.certPem));
  const [before = '', base64 = ''] = stub.split('-----BEGIN KEYLESS-TLS KEY STUB-----');
  for (const text of [before, before.slice(0, 60), before + base64, stub.replace('-----BEGIN', '----BEGIN')])
    assert.throws(() => readStub(text), {
      message: /A stub of keyless-tls cannot be read: the line .* is not there\. Make it/,
    });
  assert.throws(() => readStub(Buffer.from(stub, 'utf16le').toString('latin1')), {
    message: /it is in UTF-16/,
  });
  assert.equal(readStub(`A stub of keyless-tls was here.\n${edge.keyPem}`), undefined);
});
