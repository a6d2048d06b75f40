import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { certificateDigest, subjectKeyId } from '../../../lib/protocol/key-id.ts';
import { pemDirectory } from '../../../lib/server/pem-directory.ts';

let folder: string;
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const pem = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' }) as string;
const spki = (key: KeyObject) => createPublicKey(key).export({ type: 'spki', format: 'der' });

async function put(name: string, content: string, mode = 0o600): Promise<void> {
  await writeFile(join(folder, name), content);
  await chmod(join(folder, name), mode);
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keyless-tls-test-'));
});
after(() => rm(folder, { recursive: true }));

test('loads exactly the files named *.key, and a bad one hides no other', async () => {
  await put('a.key', pem(p256));
  await put('example.com.key', rsa.export({ type: 'pkcs1', format: 'pem' }) as string, 0o400);
  await put('linked-to', pem(generateKeyPairSync('ed25519').privateKey));
  await symlink('linked-to', join(folder, 'link.key'));
  for (const name of ['a.key.bak', 'b.KEY', '.hidden.key', '.key', 'key', 'x.pem', 'y.key~'])
    await put(name, pem(p256));

  await put('empty.key', '');
  await put('garbage.key', 'not a key\n');
  await put('public.key', createPublicKey(p256).export({ type: 'spki', format: 'pem' }) as string);
  await put('readable.key', pem(p256), 0o640);
  await put('world.key', pem(p256), 0o604);
  await put('large.key', `${pem(p256)}${' '.repeat(70_000)}`);
  await put('curve.key', pem(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey));
  await put('x25519.key', pem(generateKeyPairSync('x25519').privateKey));
  await put(
    'locked.key',
    p256.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open' }) as string,
  );
  await mkdir(join(folder, 'directory.key'));
  await symlink('nowhere', join(folder, 'dangling.key'));
  execFileSync('mkfifo', ['-m', '600', join(folder, 'pipe.key')]);

  const store = pemDirectory(folder);
  assert.deepEqual(
    store.keys.map(({ label, kind }) => [label, kind.type]),
    [
      ['a.key', 'ec'],
      ['example.com.key', 'rsa'],
      ['link.key', 'ed25519'],
    ],
  );
  const reasons = Object.fromEntries(store.problems.map(({ file, reason }) => [file, reason]));
  assert.deepEqual(Object.keys(reasons), [
    'curve.key',
    'dangling.key',
    'directory.key',
    'empty.key',
    'garbage.key',
    'large.key',
    'locked.key',
    'pipe.key',
    'public.key',
    'readable.key',
    'world.key',
    'x25519.key',
  ]);
  assert.match(reasons['readable.key']!, /permissions are 0640.*chmod 600/);
  assert.match(reasons['world.key']!, /permissions are 0604/);
  assert.match(reasons['locked.key']!, /encrypted, and no passphrase/);
  for (const name of ['empty.key', 'garbage.key', 'public.key'])
    assert.match(reasons[name]!, /no private key in PEM/, name);
  assert.match(reasons['curve.key']!, /secp256k1/);
  assert.match(reasons['x25519.key']!, /x25519/);
  assert.match(reasons['large.key']!, /at most 65536/);
  for (const name of ['directory.key', 'pipe.key']) assert.match(reasons[name]!, /not a file/, name);
  assert.match(reasons['dangling.key']!, /ENOENT/);

  const unlocked = pemDirectory(folder, { passphrase: 'open' });
  assert.ok(unlocked.keys.some(({ label }) => label === 'locked.key'));
  const wrong = pemDirectory(folder, { passphrase: 'wrong' });
  assert.match(wrong.problems.find(({ file }) => file === 'locked.key')!.reason, /passphrase does not fit/);
});

test('of a file with several keys the first is served, and that the others are not is said', async () => {
  const two = await mkdtemp(join(tmpdir(), 'keyless-tls-test-'));
  const other = rsa.export({ type: 'pkcs1', format: 'pem' }) as string;
  await writeFile(join(two, 'two.key'), `${pem(p256)}${other}`, { mode: 0o600 });
  const { keys, problems } = pemDirectory(two);
  await rm(two, { recursive: true });
  assert.deepEqual(
    keys.map(({ kind }) => kind.type),
    ['ec'],
  );
  assert.deepEqual(problems, [
    {
      file: 'two.key',
      reason: 'it holds 2 keys, of which the first is served: give each a file of its own',
    },
  ]);
});

test('finds keys by key id and by the legacy selector, and nothing by anything else', () => {
  const store = pemDirectory(folder);
  const find = (keyId?: Uint8Array, digest?: Uint8Array) =>
    store.find({ keyId, certificateDigest: digest })?.label;
  assert.equal(find(subjectKeyId(spki(p256))), 'a.key');
  assert.equal(find(subjectKeyId(spki(rsa))), 'example.com.key');
  assert.equal(find(undefined, certificateDigest(spki(rsa))), 'example.com.key');
  assert.equal(find(subjectKeyId(spki(p256)), certificateDigest(spki(rsa))), 'a.key');
  assert.equal(find(Buffer.alloc(20), certificateDigest(spki(rsa))), undefined, 'the key id decides');
  assert.equal(find(), undefined);
  assert.equal(find(subjectKeyId(spki(p256)).subarray(0, 19)), undefined);
});

test('a directory that cannot be read is an error that says so', () => {
  assert.throws(() => pemDirectory(join(folder, 'nowhere')), {
    code: 'ERR_KEYLESS_INVALID_ARGUMENT',
    message: /ENOENT/,
  });
  assert.throws(() => pemDirectory(join(folder, 'a.key')), {
    code: 'ERR_KEYLESS_INVALID_ARGUMENT',
    message: /ENOTDIR/,
  });
});
