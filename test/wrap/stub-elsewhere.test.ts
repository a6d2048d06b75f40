/** A stub given to what knows nothing of it: refused as no key, and whatever names the file names keyless-tls with it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { makeStub } from '../../lib/wrap/stub.ts';
import { makeAuthority } from '../helpers/certificates.ts';

let folder: string;
let certPem: string;
let stub: string;

before(async () => {
  const authority = await makeAuthority();
  ({ certPem } = await authority.issue({ type: 'p256' }));
  stub = makeStub(new X509Certificate(certPem));
  folder = mkdtempSync(join(tmpdir(), 'keyless-tls-stub-'));
  writeFileSync(join(folder, 'www.keyless-tls.key'), stub);
  writeFileSync(join(folder, 'www.crt'), certPem);
});
after(() => rmSync(folder, { recursive: true, force: true }));

const openssl = (...words: string[]) =>
  spawnSync('openssl', words, { cwd: folder, encoding: 'utf8', input: '' });

test('the first line of a stub says what it is, and its label is no private key’s', () => {
  assert.match(stub, /^This is no private key\. It is a stub of keyless-tls: /);
  assert.deepEqual(stub.match(/-----BEGIN .*-----/g), ['-----BEGIN KEYLESS-TLS KEY STUB-----']);
});

test('openssl refuses it and names the file', () => {
  for (const words of [
    ['pkey', '-in', 'www.keyless-tls.key', '-noout'],
    ['s_server', '-cert', 'www.crt', '-key', 'www.keyless-tls.key', '-accept', '127.0.0.1:0'],
  ]) {
    const { status, stderr } = openssl(...words);
    assert.notEqual(status, 0);
    assert.match(stderr, /Could not .* from www\.keyless-tls\.key/);
  }
});

test('Node.js without keyless-tls refuses it in OpenSSL’s words, which no text of a key reaches', () => {
  const notAKey = { code: 'ERR_OSSL_UNSUPPORTED' };
  assert.throws(() => tls.createSecureContext({ cert: certPem, key: stub }), notAKey);
  assert.throws(() => tls.createServer({ cert: certPem, key: stub }), notAKey);
  assert.throws(() => createPrivateKey(stub), notAKey);
  // Where another form would do better, this says so: none of those that OpenSSL reads further into does.
  const body = Buffer.from('keyless-tls keyless-tls').toString('base64');
  for (const [label, headers] of [
    ['keyless-tls PRIVATE KEY', ''],
    ['RSA PRIVATE KEY', 'Proc-Type: 4,ENCRYPTED\nDEK-Info: keyless-tls,0011223344556677\n\n'],
    ['ENCRYPTED PRIVATE KEY', ''],
  ]) {
    const key = `-----BEGIN ${label}-----\n${headers}${body}\n-----END ${label}-----\n`;
    assert.throws(
      () => tls.createSecureContext({ key, passphrase: 'any' }),
      (error: Error) => !/keyless/i.test(error.message + JSON.stringify(error)),
    );
  }
});
