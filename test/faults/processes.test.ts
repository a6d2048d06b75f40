/** Key servers as processes that are killed, stopped and started under load: rows 1, 2, 3, 7 and 37 of docs/operations.md. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startBadKeyServer } from '../helpers/bad-key-server.ts';
import { type Edge, type EdgeOptions, startEdge, until } from '../helpers/edge.ts';
import { startFaultProxy } from '../helpers/fault-proxy.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { lastingPort } from '../helpers/lasting-port.ts';
import { type ServeFiles, ServeProcess, serveFiles } from '../helpers/serve-process.ts';
import { stopwatch } from '../helpers/stopwatch.ts';

let setup: KeyServerSetup;
let files: ServeFiles;
const open: { close(): unknown }[] = [];

before(async () => {
  setup = await makeKeyServers(['p256']);
  files = serveFiles(setup);
});
after(async () => {
  for (const each of open) await each.close();
  files.remove();
});

class Served {
  process!: ServeProcess;
  port = 0;

  /** On the port it had before, if it had one. */
  async start(): Promise<void> {
    this.port ||= await lastingPort();
    const args = files.args.map((arg) => (arg === '127.0.0.1:0' ? `127.0.0.1:${this.port}` : arg));
    this.process = new ServeProcess([...args, '--quiet']);
    this.port = await this.process.port();
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  async end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals> {
    this.process.child.kill(signal);
    return this.process.ended;
  }
}

async function serve(): Promise<Served> {
  const served = new Served();
  await served.start();
  open.push({ close: () => served.end('SIGKILL') });
  return served;
}

/** An edge that is connected to all of them. */
async function edgeOf(
  servers: readonly { readonly address: string }[],
  options?: EdgeOptions,
): Promise<Edge> {
  const addresses = servers.map(({ address }) => address);
  // Who waits for a process to start waits for as long as that takes, which is long on a busy machine.
  const edge = await startEdge(setup, setup.sites.p256!, addresses, { timeoutMs: 60_000, ...options });
  open.unshift(edge);
  await until(() => edge.keys.stats().servers.every(({ ready }) => ready === 2));
  return edge;
}

/** So many at a time for so long. @returns how often each outcome was */
async function load(edge: Edge, workers: number, running: () => boolean): Promise<Record<string, number>> {
  const outcomes: Record<string, number> = {};
  const work = async (): Promise<void> => {
    while (running()) {
      const outcome = await edge.visit();
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: workers }, work));
  return outcomes;
}

for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
  test(`row 1: one of two gets ${signal} under load: no client sees it`, async () => {
    const servers = [await serve(), await serve()];
    const edge = await edgeOf(servers);
    let running = true;
    const outcomes = load(edge, 8, () => running);
    await until(() => edge.keys.stats().succeeded >= 100);
    await servers[0]!.end(signal);
    const { succeeded } = edge.keys.stats();
    await until(() => edge.keys.stats().succeeded >= succeeded + 150);
    running = false;
    assert.deepEqual(Object.keys(await outcomes), ['ok']);
    assert.deepEqual(edge.errors, []);
    if (signal === 'SIGTERM') assert.equal(edge.keys.stats().retried, 0, 'it said goodbye, nothing was lost');
  });
}

test('row 37: SIGTERM under load: it ends by itself, with code 0, as soon as the edge has heard its goodbye', async () => {
  const servers = [await serve(), await serve()];
  const edge = await edgeOf(servers);
  let running = true;
  const outcomes = load(edge, 8, () => running);
  await until(() => edge.keys.stats().succeeded >= 50);
  const took = stopwatch();
  assert.equal(await servers[0]!.end('SIGTERM'), 0);
  assert.ok(took() < 1500);
  running = false;
  assert.deepEqual(Object.keys(await outcomes), ['ok']);
});

test('row 1: both are gone and come back: who came meanwhile waits and is served, nobody hangs', async () => {
  const servers = [await serve(), await serve()];
  const edge = await edgeOf(servers);
  assert.deepEqual(await edge.visits(10), { ok: 10 });
  for (const server of servers) await server.end('SIGKILL');
  const meanwhile = edge.visits(40);
  await until(() => edge.keys.stats().waiting === 40);
  for (const server of servers) await server.start();
  const took = stopwatch();
  assert.deepEqual(await meanwhile, { ok: 40 });
  assert.ok(took() < 1000, 'served within a second of their return');
  assert.deepEqual(edge.errors, []);
});

test('row 1: alone and gone for good: handshakes fail at their deadline, by our code', async () => {
  const server = await serve();
  const edge = await edgeOf([server], { timeoutMs: 400 });
  await server.end('SIGKILL');
  const took = stopwatch();
  await edge.visits(5);
  assert.ok(took() < 1500);
  assert.deepEqual(
    edge.errors,
    Array.from({ length: 5 }, () => 'ERR_KEYLESS_TIMEOUT'),
  );
  assert.equal(edge.keys.stats().waiting, 0);
});

