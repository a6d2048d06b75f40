/** What is told, and how much of it: row 36 of docs/operations.md. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { ConnectionOptions } from 'node:tls';
import { inspect } from 'node:util';
import { Registry } from 'prom-client';
import * as channels from '../../lib/client/channels.ts';
import * as engineChannels from '../../lib/engine/channels.ts';
import { fleetLease } from '../../lib/fleet/channels.ts';
import { connectKeyServers, createServer, leaseTicketKeys, type PrivateKey } from '../../lib/index.ts';
import { edgeMetrics, handshakeMetrics } from '../../lib/metrics.ts';
import { close, listen } from '../helpers/connections.ts';
import { visitPort } from '../helpers/edge-process.ts';
import { type Fleet, makeFleet } from '../helpers/fleet.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { signOperation } from '../helpers/operations.ts';
import { comeBack } from '../helpers/returning-client.ts';
import { assertNothingSecret } from '../helpers/secrets.ts';
import { type ServeFiles, ServeProcess, serveFiles } from '../helpers/serve-process.ts';

const NAMES = [...Object.values(channels), ...Object.values(engineChannels), fleetLease].map(({ name }) =>
  String(name),
);

let setup: KeyServerSetup;
let files: ServeFiles;

before(async () => {
  setup = await makeKeyServers(['p256', 'rsa']);
  files = serveFiles(setup);
});
after(() => files.remove());

/** What everybody who listens can write down. */
class Told {
  text = '';
  readonly #listener = (message: unknown, name: string | symbol): void => this.add(String(name), message);

