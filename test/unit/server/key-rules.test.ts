/** What each key is for: contexts of its own, and signing or decryption, never both by chance. */
import assert from 'node:assert/strict';
import { constants, createHash, publicEncrypt, randomBytes } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { after, before, test } from 'node:test';
import { decodeCapabilities } from '../../../lib/protocol/capabilities.ts';
import {
  capabilitiesRequest,
  premasterRequest,
  signDigestRequest,
  signRequest,
} from '../../../lib/protocol/request-encoder.ts';
import type { ServerOperation } from '../../../lib/server/channels.ts';
import type { ClientOptions } from '../../../lib/server/grants.ts';
import { type KeyOptions, KeyRules, type KeysOptions } from '../../../lib/server/key-rules.ts';
import type { KeyServer, KeyServerOptions } from '../../../lib/server/key-server.ts';
import { policyOf } from '../../../lib/server/policy.ts';
import { certificateVerify, x25519Exchange } from '../../helpers/handshake-messages.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';
import { connectPeer, type WirePeer } from '../../helpers/wire-peer.ts';

let setup: KeyServerSetup;
let keyServer: (KeyServer & { port: number }) | undefined;
let peer: WirePeer;

before(async () => {
  setup = await makeKeyServers(['rsa', 'p256']);
});
after(end);

async function end(): Promise<void> {
  peer?.close();
  await keyServer?.close();
}

const idOf = (kind: string) => setup.sites[kind]!.keyId.toString('hex');
const CLIENT = { name: 'any', identities: ['DNS:localhost'] };

async function serve(keys: Record<string, KeyOptions>, more: Partial<KeyServerOptions> = {}): Promise<void> {
  await end();
  keyServer = await setup.start({ grants: { clients: [CLIENT], keys }, ...more });
  peer = await connectPeer(keyServer.port, setup.edgeOptions);
}

async function result(items: Parameters<WirePeer['ask']>[0]): Promise<string | number> {
  const answer = await peer.ask(items);
  return answer.kind === 'error' ? answer.code : answer.kind;
}

const sign = (kind: 'rsa' | 'p256', message: Buffer) =>
  result(
    signRequest(
      kind === 'rsa' ? 'rsa_pss_rsae_sha256' : 'ecdsa_secp256r1_sha256',
      message,
      setup.sites[kind]!,
    ),
  );
const signDigest = (kind: 'rsa' | 'p256') =>
  result(
    signDigestRequest(
      kind === 'rsa' ? 0x35 : 0x15,
      createHash('sha256').update(randomBytes(9)).digest(),
      setup.sites[kind]!,
    ),
  );
function decrypt(kind: 'rsa' | 'p256' = 'rsa') {
  const padding = constants.RSA_PKCS1_PADDING;
  const ciphertext = publicEncrypt({ key: setup.sites.rsa!.publicKey, padding }, randomBytes(48));
  return result(premasterRequest(ciphertext, 0x0303, setup.sites[kind]!));
}
const NOT_THERE = 2;

async function capabilities() {
  const answer = await peer.ask(capabilitiesRequest());
  assert.ok(answer.kind === 'result');
  return decodeCapabilities(answer.payload);
}

test('a key has the contexts that the policy gives it, and the others those of the key server', async () => {
  await serve({ [idOf('p256').toUpperCase()]: { contexts: ['tls13-client', 'tls12-server'] } });
  assert.equal(await sign('p256', certificateVerify('client')), 'result');
  assert.equal(await sign('p256', x25519Exchange()), 'result');
  assert.equal(await sign('p256', certificateVerify()), NOT_THERE);
  assert.equal(await sign('rsa', certificateVerify()), 'result');
  assert.equal(await sign('rsa', certificateVerify('client')), NOT_THERE);
});

test('digests are signed with the key that is for them, and with no other', async () => {
  await serve({ [idOf('p256')]: { contexts: ['digest'] } });
  assert.equal(await signDigest('p256'), 'result');
  assert.equal(await signDigest('rsa'), NOT_THERE);
  assert.equal(await sign('p256', certificateVerify()), NOT_THERE);
  assert.equal(await sign('rsa', certificateVerify()), 'result');
});

