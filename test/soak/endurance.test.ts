/**
 * What stays behind after very many of everything: rows 22 and 23 of docs/operations.md. KEYLESS_TLS_HANDSHAKES in the environment
 * says how many handshakes: a tenth of the 200,000 that `npm run test:soak:long` does shows whether the slope is native's.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { startBadKeyServer } from '../helpers/bad-key-server.ts';
import { startEdge, until } from '../helpers/edge.ts';
import { EdgeProcess, visitPort } from '../helpers/edge-process.ts';
import type { EdgePlan } from '../helpers/edge-program.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { signOperation } from '../helpers/operations.ts';
import { type ServeFiles, ServeProcess, serveFiles } from '../helpers/serve-process.ts';

const HANDSHAKES = Number(process.env.KEYLESS_TLS_HANDSHAKES ?? 20_000);
const LOOKS = 10;
const CLIENTS = 16;
const RECONNECTS = 10_000;
/** A machine that is busy with something else for an hour is no fault. */
const PATIENT = { handshakeTimeout: 3_600_000 };
/** V8 sizes its young generation, and glibc its arenas, by what they see; that growth is not what is looked for. */
const STEADY = {
  execArgv: ['--expose-gc', '--max-semi-space-size=2'],
  env: { MALLOC_ARENA_MAX: '1' },
};

let setup: KeyServerSetup;
let files: ServeFiles;
let serve: ServeProcess;
const edges: EdgeProcess[] = [];

before(async () => {
  setup = await makeKeyServers(['p256']);
  files = serveFiles(setup);
  serve = new ServeProcess([...files.args, '--quiet']);
});
after(async () => {
  for (const edge of edges) edge.kill();
  serve.child.kill('SIGKILL');
  await serve.ended;
  files.remove();
});

async function startSteady(plan: Partial<EdgePlan>): Promise<EdgeProcess> {
  const { certPem } = setup.sites.p256!;
  const edge = await EdgeProcess.start({ certPem, server: PATIENT, ...plan }, STEADY);
  edges.push(edge);
  return edge;
}

async function handshakes({ port }: EdgeProcess, count: number): Promise<void> {
  let left = count;
  const client = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      assert.equal(await visitPort(port, setup.authority.certPem), 'ok');
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
}

/** Resident bytes at rest. */
async function restingRss(edge: EdgeProcess): Promise<number> {
  await edge.until(({ connections, handshakes: open }) => connections + open === 0);
  await edge.state();
  return edge.rss;
}

/** Least squares. @returns bytes for each handshake */
function slopeOf(sizes: readonly number[], perLook: number): number {
  const mean = sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
  const middle = (sizes.length - 1) / 2;
  const above = sizes.reduce((sum, size, at) => sum + (at - middle) * (size - mean), 0);
  const below = sizes.reduce((sum, _, at) => sum + (at - middle) ** 2, 0);
  return above / below / perLook;
}

test(`row 22: ${HANDSHAKES} handshakes: memory grows as natively`, async (context) => {
  const servers = [`127.0.0.1:${await serve.port()}`];
  const sides = {
    native: await startSteady({ keyPem: setup.sites.p256!.keyPem }),
    keyless: await startSteady({ keyServers: { servers, ...setup.edgeOptions } }),
  };
  const sizes = { native: [] as number[], keyless: [] as number[] };
  const perLook = HANDSHAKES / LOOKS;
  // Compiled code, pools and free lists reach their size first.
  for (const edge of Object.values(sides)) await handshakes(edge, perLook);
  for (let look = 0; look < LOOKS; look += 1) {
    for (const name of ['native', 'keyless'] as const) {
      await handshakes(sides[name], perLook);
      sizes[name].push(await restingRss(sides[name]));
    }
  }
  const slopes = { native: slopeOf(sizes.native, perLook), keyless: slopeOf(sizes.keyless, perLook) };
  for (const name of ['native', 'keyless'] as const) {
    const megabytes = sizes[name].map((size) => (size / 1e6).toFixed(1)).join(' ');
    context.diagnostic(
      `${name}: ${slopes[name].toFixed(0)} bytes for each handshake; resident MB: ${megabytes}`,
    );
  }
  // 32 bytes of each would be 6 MB after all of 200,000: one number that is kept, or one reference, is more.
  const noise = 32 * Math.max(1, 200_000 / HANDSHAKES);
  assert.ok(slopes.keyless <= Math.max(slopes.native, 0) + noise);
  const { errors, paused, waiting, inFlight } = await sides.keyless.state();
  assert.deepEqual({ errors, paused, waiting, inFlight }, { errors: {}, paused: 0, waiting: 0, inFlight: 0 });
  for (const edge of Object.values(sides)) assert.equal(await edge.end(), 0);
});

function held(): Readonly<Record<string, number>> {
  const counts: Record<string, number> = { descriptors: readdirSync('/proc/self/fd').length };
  for (const name of process.getActiveResourcesInfo()) {
    if (/TCP|TLS|Timeout/.test(name)) counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

test('row 23: 10,000 connections later, with operations on all of them, what is held is what was held', async (context) => {
  const server = await startBadKeyServer(setup);
  context.after(() => server.close());
  const before = held();
  const edge = await startEdge(setup, setup.sites.p256!, [server.address]);
  context.after(() => edge.keys.close());
  const { keyId } = setup.sites.p256!;
  const connections = () => edge.keys.stats().servers[0]!.connections;
  while (connections() < RECONNECTS) {
    const goal = connections() + 2;
    edge.keys.setCredentials(setup.edgeOptions);
    await Promise.all([edge.keys.sign(signOperation(keyId)), until(() => connections() >= goal)]);
  }
  const { failed, waiting, servers } = edge.keys.stats();
  assert.deepEqual([failed, waiting, servers[0]!.inFlight], [0, 0, 0]);
  await edge.close();
  await until(() => server.sockets.size === 0);
  await until(() => Object.entries(held()).every(([name, count]) => count <= (before[name] ?? 0)));
});