  constructor() {
    for (const name of NAMES) subscribe(name, this.#listener);
  }

  add(name: string, what: unknown): void {
    this.text += `${name} ${inspect(what, { depth: 12, showHidden: true, getters: false, maxArrayLength: null })}\n`;
    this.text += `${JSON.stringify(what, (_, value) => (value instanceof Error ? String(value.stack) : value))}\n`;
  }

  close(): void {
    for (const name of NAMES) unsubscribe(name, this.#listener);
  }
}

function assertNoBytes(text: string, what: string, secrets: readonly Uint8Array[]): void {
  const dense = text.replace(/[\s,]/g, '').toLowerCase();
  assert.ok(secrets.length > 0, what);
  for (const secret of secrets) {
    const bytes = Buffer.from(secret);
    for (const form of [bytes.toString('hex'), [...bytes].join('')]) {
      assert.ok(!dense.includes(form), `${what}, as ${form.slice(0, 8)}…`);
    }
    for (const form of ['base64', 'base64url', 'latin1'] as const) {
      assert.ok(!text.includes(bytes.toString(form)), `${what}, ${form}`);
    }
  }
}

const digestOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();

/** Sees what goes to key servers and what comes back. */
function spyOn(keys: PrivateKey, seen: { messages: Buffer[]; premasters: Buffer[] }): PrivateKey {
  return {
    async sign(operation) {
      seen.messages.push(Buffer.from(operation.message));
      return keys.sign(operation) as Promise<Uint8Array>;
    },
    async decrypt(operation) {
      const premaster = await (keys.decrypt!(operation) as Promise<Uint8Array>);
      seen.premasters.push(Buffer.from(premaster));
      return premaster;
    },
  };
}

const KINDS: readonly ConnectionOptions[] = [
  {},
  { maxVersion: 'TLSv1.2' },
  { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' },
  { ca: [] },
];

test('row 36: nobody who listens hears a key, a message that was signed, its digest or a premaster', async () => {
  const told = new Told();
  const audit = join(files.folder, 'audit');
  const serve = new ServeProcess([...files.args, '--allow-decrypt', 'rsa.key', '--audit', audit]);
  const servers = [`127.0.0.1:${await serve.port()}`];
  const keys = connectKeyServers({ servers, ...setup.edgeOptions, timeoutMs: 2000 });
  const seen = { messages: [] as Buffer[], premasters: [] as Buffer[] };
  const registry = new Registry();
  const edge = createServer({ cert: setup.sites.rsa!.certPem, key: spyOn(keys, seen) }, (socket) =>
    socket.end('x'),
  );
  edge.on('tlsClientError', (error) => told.add('tlsClientError', error));
  const metrics = [edgeMetrics(keys, registry), handshakeMetrics(edge, registry)];
  const port = await listen(edge);
  try {
    for (const kind of KINDS) await visitPort(port, setup.authority.certPem, kind);
    const again = signOperation(setup.sites.rsa!.keyId, 'rsa_pss_rsae_sha256', seen.messages[0]);
    await assert.rejects(keys.sign(again), (error) => told.add('rejected', error) === undefined);
    serve.child.kill('SIGKILL');
    await serve.ended;
    await visitPort(port, setup.authority.certPem);
    told.add('stats', keys.stats());
    told.text += await registry.metrics();
    const log = JSON.stringify(serve.events) + serve.stderr;
    const kept = readdirSync(audit).map((name) => readFileSync(join(audit, name), 'latin1'));
    const all = [told.text, log, ...kept].join('\n');
    assert.ok(
      all.includes('ERR_KEYLESS_KEY_SERVER_UNEXPECTED') && all.includes('rsa_pss_rsae_sha256'),
      'it is told',
    );
    assert.ok(kept.join('').length > 500 && log.includes('"operation"'));
    assertNothingSecret(
      all,
      [setup.edge, setup.server, ...Object.values(setup.sites)].map(({ keyPem }) => keyPem),
    );
    assertNoBytes(all, 'a premaster', seen.premasters);
    assertNoBytes(all, 'a message', seen.messages);
    assertNoBytes(all, 'a digest', seen.messages.map(digestOf));
  } finally {
    told.close();
    for (const each of metrics) each.close();
    keys.close();
    await close(edge);
  }
});

test('row 36: nobody who listens hears the key of a ticket, or what it is derived from', async () => {
  const told = new Told();
  const fleet: Fleet = await makeFleet(1, 1);
  try {
    const [edge] = await fleet.edges();
    const { keys, lease } = edge!;
    const more = leaseTicketKeys(keys, { label: 'more' });
    await more.ready();
    const goal = { port: edge!.port, ca: fleet.setup.authority.certPem, version: 'TLSv1.3' } as const;
    const { session } = await comeBack(goal);
    assert.equal((await comeBack({ ...goal, session })).reused, true);
    for (const each of [lease, more]) told.add('lease', [each, each.stats()]);
    told.add('keys', [keys, keys.stats()]);
    const secrets = lease.keys()!.map(({ key }) => Buffer.from(key));
    const all = told.text + JSON.stringify(fleet.keyServers.map(({ events, stderr }) => [events, stderr]));
    assert.ok(all.includes('ticket-keys') && all.includes('renewed'), 'it is told');
    assertNoBytes(all, 'the key of a ticket', secrets);
    assertNoBytes(all, 'the secret', [Buffer.from('a secret for tests')]);
    more.close();
  } finally {
    told.close();
    await fleet.close();
  }
});

const FLOOD = 5000;
/** lib/cli/event-lines.ts: at once, and a second. */
const BURST = 1000;
const PER_SECOND = 100;

test('row 36: a flood of refused requests is a thousand lines and a number', async () => {
  const serve = new ServeProcess([...files.args]);
  // All of them wait for room, on a slow machine for long.
  const timeoutMs = 240_000;
  const servers = [`127.0.0.1:${await serve.port()}`];
  const keys = connectKeyServers({ servers, ...setup.edgeOptions, timeoutMs });
  const since = performance.now();
  const nobodys = Buffer.alloc(20, 7);
  const patient = signOperation(nobodys, undefined, undefined, timeoutMs);
  const ask = () => assert.rejects(keys.sign(patient), { code: 'ERR_KEYLESS_KEY_NOT_FOUND' });
  await Promise.all(Array.from({ length: FLOOD }, ask));
  const seconds = (performance.now() - since) / 1000;
  const { retried, hedged } = keys.stats();
  keys.close();
  serve.child.kill('SIGTERM');
  assert.equal(await serve.ended, 0);
  const operations = serve.events.filter(({ event }) => event === 'operation');
  const leftOut = serve.events.filter(({ event, of }) => event === 'left-out' && of === 'operation');
  assert.ok(
    operations.length <= BURST + PER_SECOND * (seconds + 1),
    `${operations.length} lines in ${seconds} s`,
  );
  const told = leftOut.reduce((sum, { lines }) => sum + (lines as number), operations.length);
  // The greetings of the connections are operations, too, and so is what the edge asked for again.
  const most = FLOOD + 4 + retried + hedged;
  assert.ok(told >= FLOOD && told <= most, `${told} of ${most}`);
});
