/** Ten thousand clients at once: rows 19 and 20 of docs/operations.md. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { EdgeProcess, visitPort } from '../helpers/edge-process.ts';
import type { EdgePlan } from '../helpers/edge-program.ts';
import { clientHello, halfOpen } from '../helpers/half-open.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { type ServeFiles, ServeProcess, serveFiles } from '../helpers/serve-process.ts';

const CROWD = 10_000;
const KIB = 1024;
/**
 * Whom the key server keeps waiting holds a job with its stack, which OpenSSL keeps for the next: the slower the machine, the more
 * of them there are at a time.
 */
const MOST_OVER_NATIVE_KIB = 16;
/**
 * Node's connection and OpenSSL's (16 KiB buffers of either, 3.5 also an ML-KEM key exchange), the job with its stack, 6 KiB of
 * JavaScript. A native handshake after the server's flight takes 58 to 106 KiB on OpenSSL 3.0, 76 to 129 on 3.5.
 */
const MOST_PENDING_KIB = process.versions.openssl.startsWith('3.0.') ? 88 : 116;
const PATIENT = { timeoutMs: 600_000, handshakeTimeoutMs: 600_000 };
/** V8 sizes its young generation, and glibc its arenas, by what they see; that growth is not what is looked for. */
const STEADY = {
  execArgv: ['--expose-gc', '--max-semi-space-size=2'],
  env: { MALLOC_ARENA_MAX: '1' },
};

let setup: KeyServerSetup;
let files: ServeFiles;
let keyServer: ServeProcess;
let keyServerPort: number;
const edges: EdgeProcess[] = [];

before(async () => {
  setup = await makeKeyServers(['p256']);
  files = serveFiles(setup);
  keyServer = new ServeProcess([...files.args, '--quiet']);
  keyServerPort = await keyServer.port();
});
after(async () => {
  for (const edge of edges) edge.kill();
  keyServer.child.kill('SIGKILL');
  await keyServer.ended;
  files.remove();
});

async function startEdge(plan: Partial<EdgePlan>): Promise<EdgeProcess> {
  const { certPem } = setup.sites.p256!;
  const patient = { handshakeTimeout: PATIENT.handshakeTimeoutMs };
  const edge = await EdgeProcess.start({ certPem, server: patient, ...plan }, STEADY);
  edges.push(edge);
  return edge;
}

const native = () => startEdge({ keyPem: setup.sites.p256!.keyPem });
const keyless = () =>
  startEdge({
    keyServers: {
      servers: [`127.0.0.1:${keyServerPort}`],
      ...setup.edgeOptions,
      timeoutMs: PATIENT.timeoutMs,
    },
    maxPausedHandshakes: CROWD,
  });

async function timed(edge: EdgeProcess): Promise<number> {
  const since = performance.now();
  assert.equal(await visitPort(edge.port, setup.authority.certPem), 'ok');
  return performance.now() - since;
}

/** The median of some: the first ones compile. */
async function probeMs(edge: EdgeProcess): Promise<number> {
  const times: number[] = [];
  for (let visit = 0; visit < 15; visit += 1) times.push(await timed(edge));
  return times.sort((one, other) => one - other)[7]!;
}

async function leave(edge: EdgeProcess, clients: readonly Socket[]): Promise<void> {
  for (const client of clients) client.destroy();
  await edge.until(({ connections, handshakes, paused }) => connections + handshakes + paused === 0);
}

interface HalfOpen {
  /** Bytes, resident. */
  readonly each: number;
  readonly probeMs: number;
}

/** The first crowd: what one leaves for reuse depends on what the allocator gives back in between. */
async function holdCrowd(edge: EdgeProcess, hello: Buffer): Promise<HalfOpen> {
  await probeMs(edge);
  await leave(edge, []);
  await edge.state();
  const { rss } = edge;
  const clients = await halfOpen(edge.port, CROWD, hello);
  await edge.until(({ connections, paused, waiting }) => connections === CROWD && paused + waiting === 0);
  const each = (edge.rss - rss) / CROWD;
  const ms = await probeMs(edge);
  await leave(edge, clients);
  return { each, probeMs: ms };
}

test('row 19: 10,000 half-open handshakes cost hardly more than natively, and the next client is served as fast', async (context) => {
  const hello = await clientHello();
  const natively = await holdCrowd(await native(), hello);
  const keylessly = await holdCrowd(await keyless(), hello);
  for (const [name, { each, probeMs: ms }] of Object.entries({ natively, keylessly })) {
    context.diagnostic(`${name}: ${(each / KIB).toFixed(1)} KiB each, a probe takes ${ms.toFixed(1)} ms`);
  }
  assert.ok(keylessly.each <= natively.each + MOST_OVER_NATIVE_KIB * KIB);
  assert.ok(keylessly.probeMs <= 2 * natively.probeMs + 2);
});

test('row 20: 10,000 operations pending at a frozen key server: bounded, and the same in each cycle', async (context) => {
  const hello = await clientHello();
  const edge = await keyless();
  await probeMs(edge);
  await leave(edge, []);
  const before = await edge.state();
  const descriptors = edge.descriptors;
  const empty = edge.rss;
  const full: number[] = [];
  for (let cycle = 0; cycle < 5; cycle += 1) {
    keyServer.child.kill('SIGSTOP');
    const clients = await halfOpen(edge.port, CROWD, hello);
    await edge.until(({ paused }) => paused === CROWD);
    await edge.state();
    full.push(edge.rss);
    for (const client of clients) client.destroy();
    await edge.until(({ connections, handshakes }) => connections + handshakes === 0);
    keyServer.child.kill('SIGCONT');
    assert.ok((await timed(edge)) < 1000, 'served at once when it is there again');
  }
  const kib = full.map((rss) => (rss - empty) / CROWD / KIB);
  context.diagnostic(`KiB each, in each cycle: ${kib.map((each) => each.toFixed(1)).join(' ')}`);
  assert.ok(Math.max(...kib) <= MOST_PENDING_KIB, String(kib));
  assert.ok(full[4]! <= full[2]! * 1.03, 'flat after the third cycle');
  const left = await edge.until(({ ready, inFlight, waiting }) => ready === 2 && inFlight + waiting === 0);
  assert.deepEqual(left.resources, before.resources);
  assert.equal(edge.descriptors, descriptors);
  assert.equal(await edge.end(), 0);
});
