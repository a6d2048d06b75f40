/** A PKCS#11 token as a key store: SoftHSM2, keys generated inside it, handshakes through a key server. */
import assert from 'node:assert/strict';
import { constants, createPublicKey, type KeyObject, publicEncrypt, verify } from 'node:crypto';
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type tls from 'node:tls';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { subjectKeyId } from '../../lib/protocol/key-id.ts';
import { signDigestRequest, signRequest } from '../../lib/protocol/request-encoder.ts';
import { type SchemeName, SIGNING_METHODS } from '../../lib/protocol/schemes.ts';
import type { LiveKeyStore, StoredKey } from '../../lib/server/key-store.ts';
import { type Pkcs11Options, pkcs11Token } from '../../lib/server/stores/pkcs11-token.ts';
import { startEdge, until } from '../helpers/edge.ts';
import { certificateVerify } from '../helpers/handshake-messages.ts';
import { type KeyServerSetup, makeKeyServers, type Site } from '../helpers/key-servers.ts';
import { ManualClock } from '../helpers/manual-clock.ts';
import { childPids, type Generated, PIN, SOFTHSM, SoftHsm } from '../helpers/soft-hsm.ts';
import { connectPeer } from '../helpers/wire-peer.ts';

const P256 = SIGNING_METHODS.ecdsa_secp256r1_sha256;
const GOOD_KEYS = ['p256', 'p384', 'p521', 'rsa'] as const;
const KEYS: readonly Generated[] = [
  ...GOOD_KEYS.map((type) => ({ type, label: type, decrypt: type === 'rsa', id: Buffer.from(type) })),
  { type: 'k256', label: 'no curve of TLS' },
  { type: 'p256', label: 'no\npublic half', publicId: Buffer.from('elsewhere') },
  { type: 'p256', label: 'may nothing', sign: false },
];
const OPTIONS: Pkcs11Options = { library: SOFTHSM, token: 'keyless', pin: PIN };

let hsm: SoftHsm;
let setup: KeyServerSetup;
const publicKeys = new Map<string, KeyObject>();

before(async () => {
  hsm = new SoftHsm();
  hsm.addToken('keyless');
  hsm.addToken('twins');
  hsm.addToken('twins');
  hsm.generate('keyless', KEYS).forEach((key, at) => {
    publicKeys.set(KEYS[at]!.label, key);
  });
  setup = await makeKeyServers([]);
});
after(() => hsm.remove());

/** Those that were killed have ended. */
const noProcess = () => until(() => childPids().length === 0);

async function withToken<T>(
  options: Partial<Pkcs11Options>,
  work: (token: LiveKeyStore, key: (name: string) => StoredKey) => Promise<T>,
): Promise<T> {
  const token = await pkcs11Token({ ...OPTIONS, ...options });
  const idOf = (name: string) => subjectKeyId(publicKeys.get(name)!.export({ type: 'spki', format: 'der' }));
  try {
    return await work(token, (name) => token.find({ keyId: idOf(name), certificateDigest: undefined })!);
  } finally {
    token.close();
    await noProcess();
  }
}

test('a token has its keys, and a problem for each that cannot be used', async () => {
  const token = await pkcs11Token(OPTIONS);
  token.close();
  await noProcess();
  assert.deepEqual(
    token.keys.map(({ label }) => label).sort(),
    GOOD_KEYS.map((name) => `pkcs11 ${name}`).sort(),
  );
  const problems = Object.fromEntries(token.problems.map(({ file, reason }) => [file, reason]));
  assert.deepEqual(Object.keys(problems).sort(), [
    'pkcs11 may nothing',
    'pkcs11 no curve of TLS',
    'pkcs11 no\\x0apublic half',
  ]);
  assert.match(problems['pkcs11 no curve of TLS']!, /secp256k1/);
  assert.match(
    problems['pkcs11 no\\x0apublic half']!,
    /neither a public key nor a certificate of the same id/,
  );
  assert.match(problems['pkcs11 may nothing']!, /lets it sign nothing/);
});

