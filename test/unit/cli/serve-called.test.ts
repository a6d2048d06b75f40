/** `keyless-tls serve`, called wrongly: exit code 2 and a message that says what to do, without a secret in it. */
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { makeAuthority } from '../../helpers/certificates.ts';
import { makeServeFolder, type ServeFolder } from '../../helpers/key-server-process.ts';
import { runCommand } from '../../helpers/programs.ts';
import { assertNothingSecret } from '../../helpers/secrets.ts';

let folder: ServeFolder;
let siteKey: string;
let encrypted: string;

before(async () => {
  siteKey = (await (await makeAuthority()).issue({ type: 'p256' })).keyPem;
  folder = await makeServeFolder({ site: siteKey });
  const { path, server } = folder;
  encrypted = createPrivateKey(server.keyPem)
    .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open sesame' })
    .toString();
  await writeFile(path('encrypted.pem'), encrypted);
  await writeFile(path('edge.pem'), folder.edge.keyPem);
  await writeFile(path('text.txt'), 'not PEM\n');
  await writeFile(path('empty.txt'), '');
  for (const name of ['none', 'readable', 'broken', 'other-names', 'locked']) await mkdir(path(name));
  await writeFile(path('readable', 'site.key'), siteKey);
  await chmod(path('readable', 'site.key'), 0o644);
  await writeFile(path('broken', 'site.key'), siteKey.slice(0, 100), { mode: 0o600 });
  await writeFile(path('other-names', 'site.pem'), siteKey, { mode: 0o600 });
  await writeFile(path('locked', 'site.key'), encrypted, { mode: 0o600 });
});

after(() => folder.remove());

/** The good options, with one of them replaced; `undefined`: left out. */
function optionsWith(name: string, value: string | undefined): string[] {
  const options = [...folder.options];
  const at = options.indexOf(`--${name}`);
  if (at >= 0) options.splice(at, 2);
  return value === undefined ? options : [...options, `--${name}`, value];
}

async function refused(values: readonly string[], message: RegExp): Promise<void> {
  const { code, stdout, stderr } = await runCommand(['serve', ...values]);
  assert.deepEqual([code, stdout.includes('listening')], [2, false], stderr);
  const [first, second, ...rest] = stderr.split('\n');
  assert.match(first!, message);
  assert.deepEqual([second, ...rest], ['Try: keyless-tls serve --help', '']);
  assertNothingSecret((stdout + stderr).replaceAll('no private key', ''), [
    siteKey,
    folder.server.keyPem,
    folder.edge.keyPem,
  ]);
}

for (const name of ['cert', 'key', 'ca', 'keys']) {
  test(`without --${name}, or with nothing in it, that is what it says`, async () => {
    await refused(optionsWith(name, undefined), new RegExp(`^keyless-tls: --${name} is missing\\.$`));
    await refused([...optionsWith(name, undefined), `--${name}=`], new RegExp(`: --${name} is missing\\.$`));
  });
}

test('--ask-passphrase needs a terminal, keys, and no file beside it', async () => {
  await refused([...folder.options, '--ask-passphrase'], /--ask-passphrase needs a terminal/);
  await refused([...folder.options, '--ask-passphrase', '--passphrase-file', 'x'], /not both/);
  await refused([...optionsWith('keys', undefined), '--ssh-agent', 'x', '--ask-passphrase'], /needs --keys/);
});

test('--workers is a number of threads', async () => {
  for (const value of ['0', '257', '1.5', 'all'])
    await refused(
      [...folder.options, '--workers', value],
      /^keyless-tls: --workers is a whole number from 1 to /,
    );
});

for (const name of ['cert', 'key', 'ca']) {
  test(`--${name} of a file that is not there, or is a directory, names option and file`, async () => {
    const { path } = folder;
    const start = `^keyless-tls: The file of --${name} cannot be read: `;
    await refused(optionsWith(name, path('absent')), new RegExp(`${start}ENOENT: .*/absent'`));
    await refused(optionsWith(name, path('keys')), new RegExp(`${start}EISDIR: `));
  });

  test(`--${name} of a file that holds something else says what it should hold`, async () => {
    const what = name === 'key' ? 'private key without a passphrase' : 'certificate';
    const other = name === 'key' ? 'server.crt' : 'server.pem';
    for (const file of ['text.txt', 'empty.txt', other]) {
      const message = `^keyless-tls: The file of --${name}, ".*/${file}", holds no ${what} in PEM\\.$`;
      await refused(optionsWith(name, folder.path(file)), new RegExp(message));
    }
  });
}

test('an encrypted --key is told from a key, and its passphrase is not asked for', async () => {
  await refused(
    optionsWith('key', folder.path('encrypted.pem')),
    /^keyless-tls: The file of --key, ".*\/encrypted\.pem", holds no private key without a passphrase in PEM\.$/,
  );
});

test('the key of another certificate', async () => {
  await refused(
    optionsWith('key', folder.path('edge.pem')),
    /^keyless-tls: The key of --key is not that of the certificate of --cert\.$/,
  );
});

const NO_KEY =
  '^keyless-tls: The directory of --keys holds no usable key \\(a file named \\*\\.key, PEM\\)\\.';

test('--keys of a directory without a usable key says why each file is none', async () => {
  const say = (name: string, why: string) =>
    refused(optionsWith('keys', folder.path(name)), new RegExp(`${NO_KEY}${why}$`));
  await say('none', '');
  await say('other-names', '');
  await say(
    'readable',
    ' site\\.key: its permissions are 0644, others than its owner may use it: chmod 600 it\\.',
  );
  await say('broken', ' site\\.key: it holds no private key in PEM\\.');
  await say('locked', ' site\\.key: it is encrypted, and no passphrase was given\\.');
});

test('--keys of what is no directory names option and path', async () => {
  const message = /^keyless-tls: The directory of --keys cannot be read: (ENOENT|ENOTDIR): /;
  await refused(optionsWith('keys', folder.path('absent')), message);
  await refused(optionsWith('keys', folder.path('text.txt')), message);
});

for (const where of ['', 'here', ':', '127.0.0.1:', '65536', '127.0.0.1:65536', '::1:80', '-1', '80.5']) {
  test(`--listen ${JSON.stringify(where)} is neither a port nor host:port`, async () => {
    const message = `^keyless-tls: ${JSON.stringify(where)} is not a port \\(0 to 65535\\) or host:port\\.$`;
    await refused([...folder.options, `--listen=${where}`], new RegExp(message));
  });
}

test('options without their value, and words that are no option', async () => {
  await refused([...folder.options, '--listen'], /--listen/);
  await refused([...folder.options, '--quiet=no'], /--quiet/);
  await refused([...folder.options, 'now'], /now/);
  await refused([...folder.options, '--allow'], /--allow/);
});
