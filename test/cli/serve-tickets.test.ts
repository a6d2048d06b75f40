/** `keyless-tls serve --ticket-secret`, as an operator runs it. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { ticketKeysRequest } from '../../lib/protocol/request-encoder.ts';
import { decodeTicketKeys, type TicketKeySet } from '../../lib/protocol/ticket-keys.ts';
import { auditFiles } from '../../lib/server/audit-files.ts';
import { identityOf } from '../../lib/server/peer-identity.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { type ServeFiles, ServeProcess, serveFiles } from '../helpers/serve-process.ts';
import { connectPeer } from '../helpers/wire-peer.ts';

const SECRET = 'not a random secret, but a long one';
/** A week: no epoch ends while the tests run, but for one run in some ten thousand. */
const PERIOD = ['--ticket-period', '604800'];

let setup: KeyServerSetup;
let files: ServeFiles;
let pin: string;
const running: ServeProcess[] = [];

before(async () => {
  setup = await makeKeyServers(['p256']);
  files = serveFiles(setup);
  pin = identityOf(new X509Certificate(setup.edge.certPem)).pin;
  secretFile('secret', `${SECRET}\n`);
  policyFile('policy', { tickets: { group: 'edges' } });
});
after(async () => {
  for (const serve of running) serve.child.kill('SIGKILL');
  await Promise.all(running.map((serve) => serve.ended));
  files.remove();
});

function secretFile(name: string, text: string, mode = 0o600): string {
  writeFileSync(files.path(name), text);
  chmodSync(files.path(name), mode);
  return files.path(name);
}

function policyFile(name: string, client: object, more: object = {}): void {
  const clients = [{ name: 'edge-1', identities: [pin], ...client }];
  writeFileSync(files.path(name), JSON.stringify({ version: 1, clients, ...more }));
}

function start(...more: string[]): ServeProcess {
  const serve = new ServeProcess([...files.args, ...more]);
  running.push(serve);
  return serve;
}

async function keysOf(serve: ServeProcess): Promise<TicketKeySet> {
  const peer = await connectPeer(await serve.port(), setup.edgeOptions);
  const answer = await peer.ask(ticketKeysRequest());
  peer.close();
  assert.ok(answer.kind === 'result', JSON.stringify(answer));
  return decodeTicketKeys(answer.payload);
}

test('two key servers with one secret give the same keys, whatever line end an editor has added', async () => {
  const windows = secretFile('secret-crlf', `${SECRET}\r\n`);
  const [one, two] = [
    start('--policy', files.path('policy'), '--ticket-secret', files.path('secret'), ...PERIOD),
    start('--policy', files.path('policy'), '--ticket-secret', windows, ...PERIOD),
  ];
  const [keys, same] = await Promise.all([keysOf(one), keysOf(two)]);
  assert.equal(keys.periodMs, 604_800_000);
  assert.deepEqual(same.keys, keys.keys);
  const [{ id }, { id: sameId }] = [await one.event('ticket-keys'), await two.event('ticket-keys')];
  assert.equal(id, sameId);
});

test('who got ticket keys and who did not is in the audit log, and no key or secret is in any output', async () => {
  policyFile('policy-without', {});
  const secrets = [SECRET, Buffer.from(SECRET).toString('base64'), Buffer.from(SECRET).toString('hex')];
  for (const [policy, result] of [
    ['policy', 'ok'],
    ['policy-without', 'tickets-not-granted'],
  ] as const) {
    const audit = files.path(`audit-${policy}`);
    const options = ['--ticket-secret', files.path('secret'), '--audit', audit, ...PERIOD];
    const serve = start('--policy', files.path(policy), ...options);
    const peer = await connectPeer(await serve.port(), setup.edgeOptions);
    const answer = await peer.ask(ticketKeysRequest());
    if (answer.kind === 'result') {
      for (const key of decodeTicketKeys(answer.payload).keys) secrets.push(key.toString('hex', 16));
    }
    await serve.event('operation', ({ kind }) => kind === 'ticket-keys');
    serve.child.kill('SIGTERM');
    assert.equal(await serve.ended, 0);
    const log = readFileSync(auditFiles(audit)[0]!, 'utf8');
    assert.match(log, new RegExp(`"client":"edge-1".*"kind":"ticket-keys".*"result":"${result}"`));
    const told = log + JSON.stringify(serve.events) + serve.stderr;
    for (const secret of secrets) assert.ok(!told.includes(secret));
  }
  assert.equal(secrets.length, 3 + 4);
});

test('what is taken out of `revoked` brings old keys back, and is told of, unless the generation is another one', async () => {
  const group = { tickets: { group: 'edges' } };
  const revoked = ['DNS:edge-9.example.org'];
  policyFile('policy-back', group);
  const serve = start(
    '--policy',
    files.path('policy-back'),
    '--ticket-secret',
    files.path('secret'),
    ...PERIOD,
  );
  const before = await keysOf(serve);
  const change = async (more: object) => {
    const told = serve.events.length;
    policyFile('policy-back', group, more);
    serve.child.kill('SIGHUP');
    await serve.event('policy', (event) => serve.events.indexOf(event) >= told);
  };
  await change({ revoked });
  assert.notDeepEqual((await keysOf(serve)).keys, before.keys);
  await change({ revoked: [] });
  assert.deepEqual((await keysOf(serve)).keys, before.keys);
  const problems = () => serve.events.filter(({ event }) => event === 'ticket-keys-problem');
  assert.deepEqual(
    problems().map(({ revoked: whose }) => whose),
    revoked,
  );
  await change({ revoked });
  await change({ revoked: [], ticketGeneration: 1 });
  assert.equal(problems().length, 1);
  assert.notDeepEqual((await keysOf(serve)).keys, before.keys);
});

const BAD: readonly (readonly [string, () => string[], RegExp])[] = [
  ['that others may read', () => ['--ticket-secret', secretFile('open', SECRET, 0o640)], /chmod 600/],
  [
    'of 31 bytes and a line end',
    () => ['--ticket-secret', secretFile('short', `${'x'.repeat(31)}\n`)],
    /31 bytes/,
  ],
  ['of 5,000 bytes', () => ['--ticket-secret', secretFile('long', 'x'.repeat(5000))], /5000 bytes/],
  ['that is a directory', () => ['--ticket-secret', files.folder], /not a file/],
  ['that is not there', () => ['--ticket-secret', files.path('none')], /ENOENT/],
  [
    'with a period of no number',
    () => ['--ticket-secret', files.path('secret'), '--ticket-period', 'x'],
    /period/,
  ],
  [
    'with a period of nothing',
    () => ['--ticket-secret', files.path('secret'), '--ticket-period', '0'],
    /period/,
  ],
  ['without a policy', () => ['--ticket-secret', files.path('secret')], /--policy/],
];

for (const [what, options, says] of BAD) {
  test(`a secret ${what} is refused at the start`, async () => {
    const serve = start(...options());
    assert.equal(await serve.ended, 2);
    assert.match(serve.stderr, says);
    assert.ok(!serve.stderr.includes('xxxx'));
  });
}
