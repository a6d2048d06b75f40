/**
 * How much of the cryptography's speed does the key server reach? Operations for each second of its CPU beside
 * `openssl speed` on the same core in the same run, of the key server alone and of `keyless-tls serve` with a policy, an audit log and
 * metrics; then what one client sees: latency at depth 1, ECDSA beside a flood of RSA, over a few connections and over many;
 * speed and memory under floods. `node dist/bench/keyserver.js [rounds] [seconds a round]`
 *
 * The key server is a process of its own, on the first core; this process, on the second, asks over one connection each. For ECDSA
 * beside RSA it is another one, on both cores.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Asker } from '../lib/cli/bench/asker.ts';
import type { Watched } from '../lib/cli/bench/doubts.ts';
import { ms, perSecond, times } from '../lib/cli/bench/figures-in-words.ts';
import { median, percentile } from '../lib/cli/bench/statistics.ts';
import { createKeyServer } from '../lib/server/key-server.ts';
import { keyStoreOf } from '../lib/server/pem-directory.ts';
import { pemKey } from '../lib/server/pem-key.ts';
import { type Issued, makeAuthority } from '../test/helpers/certificates.ts';
import { tellDisturbance, watch } from './alone.ts';
import { cpuOf, residentOf } from './child-figures.ts';
import { end, owned } from './children.ts';
import { cleaningUp, script, wholeNumber, wordsOf } from './script.ts';

const SELF = fileURLToPath(import.meta.url);
const MAIN = fileURLToPath(new URL('../lib/cli/main.js', import.meta.url));
const WINDOW = 96;
/** A key server runs for months: what is measured is code that V8 has compiled. RSA comes too seldom for less. */
const WARM_SECONDS = 8;

const KINDS = ['rsa', 'p256'] as const;
type Kind = (typeof KINDS)[number];
/** Operations for a second of CPU. */
type Speeds = Readonly<Record<Kind, number>>;
const SITES = { p256: 'P-256', rsa: 'RSA-2048' } as const;
const OPENSSL = { p256: 'ecdsap256', rsa: 'rsa2048' } as const;

interface Setup {
  readonly ca: string;
  readonly server: Issued;
  readonly edge: Issued;
  /** Another client: what one floods with is bounded for all its connections. */
  readonly otherEdge: Issued;
  readonly keys: Readonly<Record<Kind, Issued>>;
}

async function serve({ ca, server, keys }: Setup): Promise<void> {
  const store = keyStoreOf(
    Object.entries(keys).map(([name, { keyPem }]) => pemKey(createPrivateKey(keyPem), name)),
  );
  const credentials = { cert: server.certPem, key: server.keyPem, ca };
  const keyServer = createKeyServer({ ...credentials, keys: store, maxConnectionsPerClient: 256 });
  const { port } = await keyServer.listen(0, '127.0.0.1');
  process.send?.(port);
  process.once('disconnect', () => process.exit());
}

/** An edge that asks for one kind of signature, with so many requests in the air. */
function ask(
  port: number,
  { ca, edge: own, keys }: Setup,
  kind: Kind,
  window: number,
  edge = own,
): Promise<Asker> {
  const credentials = { cert: edge.certPem, key: edge.keyPem, ca };
  return Asker.connect({ port, ...credentials, site: SITES[kind], siteCert: keys[kind].certPem, window });
}

const pause = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** @param beside processes that may have the key server's cores, too; @returns what kept it from running for so long */
async function during(pid: number, seconds: number, ...beside: readonly number[]): Promise<Watched> {
  const waitsOf = watch([pid, ...beside]);
  await pause(seconds);
  return { waits: waitsOf(pid) };
}

/** One round. */
interface Rate extends Watched {
  /** Operations for each second of the key server's CPU. */
  readonly perCpuSecond: number;
}

/** This process is on another core, where there are two. */
const besideOne = () => (availableParallelism() > 1 ? [] : [process.pid]);

async function rateOf(asker: Asker, pid: number, seconds: number): Promise<Rate> {
  asker.start();
  await pause(0.2);
  const [cpu, answered] = [cpuOf(pid), asker.answered];
  const { waits } = await during(pid, seconds, ...besideOne());
  const perCpuSecond = (asker.answered - answered) / (cpuOf(pid) - cpu);
  await asker.stop();
  return { perCpuSecond, waits };
}

const tell = (what: string, ...rounds: readonly Watched[]) =>
  tellDisturbance({ [what]: rounds }, 'the key server');

function pinned(core: number | undefined): string[] {
  return availableParallelism() > 1 && core !== undefined ? ['taskset', '-c', String(core)] : [];
}

interface Serving {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly port: number;
}

