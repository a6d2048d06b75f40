/** A renewal gives nobody more than the policy says: `keyless-tls init --renew-due`, as a timer runs it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { CertificateAuthority } from '../../lib/cli/certificate-authority.ts';
import type { PolicyDraft } from '../../lib/cli/policy-edit.ts';
import { Clients } from '../../lib/server/clients.ts';
import type { ClientOptions } from '../../lib/server/grants.ts';
import { identityOf } from '../../lib/server/peer-identity.ts';
import { MAIN } from '../helpers/serve-process.ts';

let pki: string;

const at = (name: string) => join(pki, name);
const policy = () => JSON.parse(readFileSync(at('server/policy.json'), 'utf8')) as PolicyDraft;
const identity = (edge: string) =>
  identityOf(new X509Certificate(readFileSync(at(`edges/${edge}/edge.crt`))));
const clientOf = (edge: string) => new Clients(policy()).find(identity(edge));

function cli(...args: string[]) {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });
}

function renew(...args: string[]) {
  return cli('init', pki, ...(args.length === 0 ? ['--renew-due', '10'] : args));
}

function writePolicy(clients: readonly ClientOptions[], revoked: readonly string[] = []): void {
  writeFileSync(at('server/policy.json'), JSON.stringify({ version: 1, clients, revoked }));
}

beforeEach(() => {
  pki = mkdtempSync(join(tmpdir(), 'keyless-tls-renewal-'));
  const made = cli('init', pki, '--edge', 'e1', '--edge', 'e2', '--days', '5');
  assert.deepEqual([made.status, made.stderr], [0, '']);
});
afterEach(() => rmSync(pki, { recursive: true, force: true }));

for (const [what, revoked] of [
  ['its key', () => identity('e1').pin],
  ['its certificate', () => identity('e1').fingerprint],
  ['its name, in another case', () => 'DNS:E1'],
] as const) {
  test(`an edge that was revoked by ${what} is not renewed, the others are, and the timer goes on`, () => {
    assert.equal(cli('revoke', '--policy', at('server/policy.json'), revoked()).status, 0);
    const [e1, e2, before] = [identity('e1'), identity('e2'), policy()];
    const { status, stderr } = renew();
    assert.equal(status, 0);
    assert.match(stderr, /^keyless-tls: edges\/e1 is not renewed: it is revoked in .*policy\.json\..*\n$/);
    assert.deepEqual([identity('e1'), policy()], [e1, before]);
    assert.notEqual(identity('e2').pin, e2.pin);
    assert.equal(clientOf('e2')?.name, 'e2');
  });
}

test('an edge that was taken out of the policy is not renewed, nor put back', () => {
  const { clients } = policy();
  writePolicy(clients.filter(({ name }) => name !== 'e1'));
  const e1 = identity('e1');
  const { status, stderr } = renew();
  assert.equal(status, 0);
  assert.match(stderr, /edges\/e1 is not renewed: .*policy\.json does not name it/);
  assert.deepEqual([identity('e1'), clientOf('e1')], [e1, undefined]);
  const named = renew('--renew', '--edge', 'e1');
  assert.deepEqual([named.status, identity('e1'), clientOf('e1')], [1, e1, undefined]);
  const again = renew('--edge', 'e1');
  assert.deepEqual([again.status, clientOf('e1')], [0, undefined]);
  assert.match(again.stderr, /does not name it/);
});

test('without a policy nobody is renewed, and none is made, and the exit code says so', () => {
  renameSync(at('server/policy.json'), at('elsewhere.json'));
  const e1 = identity('e1');
  const without = renew();
  assert.equal(without.status, 1);
  assert.match(without.stderr, /edges\/e1 is not renewed: there is no .*policy\.json\./);
  assert.deepEqual(
    [identity('e1'), statSync(at('server/policy.json'), { throwIfNoEntry: false })],
    [e1, undefined],
  );
  const elsewhere = renew('--renew-due', '10', '--policy', at('elsewhere.json'));
  assert.deepEqual([elsewhere.status, elsewhere.stderr], [0, '']);
  assert.notEqual(identity('e1').pin, e1.pin);
});

test('an edge that the policy knows by its key gets its new key into the same place, and nothing else', () => {
  const keys = ['aa'.repeat(20)];
  const [old, other] = [identity('e1').pin, policy().clients.filter(({ name }) => name === 'e2')];
  // Whoever has no key that is named falls into the last one: it may everything.
  writePolicy([
    { name: 'pinned', identities: [old], keys },
    ...other,
    { name: 'any', identities: ['DNS:e1'] },
  ]);
  assert.equal(renew().status, 0);
  const [{ pin: renewed }, client] = [identity('e1'), clientOf('e1')];
  assert.notEqual(renewed, old);
  assert.deepEqual(client, { name: 'pinned', identities: [old, renewed], keys });
  assert.deepEqual(
    policy().clients.map(({ name }) => name),
    ['pinned', 'e2', 'any'],
  );
});

test('a new edge whose name another client has is not made, and what to do is said; the others are', () => {
  writePolicy([...policy().clients, { name: 'e3', identities: ['DNS:elsewhere.internal'] }]);
  const before = policy();
  const { status, stderr } = cli('init', pki, '--edge', 'e3', '--edge', 'e4');
  assert.equal(status, 1);
  assert.match(
    stderr,
    /edges\/e3 is not made: .*policy\.json has another client of that name\. Give the edge/,
  );
  assert.equal(existsSync(at('edges/e3')), false);
  assert.deepEqual(policy().clients.slice(0, -1), before.clients);
  assert.equal(clientOf('e4')?.name, 'e4');
});

test('files that are replaced keep their permissions', () => {
  for (const name of ['server/server.crt', 'edges/e1/edge.key']) chmodSync(at(name), 0o640);
  assert.equal(renew().status, 0);
  for (const name of ['server/server.crt', 'edges/e1/edge.key']) {
    assert.equal(statSync(at(name)).mode & 0o777, 0o640, name);
  }
});

test('what is no client’s is revoked, and said to be nobody’s; what cannot be a client’s is not', () => {
  const revoke = (...what: string[]) => cli('revoke', '--policy', at('server/policy.json'), ...what);
  const nobody = revoke('DNS:e1', 'DNS:e9');
  assert.equal(nobody.status, 1);
  assert.match(nobody.stdout, /^2 revoked in /);
  assert.match(nobody.stderr, /^keyless-tls: No client of the policy is, or has, DNS:e9: /);
  assert.deepEqual(policy().revoked, ['DNS:e1', 'DNS:e9']);
  const server = revoke(at('server/server.crt'));
  assert.deepEqual([server.status, policy().revoked?.length], [1, 3]);
  assert.match(server.stderr, /No client of the policy is, or has, .*server\.crt: /);
  for (const [given, why] of [
    ['DNS:*.e1', /"DNS:\*\.e1" is no client's: names are no patterns/],
    [at('ca/ca.crt'), /ca\.crt" is the certificate of an authority, and no client's/],
  ] as const) {
    const { status, stdout, stderr } = revoke('DNS:e2', given);
    assert.deepEqual([status, stdout, policy().revoked?.length], [2, '', 3]);
    assert.match(stderr, why);
  }
});

test('whose a key or a certificate is, the policy may not know; and a name may have an asterisk in it', () => {
  writePolicy([{ name: 'all', identities: ['DNS:*.e1'] }]);
  const fingerprint = identity('e1').fingerprint;
  const pins = [identity('e1').pin, fingerprint, 'DNS:*.E1'];
  const { status, stderr } = cli('revoke', '--policy', at('server/policy.json'), ...pins);
  assert.deepEqual([status, stderr, policy().revoked], [0, '', pins]);
  writePolicy([{ name: 'e1', identities: [identity('e1').pin] }]);
  const named = cli('revoke', '--policy', at('server/policy.json'), 'DNS:e1');
  assert.deepEqual([named.status, named.stderr, policy().revoked], [0, '', ['DNS:e1']]);
  assert.match(named.stdout, /\nNo client of the policy is, or has, DNS:e1: /);
});

test('a key that is no client’s is revoked, and said to be nobody’s, unless it may be that of a client with a name', () => {
  const { pin, fingerprint } = identity('e1');
  const revoke = (...what: string[]) => cli('revoke', '--policy', at('server/policy.json'), ...what);
  const slip = `sha256/${'A'.repeat(43)}=`;
  const said = new RegExp(`No client of the policy is, or has, ${slip}: `);
  writePolicy([{ name: 'e1', identities: [pin] }]);
  const nobody = revoke(pin, slip, fingerprint);
  assert.deepEqual([nobody.status, policy().revoked], [1, [pin, slip, fingerprint]]);
  assert.match(nobody.stderr, said);
  writePolicy([
    { name: 'e1', identities: [pin] },
    { name: 'e2', identities: ['DNS:e2'] },
  ]);
  const perhaps = revoke(slip);
  assert.deepEqual([perhaps.status, perhaps.stderr, policy().revoked], [0, '', [slip]]);
  assert.match(perhaps.stdout, said);
});

test('a certificate of which neither key nor name is a client’s is revoked, and said to be nobody’s', () => {
  for (const known of [identity('e1').pin, 'DNS:e1']) {
    writePolicy([{ name: 'e1', identities: [known] }]);
    const nobodys = cli('revoke', '--policy', at('server/policy.json'), at('edges/e2/edge.crt'));
    assert.deepEqual([nobodys.status, policy().revoked], [1, [identity('e2').pin]], known);
    assert.match(nobodys.stderr, /No client of the policy is, or has, \S*e2\/edge\.crt: /);
  }
});

test('a certificate that is revoked says as whom its client is still served', () => {
  const revoke = (what: string) => cli('revoke', '--policy', at('server/policy.json'), what);
  const byKey = revoke(at('edges/e1/edge.crt'));
  assert.match(byKey.stdout, /^1 revoked in .*\ne1 is still served as DNS:e1, with another key: /);
  assert.match(revoke('DNS:e2').stdout, /^2 revoked in .*\n$/);
  assert.match(revoke(at('edges/e2/edge.crt')).stdout, /^3 revoked in .*\n$/);
});

for (const [what, damage] of [
  ['empty', ''],
  ['half of one', '-----BEGIN CERTIFICATE-----\nMIIB'],
] as const) {
  test(`a certificate that is damaged (${what}) is named and not renewed, the others are, and the exit code is 1`, () => {
    for (const [damaged, advice, whole] of [
      ['edges/e1/edge.crt', /make the edge anew with --edge/, ['server/server.crt', 'edges/e2/edge.crt']],
      [
        'server/server.crt',
        /make another with --renew and --server/,
        ['edges/e1/edge.crt', 'edges/e2/edge.crt'],
      ],
    ] as const) {
      const before = [damaged, ...whole].map((name) => readFileSync(at(name), 'utf8'));
      writeFileSync(at(damaged), damage);
      const { status, stderr } = renew('--renew-due', '10');
      assert.equal(status, 1);
      assert.match(stderr, new RegExp(`^keyless-tls: ${damaged} cannot be used: .*\\n$`));
      assert.match(stderr, advice);
      const changed = whole.map((name, index) => readFileSync(at(name), 'utf8') !== before[index + 1]);
      assert.deepEqual([readFileSync(at(damaged), 'utf8'), ...changed], [damage, true, true]);
      writeFileSync(at(damaged), before[0]!);
      assert.equal(
        renew('--renew', '--edge', 'e1', '--edge', 'e2', '--server', 'localhost', '--days', '5').status,
        0,
      );
    }
  });
}

test('a damaged certificate of the server is made anew where its names are given; of an edge that is named, it is said', () => {
  for (const name of ['edges/e1/edge.crt', 'server/server.crt']) writeFileSync(at(name), '');
  const { status, stderr } = renew('--renew', '--edge', 'e1', '--edge', 'e2', '--server', 'localhost');
  assert.equal(status, 1);
  assert.match(stderr, /^keyless-tls: edges\/e1\/edge\.crt cannot be used: .*\n$/);
  assert.equal(new X509Certificate(readFileSync(at('server/server.crt'))).subjectAltName, 'DNS:localhost');
  rmSync(at('edges/e1'), { recursive: true });
  assert.equal(renew('--edge', 'e1').status, 0);
  assert.equal(clientOf('e1')?.name, 'e1');
});

test('a name that is revoked gets no new certificate, also where its folder was taken away', () => {
  assert.equal(cli('revoke', '--policy', at('server/policy.json'), 'DNS:e1').status, 0);
  rmSync(at('edges/e1'), { recursive: true });
  const { status, stderr } = renew('--edge', 'E1', '--edge', 'e3');
  assert.equal(status, 1);
  assert.match(stderr, /^keyless-tls: edges\/E1 is not made: it is revoked in .*policy\.json\. Give .*\n$/);
  assert.deepEqual([existsSync(at('edges/E1')), clientOf('e3')?.name], [false, 'e3']);
});

test('two edges whose names differ in case only would be one client, and the second is not made', () => {
  const before = policy();
  for (const names of [['E1'], ['e4', 'E4']]) {
    const { status, stderr } = renew(...names.flatMap((name) => ['--edge', name]));
    const last = names.at(-1)!;
    assert.equal(status, 1);
    assert.match(
      stderr,
      new RegExp(`^keyless-tls: edges/${last} is not made: edges/${last.toLowerCase()} has that name`),
    );
    assert.equal(existsSync(at(`edges/${last}`)), false);
  }
  assert.deepEqual(policy().clients.slice(0, -1), before.clients);
});

test('a --server that the certificate there is not for is told of, and the commands have the name that it is for', () => {
  const given = renew('--server', 'new.example', '--edge', 'e5');
  assert.equal(given.status, 1);
  assert.match(
    given.stderr,
    /^keyless-tls: server\/server\.crt is there, .* not for new\.example\. Make another/,
  );
  assert.match(given.stdout, /--server localhost:2407$/m);
  const known = renew('--server', 'LOCALHOST', '--edge', 'e6');
  assert.deepEqual([known.status, known.stderr], [0, '']);
});

test('what ends in a number is no name of a server, unless it is an address; paths are printed as a shell takes them', () => {
  const slip = renew('--renew', '--server', '10.0.0.300');
  assert.equal(slip.status, 2);
  assert.match(slip.stderr, /--server "10\.0\.0\.300" is not a host name/);
  const made = cli('init', at("it's here"));
  assert.equal(made.status, 0);
  assert.match(made.stdout, /--keys '\S*\/it'\\''s here\/server\/keys' --policy '/);
});

for (const [what, take, left] of [
  ['its certificate is gone', () => rmSync(at('ca/ca.crt')), 'ca/ca.key'],
  ['its folder was taken offline', () => renameSync(at('ca'), at('offline')), 'server/ca.crt'],
] as const) {
  test(`no second authority is made where there was one and ${what}`, () => {
    const [key, e1] = [readFileSync(at('ca/ca.key'), 'utf8'), identity('e1')];
    take();
    const folder = existsSync(at('offline')) ? 'offline' : 'ca';
    for (const args of [
      ['--edge', 'e3'],
      ['--renew', '--edge', 'e1'],
      ['--renew-due', '10'],
    ]) {
      const { status, stderr } = renew(...args);
      assert.equal(status, 1, args.join(' '));
      assert.match(stderr, new RegExp(`There is ${left}, but not ca/ca\\.crt: bring .* back`));
    }
    assert.equal(readFileSync(at(`${folder}/ca.key`), 'utf8'), key);
    assert.deepEqual([identity('e1'), existsSync(at('edges/e3'))], [e1, false]);
  });
}

test('of an authority that is damaged the files are named', () => {
  for (const name of ['ca/ca.crt', 'ca/ca.key']) {
    const whole = readFileSync(at(name));
    writeFileSync(at(name), '');
    const { status, stderr } = renew('--edge', 'e3');
    assert.equal(status, 1);
    assert.match(stderr, /^keyless-tls: ca\/ca\.crt and ca\/ca\.key cannot be used: /);
    writeFileSync(at(name), whole);
  }
  assert.equal(renew('--edge', 'e3').status, 0);
});

test('a certificate that is gone is told of where its key is there, which stays', () => {
  const keys = ['edges/e1/edge.key', 'server/server.pem'].map((name) => readFileSync(at(name), 'utf8'));
  for (const name of ['edges/e1/edge.crt', 'server/server.crt']) rmSync(at(name));
  const e2 = identity('e2');
  for (const args of [
    ['--renew-due', '10'],
    ['--edge', 'e1'],
    ['--renew', '--edge', 'e1'],
  ]) {
    const { status, stderr } = renew(...args);
    assert.equal(status, 1);
    assert.match(
      stderr,
      /edges\/e1\/edge\.crt cannot be used: it is gone, and its key is there\. Put it back; or/,
    );
    assert.match(
      stderr,
      /server\/server\.crt cannot be used: it is gone, and its key is there\. Put it back, or/,
    );
  }
  assert.deepEqual(
    ['edges/e1/edge.key', 'server/server.pem'].map((name) => readFileSync(at(name), 'utf8')),
    keys,
  );
  assert.notEqual(identity('e2').pin, e2.pin);
});

test('an edge whose making was interrupted has a key and its certificate or neither, and the rest when it is made again', () => {
  for (const [file, left] of [
    ['edge.crt', []],
    ['ca.crt', ['edge.crt', 'edge.key']],
  ] as const) {
    // Nothing can be written where it is to be written first, as on a disk that is full.
    mkdirSync(at(`edges/e3/${file}.next`), { recursive: true });
    assert.equal(renew('--edge', 'e3').status, 1);
    rmSync(at(`edges/e3/${file}.next`), { recursive: true });
    assert.deepEqual(readdirSync(at('edges/e3')), left);
  }
  const e3 = identity('e3');
  assert.equal(renew('--edge', 'e3').status, 0);
  assert.equal(readFileSync(at('edges/e3/ca.crt'), 'utf8'), readFileSync(at('ca/ca.crt'), 'utf8'));
  assert.deepEqual(identity('e3'), e3);
});

for (const [what, days, status, says] of [
  [
    'that ends before what it signs is told of',
    20,
    0,
    /^keyless-tls: The authority of ca\/ca\.crt ends at \S+Z, and/,
  ],
  ['that has ended makes nothing any more', -1, 1, /^keyless-tls: The authority of ca\/ca\.crt has ended \(/],
] as const) {
  test(`an authority ${what}`, () => {
    const { certPem, keyPem } = CertificateAuthority.make('keyless-tls', days);
    writeFileSync(at('ca/ca.crt'), certPem);
    writeFileSync(at('ca/ca.key'), keyPem);
    const e1 = identity('e1');
    const made = renew();
    assert.equal(made.status, status);
    assert.match(made.stderr, says);
    assert.equal(identity('e1').pin !== e1.pin, status === 0);
  });
}