/** One message, asked for in so many ways. */
const WAYS: Readonly<Record<string, (message: Buffer) => Parameters<WirePeer['ask']>[0]>> = {
  'by SHA-256': (message) => signRequest('rsa_pss_rsae_sha256', message, setup.sites.rsa!),
  'by SHA-384': (message) => signRequest('rsa_pss_rsae_sha384', message, setup.sites.rsa!),
  'by SHA-256, with the other key': (message) =>
    signRequest('ecdsa_secp256r1_sha256', message, setup.sites.p256!),
  'as a digest of SHA-256': (message) =>
    signDigestRequest(0x15, createHash('sha256').update(message).digest(), setup.sites.p256!),
  'as a digest of SHA-384': (message) =>
    signDigestRequest(0x36, createHash('sha384').update(message).digest(), setup.sites.rsa!),
};
for (const [first, askFirst] of Object.entries(WAYS)) {
  test(`a message that was signed ${first} is not signed in another way, nor again`, async () => {
    const contexts = ['tls12-server', 'tls13-server', 'digest'] as const;
    await serve({ [idOf('p256')]: { contexts }, [idOf('rsa')]: { contexts } });
    for (const [second, askSecond] of Object.entries(WAYS)) {
      const message = certificateVerify();
      const answer = await peer.ask(askFirst(message));
      assert.equal(answer.kind, 'result');
      if (first === second) {
        assert.deepEqual(await peer.ask(askSecond(message)), answer, 'the same one');
        continue;
      }
      // Of a digest it is not known which message has it by another hash.
      const isFree = /digest/.test(first) && /digest/.test(second);
      assert.equal(await result(askSecond(message)), isFree ? 'result' : 6, second);
    }
  });
}

test('a message that was signed by SHA-384 when no digests were is known by that digest, too', async () => {
  const message = certificateVerify();
  await serve({});
  assert.equal(await result(WAYS['by SHA-384']!(message)), 'result');
  keyServer!.setGrants({ clients: [CLIENT], keys: { [idOf('rsa')]: { contexts: ['digest'] } } });
  assert.equal(await result(WAYS['as a digest of SHA-384']!(message)), 6);
  assert.equal(await result(WAYS['as a digest of SHA-384']!(certificateVerify())), 'result');
});

test('a client whose own contexts leave digests out has none signed', async () => {
  const keys = { [idOf('p256')]: { contexts: ['tls13-server', 'digest'] as const } };
  await serve(keys, { grants: { clients: [{ ...CLIENT, contexts: ['tls13-server'] }], keys } });
  assert.deepEqual([await signDigest('p256'), await sign('p256', certificateVerify())], [5, 'result']);
  keyServer!.setGrants({ clients: [{ ...CLIENT, contexts: ['digest'] }], keys });
  assert.deepEqual(
    [await signDigest('p256'), await sign('p256', certificateVerify())],
    ['result', NOT_THERE],
  );
});

test('no key decrypts that is not named for it, and a key for decryption does not sign', async () => {
  await serve({});
  assert.equal(await decrypt(), 5);
  await serve({ [idOf('p256')]: { uses: ['decrypt'] } });
  assert.equal(await decrypt(), NOT_THERE, 'decryption is on, for another key');
  assert.equal(await sign('p256', certificateVerify()), NOT_THERE);
  await serve({ [idOf('rsa')]: { uses: ['decrypt'] } });
  assert.deepEqual([await decrypt(), await sign('rsa', certificateVerify())], ['result', NOT_THERE]);
  await serve({ [idOf('rsa')]: { uses: ['sign', 'decrypt'] } });
  assert.deepEqual([await decrypt(), await sign('rsa', certificateVerify())], ['result', 'result']);
});

test('a key is named for both by its label or its id; the policy has the last word', async () => {
  for (const name of ['rsa', idOf('rsa'), idOf('rsa').toUpperCase()]) {
    await serve({}, { allowDecrypt: [name] });
    assert.deepEqual([await decrypt(), await sign('rsa', certificateVerify())], ['result', 'result'], name);
    assert.equal(await decrypt('p256'), NOT_THERE);
  }
  for (const name of ['rsa', idOf('rsa')]) {
    await serve({ [idOf('rsa')]: { uses: ['sign'] } }, { allowDecrypt: [name] });
    assert.equal(await decrypt(), 5, 'nothing decrypts');
    assert.ok(!(await capabilities()).functions.includes('rsa-premaster'));
  }
  await serve({ [idOf('rsa')]: { uses: ['sign'] } }, { allowDecrypt: ['rsa', 'later'] });
  assert.equal(await decrypt(), NOT_THERE, 'a key of that label may come later');
});

test('what a client may have decrypted is not looked for among all of its keys at each request', () => {
  let looks = 0;
  const keys = new Set(['aa'.repeat(20), 'bb'.repeat(20)]);
  const each = keys[Symbol.iterator].bind(keys);
  keys[Symbol.iterator] = () => {
    looks += 1;
    return each();
  };
  for (const allowDecrypt of [['label'], ['bb'.repeat(20)], 'every-key'] as const) {
    looks = 0;
    const rules = new KeyRules(policyOf({ allowDecrypt }), { find: () => undefined, named: () => [] });
    const scope = { keys, contexts: undefined, decrypts: true };
    const said = [rules.decryptsFor(scope), rules.decryptsFor(scope), rules.decryptsFor(scope)];
    assert.equal(new Set(said).size, 1);
    assert.ok(looks <= 1, `${allowDecrypt}: ${looks}`);
  }
});

