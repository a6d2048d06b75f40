import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePolicy } from '../../../lib/server/policy-file.ts';
import { repeatedMember } from '../../../lib/server/repeated-member.ts';

const CLIENT = { name: 'edge-1', identities: ['DNS:edge-1.internal'] };

function policy(more: object = {}, client: object = {}): string {
  return JSON.stringify({ version: 1, clients: [{ ...CLIENT, ...client }], ...more });
}

test('a member is repeated where it is in the same object only, and a string is none', () => {
  for (const text of [
    '{"a":{"a":[{"a":1},{"a":2}]},"b":"a"}',
    '{"a":"\\"b\\":{","b":"}\\\\","c":["c","c:"]}',
    '[]',
    '"a"',
  ]) {
    assert.equal(repeatedMember(JSON.stringify(JSON.parse(text))), undefined, text);
    assert.equal(repeatedMember(text), undefined, text);
  }
  assert.equal(repeatedMember('{"b":[{"a\\"":1, "c":{}, "a\\u0022" :2}]}'), 'a"');
});

test('a policy with everything is read', () => {
  const everything = {
    keys: ['aa'.repeat(20)],
    servernames: ['*.example.org', 'example.org'],
    contexts: ['tls13-server'],
    decrypt: false,
    tickets: { group: 'edges' },
    rate: { perSecond: 100, burst: 200 },
    ratePerKey: { perSecond: 10 },
    identities: ['DNS:edge-1.internal', 'URI:spiffe://example.org/edge', `sha256/${'A'.repeat(43)}=`],
  };
  const keys = {
    ['aa'.repeat(20)]: { contexts: ['tls13-server', 'digest'] },
    ['BB'.repeat(20)]: { uses: ['sign', 'decrypt'] },
  };
  const all = parsePolicy(policy({ revoked: ['DNS:gone.internal'], keys }, everything));
  const { clients, revoked } = all;
  assert.deepEqual(all.keys, keys);
  assert.deepEqual(clients[0], { ...CLIENT, ...everything });
  assert.deepEqual(revoked, ['DNS:gone.internal']);
});

const BAD: readonly [what: string, text: string, says: RegExp][] = [
  ['is empty', '', /not JSON/],
  ['is not JSON', '{', /not JSON/],
  ['is a list', '[]', /the file/],
  ['has no version', '{"clients":[]}', /version/],
  ['is of a future version', '{"version":2,"clients":[]}', /version/],
  ['has an unknown word', policy({ client: [] }), /client/],
  ['has a client with an unknown word', policy({}, { key: [] }), /clients\.0/],
  ['has a client without identity', policy({}, { identities: [] }), /clients\.0\.identities/],
  ['has an identity of no kind', policy({}, { identities: ['edge-1'] }), /clients\.0\.identities\.0/],
  ['has a short key id', policy({}, { keys: ['abc'] }), /clients\.0\.keys\.0/],
  ['has a pattern in the middle', policy({}, { servernames: ['www.*.org'] }), /clients\.0\.servernames\.0/],
  ['has a context that cannot be recognised', policy({}, { contexts: ['tls12-client'] }), /contexts\.0/],
  ['has a key by its name', policy({ keys: { 'site.key': {} } }), /keys\.site\.key/],
  ['has a key for nothing', policy({ keys: { ['aa'.repeat(20)]: { uses: [] } } }), /keys\.a+\.uses/],
  ['has a key for what is no use', policy({ keys: { ['aa'.repeat(20)]: { uses: ['wrap'] } } }), /uses\.0/],
  [
    'has one key twice',
    policy({ keys: { ['aa'.repeat(20)]: {}, ['AA'.repeat(20)]: {} } }),
    /the key "a+" is there twice/,
  ],
  [
    'has one member twice',
    policy({ revoked: ['DNS:edge-1.internal'] }).replace(/}$/, ',"revoked":[]}'),
    /"revoked" is there twice/,
  ],
  [
    'has one member twice, written with an escape, in a client',
    policy({}, { keys: [] }).replace('"keys":', '"k\\u0065ys": [] , "keys" :'),
    /"keys" is there twice/,
  ],
  ['has a rate of nothing', policy({}, { rate: { perSecond: 0 } }), /rate\.perSecond/],
  ['has tickets without a group', policy({}, { tickets: {} }), /clients\.0\.tickets/],
  [
    'has a client with the name of the rest',
    policy({}, { name: 'other' }),
    /clients\.0\.name: must not be "other"/,
  ],
  [
    'names one identity twice in one client',
    policy({}, { identities: ['DNS:a', 'DNS:A'] }),
    /the client "edge-1" has the identity "DNS:A" twice/,
  ],
  ['has a name with a newline', policy({}, { name: 'a\nb' }), /clients\.0\.name/],
  [
    'names one identity twice, spelt differently',
    JSON.stringify({
      version: 1,
      clients: [CLIENT, { name: 'edge-2', identities: ['DNS:EDGE-1.internal'] }],
    }),
    /two clients have the identity "DNS:EDGE-1\.internal"/,
  ],
  [
    'gives two clients one name',
    JSON.stringify({ version: 1, clients: [CLIENT, { ...CLIENT, identities: ['DNS:edge-2.internal'] }] }),
    /two clients have the name "edge-1"/,
  ],
  ['has a key of a strange name', policy({ keys: {} }).replace('{}', '{"__proto__":{}}'), /keys\.__proto__/],
  ['has a name that is not in ASCII', policy({ revoked: ['DNS:bücher.internal'] }), /revoked\.0/],
  [
    'revokes what may have been meant for a name',
    policy({ revoked: ['edge-7'] }),
    /revoked\.0: must be a name such as "DNS:.*, or a key such as .*, or the SHA-256 fingerprint of a certificate/,
  ],
  ['has a name with a space', policy({ revoked: ['DNS:edge 1'] }), /revoked\.0/],
  ['has a key of 257 bits', policy({ revoked: [`sha256/${'A'.repeat(42)}B=`] }), /revoked\.0/],
  ['names one identity twice', JSON.stringify({ version: 1, clients: [CLIENT, CLIENT] }), /two clients/],
];

for (const [what, text, says] of BAD) {
  test(`a policy that ${what} is refused with the place`, () => {
    assert.throws(() => parsePolicy(text), { code: 'ERR_KEYLESS_INVALID_ARGUMENT', message: says });
  });
}