test('row 1: more than may wait: who has the least time left fails at once, the others are served', async () => {
  const server = await serve();
  const edge = await edgeOf([server], { maxWaiting: 5 });
  await server.end('SIGKILL');
  const visits = edge.visits(8);
  await until(() => edge.errors.length === 3);
  assert.deepEqual(
    edge.errors,
    Array.from({ length: 3 }, () => 'ERR_KEYLESS_NO_KEY_SERVER'),
  );
  await server.start();
  assert.equal((await visits).ok, 5);
  assert.equal(edge.keys.stats().shed, 3);
});

test('row 2: one of two is restarted again and again: no client sees it, and reconnecting is no storm', async () => {
  const [steady, shaky] = [await serve(), await serve()];
  const proxy = await startFaultProxy(shaky.port);
  open.unshift(proxy);
  const edge = await edgeOf([steady, proxy]);
  let running = true;
  const outcomes = load(edge, 4, () => running);
  const since = performance.now();
  for (let restarts = 0; restarts < 5; restarts += 1) {
    await shaky.end('SIGKILL');
    await shaky.start();
    const { succeeded } = edge.keys.stats();
    await until(() => edge.keys.stats().succeeded >= succeeded + 30);
  }
  running = false;
  assert.deepEqual(Object.keys(await outcomes), ['ok']);
  const perSecond = proxy.connections / ((performance.now() - since) / 1000);
  assert.ok(perSecond < 10, `${perSecond} connections a second`);
});

test('row 7: none was ever reached: handshakes fail in less than 50 ms, and are served once one is there', async () => {
  const server = await serve();
  await server.end('SIGKILL');
  const edge = await startEdge(setup, setup.sites.p256!, [server.address]);
  open.unshift(edge);
  await assert.rejects(edge.keys.ready(), { code: 'ERR_KEYLESS_NO_KEY_SERVER' });
  // Whoever waits for anything does so each time; a machine that has other work does not take it from each.
  const ms: number[] = [];
  for (let visits = 0; visits < 10; visits += 1) {
    const took = stopwatch();
    assert.notEqual(await edge.visit(), 'ok');
    ms.push(took());
  }
  assert.ok(Math.min(...ms) < 50, `${ms} ms`);
  assert.deepEqual(new Set(edge.errors), new Set(['ERR_KEYLESS_NO_KEY_SERVER']));
  await server.start();
  await until(() => edge.keys.stats().servers[0]!.state === 'ready');
  assert.equal(await edge.visit(), 'ok');
});

test('row 7: startup: "wait": none was ever reached, and handshakes wait for the first', async () => {
  const server = await serve();
  await server.end('SIGKILL');
  const edge = await startEdge(setup, setup.sites.p256!, [server.address], {
    startup: 'wait',
    timeoutMs: 60_000,
  });
  open.unshift(edge);
  const [ready, visits] = [edge.keys.ready(), edge.visits(5)];
  await until(() => edge.keys.stats().waiting === 5 && edge.keys.stats().servers[0]!.failures > 0);
  await server.start();
  await ready;
  assert.deepEqual(await visits, { ok: 5 });
});

test('row 3: alone and frozen: who comes meanwhile waits, and is served as soon as it goes on', async () => {
  const server = await serve();
  const edge = await edgeOf([server], { pingTimeoutMs: 100, connectTimeoutMs: 300 });
  server.process.child.kill('SIGSTOP');
  const lost = edge.visit();
  await until(() => edge.keys.stats().servers[0]!.failures >= 2);
  const meanwhile = edge.visits(20);
  await until(() => edge.keys.stats().servers[0]!.failures >= 4);
  await until(() => edge.keys.stats().waiting === 21);
  server.process.child.kill('SIGCONT');
  const took = stopwatch();
  assert.deepEqual(await meanwhile, { ok: 20 });
  assert.ok(took() < 1000);
  assert.equal(await lost, 'ok', 'what it had when it stopped was asked again');
});

test('one that takes connections and does not answer is not one that refuses us: who comes waits', async () => {
  const server = await startBadKeyServer(setup);
  open.push(server);
  const edge = await edgeOf([server], { pingTimeoutMs: 100, connectTimeoutMs: 200 });
  server.frozen = true;
  const meanwhile = edge.visits(5);
  await until(() => edge.keys.stats().servers[0]!.failures >= 4);
  assert.equal(edge.keys.stats().waiting, 5);
  server.frozen = false;
  assert.deepEqual(await meanwhile, { ok: 5 });
});