test('other rules hold at once for the connections that are there, capabilities as well', async () => {
  await serve({});
  assert.ok(!(await capabilities()).functions.includes('rsa-premaster'));
  keyServer!.setGrants({
    clients: [CLIENT],
    keys: { [idOf('rsa')]: { contexts: ['digest'], uses: ['sign', 'decrypt'] } },
  });
  const { functions, contexts } = await capabilities();
  assert.ok(functions.includes('rsa-premaster') && contexts.includes('digest'));
  assert.deepEqual([await decrypt(), await signDigest('rsa')], ['result', 'result']);
});

/** Others' keys: what is configured for them must make no difference. */
const FOR_OTHERS: Readonly<Record<string, readonly [KeysOptions, Partial<KeyServerOptions>]>> = {
  'blind digests': [{ [randomBytes(20).toString('hex')]: { contexts: ['digest', 'tls13-client'] } }, {}],
  decryption: [{ [randomBytes(20).toString('hex')]: { uses: ['decrypt'] } }, {}],
  'decryption, by their label': [{}, { allowDecrypt: ['rsa'] }],
};

for (const [what, [keys, options]] of Object.entries(FOR_OTHERS)) {
  test(`a client cannot tell that keys of others are for ${what}`, async () => {
    const own: ClientOptions = { ...CLIENT, keys: [idOf('p256')] };
    const told = async (rules: KeysOptions, more: Partial<KeyServerOptions>) => {
      await serve(rules, {
        grants: { clients: [own, { name: 'b', identities: ['DNS:b'] }], keys: rules },
        ...more,
      });
      const { time: _, ...said } = await capabilities();
      const digests = [await signDigest('p256'), await signDigest('rsa')];
      const messages = [
        await sign('p256', certificateVerify('client')),
        await sign('rsa', certificateVerify()),
      ];
      return {
        capabilities: said,
        digests,
        messages,
        premasters: [await decrypt('p256'), await decrypt('rsa')],
      };
    };
    const alone = await told({}, {});
    assert.deepEqual(alone.digests, [5, 5]);
    assert.deepEqual(alone.premasters, [5, 5]);
    assert.deepEqual(await told(keys, options), alone);
  });
}

test('a client is told of what its own keys are for, by their label too', async () => {
  const own: ClientOptions = { ...CLIENT, keys: [idOf('rsa'), idOf('p256')] };
  const keys: KeysOptions = { [idOf('p256')]: { contexts: ['digest'] } };
  await serve({}, { grants: { clients: [own], keys }, allowDecrypt: ['rsa'] });
  const { functions, contexts } = await capabilities();
  assert.ok(functions.includes('rsa-premaster'));
  assert.deepEqual([...contexts].sort(), ['digest', 'tls12-server', 'tls13-server']);
  assert.deepEqual([await decrypt('p256'), await signDigest('rsa')], [NOT_THERE, NOT_THERE]);
  keyServer!.setGrants({ clients: [{ ...own, decrypt: false }], keys });
  assert.equal(await decrypt('rsa'), 5);
});

test('the operator is told of a digest, and why a key was not used', async () => {
  await serve({ [idOf('p256')]: { contexts: ['digest'] }, [idOf('rsa')]: { uses: ['decrypt'] } });
  const told: ServerOperation[] = [];
  const listener = (message: unknown) => void told.push(message as ServerOperation);
  subscribe('keyless-tls:server:operation', listener);
  await signDigest('p256');
  await signDigest('rsa');
  await decrypt('p256');
  unsubscribe('keyless-tls:server:operation', listener);
  assert.deepEqual(
    told.map(({ context, transcript, refusal }) => [context, transcript?.length, refusal]),
    [
      ['digest', 64, undefined],
      ['digest', 64, 'use-not-allowed'],
      [undefined, undefined, 'use-not-allowed'],
    ],
  );
});

for (const allowDecrypt of [true, [1], 'rsa']) {
  test(`allowDecrypt is a list of names, not ${JSON.stringify(allowDecrypt)}`, async () => {
    const options = { allowDecrypt } as unknown as Partial<KeyServerOptions>;
    await assert.rejects(setup.start(options), { code: 'ERR_KEYLESS_INVALID_ARGUMENT' });
  });
}
