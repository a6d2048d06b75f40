/**
 * Five hundred handshakes a second, and key servers that go: what clients see of it. They begin whatever became of those before.
 * Where the machine cannot have so many, begun or ended, the test says how many there were: that none fails must hold nevertheless.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import type { SecureVersion } from 'node:tls';
import { EdgeProcess, visitPort } from '../helpers/edge-process.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { lastingPort } from '../helpers/lasting-port.ts';
import { comeBack, firstVisit } from '../helpers/returning-client.ts';
import { type ServeFiles, ServeProcess, serveFiles } from '../helpers/serve-process.ts';

const PER_SECOND = 500;
const GONE_MS = 5000;
const VERSIONS: readonly SecureVersion[] = ['TLSv1.2', 'TLSv1.3'];

let setup: KeyServerSetup;
let files: ServeFiles;
let edge: EdgeProcess;
let servers: ServeProcess[];
let ports: number[];

before(async () => {
  setup = await makeKeyServers(['p256']);
  files = serveFiles(setup);
});
afterEach(async () => {
  edge.kill();
  for (const { child, ended } of servers) {
    child.kill('SIGKILL');
    await ended;
  }
});
after(() => files.remove());

function serve(port: number): ServeProcess {
  return new ServeProcess([
    ...files.args.map((arg) => (arg === '127.0.0.1:0' ? `127.0.0.1:${port}` : arg)),
    '--quiet',
  ]);
}

async function start(): Promise<void> {
  ports = [await lastingPort(), await lastingPort()];
  servers = ports.map(serve);
  await Promise.all(servers.map((each) => each.port()));
  edge = await EdgeProcess.start({
    certPem: setup.sites.p256!.certPem,
    keyServers: { servers: ports.map((port) => `127.0.0.1:${port}`), ...setup.edgeOptions },
  });
  await edge.until(({ ready }) => ready === 4);
}

interface Load {
  /** How often each outcome was. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** Milliseconds of each handshake, the shortest first. */
  readonly took: readonly number[];
  /** Handshakes a second that began on their own time, and that ended. */
  readonly arrived: number;
  readonly perSecond: number;
}

/** Less of it: the machine is what is slow. */
const KEEPS_UP = 0.95;

/** A client every so often, whatever becomes of those before. @param acts by the milliseconds after which they are done */
async function load(
  perSecond: number,
  forMs: number,
  acts: Readonly<Record<number, () => unknown>>,
): Promise<Load> {
  const outcomes: Record<string, number> = {};
  const took: number[] = [];
  const visits: Promise<void>[] = [];
  const due = Object.entries(acts).map(([ms, act]) => ({ ms: Number(ms), act }));
  const since = performance.now();
  const visit = async (): Promise<void> => {
    const startedAt = performance.now();
    const outcome = await visitPort(edge.port, setup.authority.certPem);
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    took.push(performance.now() - startedAt);
  };
  for (let elapsed = 0; elapsed < forMs; elapsed = performance.now() - since) {
    while (visits.length < (elapsed / 1000) * perSecond) visits.push(visit());
    while (due.length > 0 && due[0]!.ms <= elapsed) await due.shift()!.act();
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  const arrived = visits.length / ((performance.now() - since) / 1000);
  await Promise.all(visits);
  took.sort((one, other) => one - other);
  return { outcomes, took, arrived, perSecond: took.length / ((performance.now() - since) / 1000) };
}

function describe({ took, arrived, perSecond }: Load, wanted: number): string {
  const at = (share: number) => took[Math.floor((took.length - 1) * share)]!.toFixed(0);
  const rates = `${wanted} a second wanted, ${arrived.toFixed(0)} begun, ${perSecond.toFixed(0)} ended`;
  const slow =
    Math.min(arrived, perSecond) < KEEPS_UP * wanted ? ': NOT REACHED, the machine did no more' : '';
  return `${took.length} handshakes, ${rates}${slow}; p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`;
}

test('one of two is killed under 500 handshakes a second: no client sees it', async (context) => {
  await start();
  await load(PER_SECOND / 2, 2000, {});
  const loaded = await load(PER_SECOND, 6000, { 2000: () => servers[0]!.child.kill('SIGKILL') });
  context.diagnostic(describe(loaded, PER_SECOND));
  assert.deepEqual(Object.keys(loaded.outcomes), ['ok']);
  const { errors, waiting, inFlight, handshakes } = await edge.until(({ connections }) => connections === 0);
  assert.deepEqual(
    { errors, waiting, inFlight, handshakes },
    { errors: {}, waiting: 0, inFlight: 0, handshakes: 0 },
  );
});

test('both are gone for five seconds: who comes meanwhile waits, nobody hangs, and who resumes does not notice', async (context) => {
  await start();
  const goals = VERSIONS.map((version) => ({ port: edge.port, ca: setup.authority.certPem, version }));
  const sessions = await Promise.all(goals.map(firstVisit));
  let areGone = false;
  let resumed = 0;
  let slowest = 0;
  const comeBackAgain = async (at: number): Promise<void> => {
    while (!areGone) await new Promise((resolve) => setTimeout(resolve, 5));
    while (areGone) {
      const since = performance.now();
      assert.equal((await comeBack({ ...goals[at]!, session: sessions[at] })).reused, true);
      slowest = Math.max(slowest, performance.now() - since);
      resumed += 1;
    }
  };
  const returning = Promise.all(VERSIONS.map((_, at) => comeBackAgain(at)));
  const loaded = await load(100, 1000 + GONE_MS + 1000, {
    1000: async () => {
      for (const { child } of servers) child.kill('SIGKILL');
      await Promise.all(servers.map(({ ended }) => ended));
      areGone = true;
    },
    [1000 + GONE_MS]: () => {
      areGone = false;
      servers = ports.map(serve);
    },
  });
  await returning;
  context.diagnostic(
    `${describe(loaded, 100)}; ${resumed} resumed meanwhile, ${slowest.toFixed(0)} ms the longest`,
  );
  // Deadlines are of 10 s: all are served when they are back. What was under way when they were killed waits, too.
  assert.deepEqual(
    Object.keys(loaded.outcomes),
    ['ok'],
    JSON.stringify((await edge.until(() => true)).errors),
  );
  assert.ok(loaded.took.at(-1)! < GONE_MS + 4000, `the longest took ${loaded.took.at(-1)} ms`);
  assert.ok(resumed > 100, `${resumed}`);
  assert.ok(slowest < 1000, `${slowest} ms`);
});