test('keys are chosen by label or by id', () =>
  withToken(
    { keys: ['p384', `id:${Buffer.from('rsa').toString('hex').toUpperCase()}`] },
    async ({ keys }) => {
      assert.deepEqual(keys.map(({ label }) => label).sort(), ['pkcs11 p384', 'pkcs11 rsa']);
    },
  ));

test('a key of a token signs by every method of its kind, and the signatures verify', () =>
  withToken({}, async (_, key) => {
    const message = certificateVerify();
    const signed: SchemeName[] = [];
    for (const name of GOOD_KEYS) {
      for (const [scheme, method] of Object.entries(SIGNING_METHODS)) {
        if (!key(name).canSign!(method)) continue;
        const padding = method.algorithm === 'rsa-pss' ? constants.RSA_PKCS1_PSS_PADDING : undefined;
        const own = { key: publicKeys.get(name)!, ...(padding && { padding, saltLength: -1 }) };
        const signature = await key(name).sign(method, message);
        assert.ok(verify(method.hash, message, own, signature), `${name} ${scheme}`);
        signed.push(scheme as SchemeName);
      }
    }
    const expected = Object.entries(SIGNING_METHODS).flatMap(([scheme, { algorithm }]) => {
      if (algorithm === 'ecdsa') return [scheme, scheme, scheme];
      return algorithm === 'rsa-pkcs1' || scheme.startsWith('rsa_pss') ? [scheme] : [];
    });
    assert.deepEqual(signed.sort(), expected.sort());
  }));

