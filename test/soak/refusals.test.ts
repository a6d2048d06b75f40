/** Memory and threads that the system refuses: row 34 of docs/operations.md. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { EdgeProcess, visitPort } from '../helpers/edge-process.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { RefusingSystem } from '../helpers/refusing-system.ts';
import { type ServeFiles, ServeProcess, serveFiles } from '../helpers/serve-process.ts';

const RSA_KEY_EXCHANGE = { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' } as const;
const VISITS = 20;
/** OpenSSL 3.0 takes stacks from malloc(), whatever an addon says. */
const HAS_GUARDED_STACKS = !process.versions.openssl.startsWith('3.0.');

let setup: KeyServerSetup;
let files: ServeFiles;
const system = new RefusingSystem();
const children: { readonly child: { kill(signal: 'SIGKILL'): unknown }; readonly ended: Promise<unknown> }[] =
  [];

before(async () => {
  setup = await makeKeyServers(['p256', 'rsa']);
  files = serveFiles(setup);
});
after(async () => {
  for (const { child, ended } of children) {
    child.kill('SIGKILL');
    await ended;
  }
  files.remove();
  system.remove();
});

async function pair(kind: 'p256' | 'rsa', whose: 'edge' | 'key server'): Promise<EdgeProcess> {
  const refused = { ...process.env, ...system.env };
  const serve = new ServeProcess(
    [...files.args, '--quiet', '--allow-decrypt', 'rsa.key'],
    'serve',
    whose === 'key server' ? refused : process.env,
  );
  children.push(serve);
  const servers = [`127.0.0.1:${await serve.port()}`];
  const edge = await EdgeProcess.start(
    { certPem: setup.sites[kind]!.certPem, keyServers: { servers, ...setup.edgeOptions } },
    whose === 'edge' ? { env: system.env } : {},
  );
  children.unshift(edge);
  return edge;
}

async function visits(
  { port }: EdgeProcess,
  options: object = {},
): Promise<Readonly<Record<string, number>>> {
  const outcomes: Record<string, number> = {};
  const all = Array.from({ length: VISITS }, () => visitPort(port, setup.authority.certPem, options));
  for (const outcome of await Promise.all(all)) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  return outcomes;
}

/** The edge is refused something for each job: no handshake is served, each fails once, and all is well afterwards. */
async function refuseJobs(what: 'memory' | 'guard', kind: 'p256' | 'rsa', options: object): Promise<void> {
  const edge = await pair(kind, 'edge');
  system.refuse(what);
  const outcomes = await visits(edge, options).finally(() => system.allow(what));
  assert.equal(outcomes.ok, undefined, JSON.stringify(outcomes));
  const { errors } = await edge.until(({ errors: seen }) => sum(seen) >= VISITS);
  assert.equal(sum(errors), VISITS, JSON.stringify(errors));
  assert.deepEqual(await visits(edge, options), { ok: VISITS });
  const { paused, served } = await edge.state();
  assert.deepEqual({ paused, served }, { paused: 0, served: VISITS });
  assert.equal(await edge.end(), 0);
}

for (const [kind, options] of [
  ['p256', {}],
  ['rsa', RSA_KEY_EXCHANGE],
] as const) {
  test(`row 34: no memory for a job (${kind}): those handshakes end with an error, the process goes on`, () =>
    refuseJobs('memory', kind, options));
}

if (HAS_GUARDED_STACKS) {
  test('row 34: no guard page for the stack of a job: it is not used without one', () =>
    refuseJobs('guard', 'p256', {}));
}

test('row 34: no more threads for a key server: raw RSA is done by those that sign', async () => {
  const edge = await pair('rsa', 'key server');
  assert.deepEqual(await visits(edge), { ok: VISITS });
  system.refuse('threads');
  const outcomes = await visits(edge, RSA_KEY_EXCHANGE).finally(() => system.allow('threads'));
  assert.deepEqual(outcomes, { ok: VISITS });
});

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}