/** @param core where it runs, from its start on: it has as many threads as cores; `undefined`: on all */
async function startServer(setup: Setup, core: number | undefined): Promise<Serving> {
  const [program, ...args] = [...pinned(core), process.execPath, SELF, '--serve'];
  const child = spawn(program!, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  owned(child, 'The key server');
  child.send(setup);
  const [port] = (await once(child, 'message')) as [number];
  return { child, pid: child.pid!, port };
}

/** `keyless-tls serve` as people run it. @param folder for its files */
async function startServe({ ca, server, keys }: Setup, folder: string, core: number): Promise<Serving> {
  const file = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const rate = { perSecond: 1_000_000 };
  const client = { name: 'edge', identities: ['DNS:localhost'], rate, ratePerKey: rate };
  const policy = JSON.stringify({ version: 1, clients: [{ ...client, contexts: ['tls13-server'] }] });
  mkdirSync(join(folder, 'keys'), { mode: 0o700 });
  for (const [name, { keyPem }] of Object.entries(keys)) file(`keys/${name}.key`, keyPem);
  const own = ['--cert', file('server.crt', server.certPem), '--key', file('server.pem', server.keyPem)];
  const who = ['--ca', file('ca.crt', ca), '--keys', join(folder, 'keys'), '--listen', '127.0.0.1:0'];
  const extras = ['--policy', file('policy', policy), '--audit', join(folder, 'audit'), '--metrics', '0'];
  const [program, ...args] = [...pinned(core), process.execPath, MAIN, 'serve', ...own, ...who, ...extras];
  const child = spawn(program!, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  owned(child, 'keyless-tls serve');
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  return { child, pid: child.pid!, port };
}

function opensslRate(kind: Kind, seconds: number): number {
  const [program, ...args] = [
    ...pinned(0),
    'openssl',
    'speed',
    '-mr',
    '-seconds',
    String(seconds),
    OPENSSL[kind],
  ];
  const text = execFileSync(program!, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  // +F2:index:bits:seconds for one:… (RSA), +F4 for ECDSA
  const [, , , each] = /^\+F[24]:.*$/m.exec(text)![0].split(':');
  return Number(each) > 1 ? Number(each) : 1 / Number(each);
}

async function speeds(
  what: string,
  { port, pid }: Serving,
  setup: Setup,
  rounds: number,
  seconds: number,
): Promise<Speeds> {
  const speed = { rsa: 0, p256: 0 };
  for (const kind of KINDS) {
    const asker = await ask(port, setup, kind, WINDOW);
    await rateOf(asker, pid, WARM_SECONDS);
    const [ours, theirs]: [Rate[], number[]] = [[], []];
    for (let round = 0; round < rounds; round += 1) {
      theirs.push(opensslRate(kind, Math.ceil(seconds)));
      ours.push(await rateOf(asker, pid, seconds));
    }
    const [a, b] = [median(ours.map(({ perCpuSecond }) => perCpuSecond)), median(theirs)];
    console.log(
      `${kind}, ${what}: ${perSecond(a)} operations for a second of CPU, openssl speed ${perSecond(b)}: ${times(a / b)} (${asker.failed} failed)`,
    );
    tell(`${kind}, ${what}`, ...ours);
    asker.close();
    speed[kind] = a;
  }
  return speed;
}

/** Connections of one client that ask for more than can be signed: what is left of the speed. */
async function flooded(
  port: number,
  pid: number,
  setup: Setup,
  speed: Speeds,
  seconds: number,
): Promise<void> {
  for (const kind of KINDS) {
    const flood = await Promise.all(Array.from({ length: 4 }, () => ask(port, setup, kind, 1000)));
    for (const asker of flood) asker.start();
    await pause(1);
    const sum = () => flood.reduce((total, each) => total + each.answered - each.failed, 0);
    const [cpu, answered] = [cpuOf(pid), sum()];
    const waited = await during(pid, seconds * 2, ...besideOne());
    const rate = (sum() - answered) / (cpuOf(pid) - cpu);
    for (const asker of flood) asker.close();
    console.log(
      `${kind} over 4 connections of one client with 1,000 requests in the air on each: ${times(rate / speed[kind])} that; resident ${residentOf(pid).toFixed(0)} MB`,
    );
    tell(`${kind}, flooded`, waited);
    await pause(1);
  }
}

/** Until the memory of what was signed is full: its 1,572,864 digests are the messages of some 40 s. */
async function residentUnderFlood({ port, pid }: Serving, setup: Setup, seconds: number): Promise<void> {
  const flood: Asker[] = [];
  for (let count = 0; count < 128; count += 1) flood.push(await ask(port, setup, 'p256', 100));
  for (const asker of flood) asker.start();
  const resident: string[] = [];
  for (let part = 0; part < 5; part += 1) {
    await pause(seconds * 4);
    resident.push(residentOf(pid).toFixed(0));
  }
  const answered = flood.reduce((sum, asker) => sum + asker.answered, 0);
  for (const asker of flood) asker.close();
  console.log(
    `serve, P-256 over 128 connections of one client with 100 requests each in the air: resident ${resident.join(', ')} MB (${answered} answered)`,
  );
}

async function latency({ port, pid }: Serving, setup: Setup, seconds: number): Promise<void> {
  for (const kind of KINDS) {
    const asker = await ask(port, setup, kind, 1);
    asker.start();
    await pause(seconds / 2);
    asker.latencies = [];
    const waited = await during(pid, seconds, ...besideOne());
    await asker.stop();
    const [middle, p99] = [median(asker.latencies), percentile(asker.latencies, 0.99)];
    const signing = 1000 / opensslRate(kind, 1);
    console.log(
      `${kind} at depth 1: median ${ms(middle)} ms, p99 ${ms(p99)} ms; ${ms(middle - signing)} ms more than the signature`,
    );
    tell(`${kind} at depth 1`, waited);
    asker.close();
  }
}

/** @param connections of one client, with so many requests each in the air, that ask for RSA */
async function beside(
  { port, pid }: Serving,
  setup: Setup,
  seconds: number,
  connections: number,
  window: number,
): Promise<void> {
  const flood = await Promise.all(Array.from({ length: connections }, () => ask(port, setup, 'rsa', window)));
  const ecdsa = await ask(port, setup, 'p256', 4, setup.otherEdge);
  for (const asker of [...flood, ecdsa]) asker.start();
  await pause(1);
  ecdsa.latencies = [];
  const before = residentOf(pid);
  const [answered, startedAt] = [flood.reduce((sum, each) => sum + each.answered, 0), performance.now()];
  const waited = await during(pid, seconds * 3, process.pid);
  const rate =
    (flood.reduce((sum, each) => sum + each.answered, 0) - answered) / (performance.now() - startedAt);
  // Beside other programs it may be that none was answered.
  const [middle, p99] = [median(ecdsa.latencies), percentile(ecdsa.latencies, 0.99)];
  console.log(
    `ECDSA beside ${connections} connections with ${window} RSA requests each in the air: median ${ms(middle)} ms, p99 ${ms(p99)} ms; RSA ${(rate * 1000).toFixed(0)}/s; resident ${before.toFixed(0)} -> ${residentOf(pid).toFixed(0)} MB`,
  );
  tell(`beside ${connections} connections`, waited);
  for (const asker of [...flood, ecdsa]) asker.close();
  await pause(1);
}

async function main(folder: string, rounds: number, seconds: number): Promise<void> {
  const authority = await makeAuthority();
  const [server, edge, otherEdge, p256, rsa] = await Promise.all([
    authority.issue({ type: 'p256', usage: 'server' }),
    authority.issue({ type: 'p256', usage: 'client' }),
    authority.issue({ type: 'p256', usage: 'client' }),
    authority.issue({ type: 'p256' }),
    authority.issue({ type: 'rsa' }),
  ]);
  const setup: Setup = {
    ca: authority.certPem,
    server: server!,
    edge: edge!,
    otherEdge: otherEdge!,
    keys: { p256: p256!, rsa: rsa! },
  };
  if (availableParallelism() > 1) execFileSync('taskset', ['-a', '-p', '-c', '1', String(process.pid)]);
  const alone = await startServer(setup, 0);
  const { child, pid, port } = alone;
  const speed = await speeds('alone', alone, setup, rounds, seconds);
  const served = await startServe(setup, folder, 0);
  await speeds('serve with policy, audit log and metrics', served, setup, rounds, seconds);
  await residentUnderFlood(served, setup, seconds);
  await end(served.child);
  await flooded(port, pid, setup, speed, seconds);
  await latency(alone, setup, seconds);
  await end(child);
  const both = await startServer(setup, undefined);
  if (availableParallelism() > 1)
    execFileSync('taskset', ['-a', '-p', '-c', '0,1', String(both.pid)], { stdio: 'ignore' });
  await beside(both, setup, seconds, 4, 1000);
  await beside(both, setup, seconds, 200, 100);
  await end(both.child);
}

if (process.argv[2] === '--serve') process.once('message', (setup) => void serve(setup as Setup));
else {
  await script('npm run bench:keyserver -- 5 2', async () => {
    const [rounds = 5, seconds = 2] = wordsOf(wholeNumber('Rounds'), wholeNumber('Seconds of a round'));
    await cleaningUp((folder) => main(folder, rounds, seconds));
    process.exit();
  });
}