const HANDSHAKES: readonly (readonly [string, tls.TlsOptions])[] = [
  ...GOOD_KEYS.map((name) => [name, { minVersion: 'TLSv1.3' }] as const),
  ...GOOD_KEYS.map((name) => [name, { maxVersion: 'TLSv1.2' }] as const),
  ['rsa', { maxVersion: 'TLSv1.2', sigalgs: 'RSA+SHA256' }],
  ['rsa', { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' }],
];

for (const [name, server] of HANDSHAKES) {
  test(`a handshake with a key that was generated in a token: ${name}, ${JSON.stringify(server)}`, () =>
    withToken({ decrypt: true }, async (keys) => {
      const publicPem = publicKeys.get(name)!.export({ type: 'spki', format: 'pem' }) as string;
      const site = (await setup.authority.issueForPublic(publicPem)) as Site;
      await using keyServer = await setup.start({ keys, allowDecrypt: 'every-key' });
      const edge = await startEdge(setup, site, [`127.0.0.1:${keyServer.port}`], { server });
      assert.deepEqual([await edge.visit(), edge.errors], ['ok', []]);
      await edge.close();
    }));
}

test('bare digests are not signed by a token, also where the context digest is allowed: error 05', () =>
  withToken({ keys: ['p256'] }, async (keys, key) => {
    await using server = await setup.start({ keys, contexts: ['tls13-server', 'digest'] });
    const peer = await connectPeer(server.port, setup.edgeOptions, 'field');
    const { keyId } = key('p256');
    const digest = signDigestRequest(P256.opcode!, Buffer.alloc(32, 1), { keyId });
    assert.deepEqual(await peer.ask(digest), { kind: 'error', code: 5 });
    const message = signRequest('ecdsa_secp256r1_sha256', certificateVerify(), { keyId });
    assert.equal((await peer.ask(message)).kind, 'result');
    peer.close();
  }));

test('a token decrypts where it is told to, and what is not below the modulus does not get to it', async () => {
  const premaster = Buffer.alloc(48, 3);
  await withToken({ decrypt: true }, async (_, key) => {
    const rsa = publicKeys.get('rsa')!;
    const ciphertext = publicEncrypt({ key: rsa, padding: constants.RSA_PKCS1_PADDING }, premaster);
    const block = Buffer.from(await key('rsa').decryptRaw!(ciphertext));
    assert.deepEqual([block.length, block.subarray(-48)], [256, premaster]);
    for (const bad of [Buffer.alloc(256, 0xff), Buffer.alloc(255), Buffer.alloc(257)]) {
      await assert.rejects(async () => key('rsa').decryptRaw!(bad), { code: 'ERR_KEYLESS_INVALID_ARGUMENT' });
    }
    assert.equal(key('p256').decryptRaw, undefined);
  });
  await withToken({}, async (_, key) => assert.equal(key('rsa').decryptRaw, undefined));
});

const CANNOT_OPEN: Readonly<Record<string, readonly [Partial<Pkcs11Options>, RegExp]>> = {
  'a module that is not there': [
    { library: '/nowhere/module.so' },
    /module \/nowhere\/module.so cannot be loaded/,
  ],
  'a module that is none': [{ library: '/dev/null' }, /module \/dev\/null cannot be loaded/],
  'another label': [
    { token: 'other\n' },
    /No token labelled "other\\x0a": there are .*"keyless" in slot \d+/,
  ],
  'a label of two tokens': [{ token: 'twins' }, /More than one token labelled "twins"/],
  'no label, where there are several': [{ token: undefined }, /More than one token: there are/],
  'another slot': [{ slot: 4_111_111 }, /No token labelled "keyless" in slot 4111111/],
  'no PIN': [{ pin: undefined }, /No PIN was given, and the token "keyless" asks for one/],
  'another PIN': [
    { pin: '000000' },
    /PIN was not accepted by the token "keyless": CKR_PIN_INCORRECT.*not tried again/,
  ],
  'a PIN that cannot be read': [
    {
      pin: () => {
        throw new Error('the file of the PIN is empty');
      },
    },
    /file of the PIN is empty/,
  ],
};

for (const [what, [options, message]] of Object.entries(CANNOT_OPEN)) {
  test(`a token is not opened with ${what}, and the error says so`, async () => {
    await assert.rejects(pkcs11Token({ ...OPTIONS, ...options }), (error: NodeJS.ErrnoException) => {
      assert.equal(error.code, 'ERR_KEYLESS_KEY_STORE');
      assert.match(error.message, message);
      assert.ok(!error.message.includes('000000'), 'no PIN');
      return true;
    });
    await noProcess();
  });
}

test('without pkcs11js the error says what to install', async () => {
  const folder = join(hsm.folder, 'without');
  const modules = fileURLToPath(new URL('../../../node_modules', import.meta.url));
  cpSync(fileURLToPath(new URL('../../lib', import.meta.url)), join(folder, 'lib'), {
    recursive: true,
  });
  mkdirSync(join(folder, 'node_modules'));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  symlinkSync(join(modules, '@noble'), join(folder, 'node_modules/@noble'));
  const url = pathToFileURL(join(folder, 'lib/server/stores/pkcs11-token.js'));
  const { pkcs11Token: without } = (await import(url.href)) as { pkcs11Token: typeof pkcs11Token };
  await assert.rejects(without(OPTIONS), { code: 'ERR_KEYLESS_KEY_STORE', message: /npm install pkcs11js/ });
  await noProcess();
});

test('a process that hangs is killed in time, whoever waits gets the next one, and this thread waits for nothing', async () => {
  const clock = new ManualClock();
  await withToken({ processes: 1, timeoutMs: 600, clock }, async (_, key) => {
    const [pid] = childPids();
    process.kill(pid!, 'SIGSTOP');
    const sign = async () => key('p256').sign(P256, certificateVerify());
    const stuck = assert.rejects(sign(), {
      code: 'ERR_KEYLESS_KEY_STORE',
      message: 'The token did not answer within 600 ms.',
    });
    clock.advance(300);
    const later = sign();
    for (let turns = 0; turns < 20; turns += 1) await new Promise(setImmediate);
    clock.advance(300);
    await stuck;
    assert.equal((await later)[0], 0x30);
    assert.ok(!childPids().includes(pid!));
    assert.equal(clock.pending, 0);
  });
});

test('a process that dies with a task is replaced, and the task done', () =>
  withToken({ processes: 1 }, async (_, key) => {
    const [pid] = childPids();
    process.kill(pid!, 'SIGSTOP');
    const signature = key('p256').sign(P256, certificateVerify());
    process.kill(pid!, 'SIGKILL');
    assert.equal((await signature)[0], 0x30);
  }));

test('a token closed while a process hangs ends at once', async () => {
  const token = await pkcs11Token(OPTIONS);
  const [pid] = childPids();
  process.kill(pid!, 'SIGSTOP');
  const key = token.keys.find(({ label }) => label === 'pkcs11 p256');
  const closed = { code: 'ERR_KEYLESS_KEY_STORE', message: /closed/ };
  const hanging = assert.rejects(token.reload(), closed);
  token.close();
  await hanging;
  await noProcess();
  await assert.rejects(async () => key!.sign(P256, certificateVerify()), closed);
});

test('more operations than may wait fail at once', async () => {
  const clock = new ManualClock();
  await withToken({ processes: 1, maxWaiting: 2, timeoutMs: 300, clock }, async (_, key) => {
    process.kill(childPids()[0]!, 'SIGSTOP');
    const sign = async () => key('p256').sign(P256, certificateVerify());
    const all = Promise.allSettled([sign(), sign(), sign(), sign()]);
    clock.advance(300);
    const outcomes = await all;
    const reason = (outcomes[3] as PromiseRejectedResult).reason as Error;
    assert.match(reason.message, /does not keep up: 2 operations wait already/);
  });
});

test('a PIN that is not accepted any more is tried once, and again when the keys are loaded anew', async () => {
  let pin = PIN;
  let asked = 0;
  const counted = () => {
    asked += 1;
    return pin;
  };
  await withToken({ processes: 1, pin: counted }, async (token, key) => {
    pin = '000000';
    process.kill(childPids()[0]!, 'SIGKILL');
    const sign = async () => key('p256').sign(P256, certificateVerify());
    const refused = { code: 'ERR_KEYLESS_KEY_STORE', message: /CKR_PIN_INCORRECT/ };
    await assert.rejects(sign(), refused);
    await assert.rejects(sign(), refused);
    assert.equal(asked, 2);
    pin = PIN;
    await token.reload();
    await sign();
    assert.equal(asked, 3);
  });
});

test('a PIN that is put right while the old one is being tried counts', async () => {
  let pin = PIN;
  await withToken({ processes: 1, pin: () => pin }, async (token, key) => {
    pin = '000000';
    process.kill(childPids()[0]!, 'SIGKILL');
    const sign = async () => key('p256').sign(P256, certificateVerify());
    await assert.rejects(sign(), { message: /CKR_PIN_INCORRECT/ });
    const wrong = token.reload();
    pin = PIN;
    await Promise.all([wrong, token.reload()]);
    await sign();
  });
});

test('a token that is removed is an error that says so; another with its label is found by a reload', async () => {
  hsm.addToken('leaving');
  hsm.generate('leaving', [{ type: 'p256', label: 'first' }]);
  await withToken({ token: 'leaving' }, async (token) => {
    const [first] = token.keys;
    hsm.removeToken('leaving');
    const gone = { code: 'ERR_KEYLESS_KEY_STORE', message: /No token labelled "leaving": there are/ };
    await assert.rejects(async () => first!.sign(P256, certificateVerify()), gone);
    await assert.rejects(token.reload(), gone);
    assert.deepEqual(token.keys, [first]);
    hsm.addToken('leaving');
    const [other] = hsm.generate('leaving', [{ type: 'p256', label: 'second' }]);
    const { added, removed } = await token.reload();
    assert.deepEqual([added.map(({ label }) => label), removed], [['pkcs11 second'], [first]]);
    const signature = await added[0]!.sign(P256, Buffer.from('message'));
    assert.ok(
      verify(
        'sha256',
        Buffer.from('message'),
        createPublicKey(other!.export({ format: 'pem', type: 'spki' })),
        signature,
      ),
    );
    await assert.rejects(async () => first!.sign(P256, certificateVerify()), {
      code: 'ERR_KEYLESS_KEY_STORE',
      message: /not in the token any more/,
    });
  });
});

test('the PIN is in no argument of the process that knows it', () =>
  withToken({}, async () => {
    const { readFileSync } = await import('node:fs');
    for (const pid of childPids()) {
      for (const file of ['cmdline', 'environ'])
        assert.ok(!readFileSync(`/proc/${pid}/${file}`, 'latin1').includes(PIN), file);
    }
  }));
