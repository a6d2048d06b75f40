/** The clients of the benchmark and its link: they do what their figures are read as. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { Worker } from 'node:worker_threads';
import { closedLoop } from '../../../../lib/cli/bench/client-closed-loop.ts';
import { gapMs } from '../../../../lib/cli/bench/client-gaps.ts';
import { openLoop } from '../../../../lib/cli/bench/client-open-loop.ts';
import { signaturesIn } from '../../../../lib/cli/bench/openssl-speed.ts';
import { startWaiting } from '../../../../lib/cli/bench/questions/memory.ts';
import { takeSample } from '../../../../lib/cli/bench/sample.ts';
import { Workshop } from '../../../../lib/cli/bench/workshop.ts';
import { lastingPort } from '../../../helpers/lasting-port.ts';

let workshop: Workshop;
before(async () => {
  workshop = await Workshop.open({ quick: true, rounds: 1, roundMs: 50, warmUpMs: 50 });
});
after(() => workshop.close());

test('clients that begin when they are due see the queue that grows; clients that wait for each other do not', async () => {
  const edge = await workshop.edge('native');
  const port = edge.ports['P-256']!;
  const [version, ms, slowMs] = ['TLSv1.3', 600, 40] as const;
  await edge.figures({ burnMs: slowMs });
  const open = await workshop.clients.run({ kind: 'open', version, port, perSecond: 100, ms });
  const closed = await workshop.clients.run({ kind: 'closed', version, ports: [port], concurrent: 1, ms });
  await edge.figures({ burnMs: 0 });
  // About 60 are due, and the edge is through with 15.
  assert.ok(open.handshakes > 25, `${open.handshakes} handshakes`);
  const [longest, shortest] = [Math.max(...open.latencies), Math.min(...closed.latencies)];
  assert.ok(longest > 8 * slowMs, `${longest} ms`);
  // Whatever else the machine does, it does to both.
  assert.ok(shortest < longest / 8, `${shortest} ms, and ${longest} ms with a queue`);
});

test('clients that are too busy to begin when they should have say how late it was: latency counts from when it was due', async () => {
  const edge = await workshop.edge('native');
  const { handshakes } = await edge.figures();
  const [port, blockedMs] = [edge.ports['P-256']!, 600];
  const ran = openLoop({ kind: 'open', version: 'TLSv1.3', port, perSecond: 100, ms: 300 });
  while ((await edge.figures()).handshakes === handshakes);
  // This is the process of the clients, and does nothing else now.
  const until = performance.now() + blockedMs;
  while (performance.now() < until);
  const longest = Math.max(...(await ran).latencies);
  assert.ok(longest > blockedMs * 0.7, `${longest} ms`);
});

test('what came through in a second is counted from when connections began to be due until the last one was through', async () => {
  const edge = await workshop.edge('native');
  const ms = 300;
  const figures = await openLoop({
    ...{ kind: 'open', version: 'TLSv1.3', port: edge.ports['P-256']!, perSecond: 100, ms },
  });
  // Nothing was due later. Clocks are read one after the other.
  assert.ok(
    figures.wallMs > ms - 1e-6 && figures.wallMs < ms + Math.max(...figures.latencies) + 1,
    `${figures.wallMs} ms`,
  );
});

test('connections of an open loop are due at random: a Poisson process', async () => {
  assert.ok(Math.abs(gapMs(100, 0)) < 1e-9);
  // The median of exponential gaps with a mean of 10 ms.
  assert.ok(Math.abs(gapMs(100, 0.5) - 10 * Math.LN2) < 1e-9);
  const gaps = await paced(1000, 600);
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  const deviation = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length);
  // Of some 600: the deviation of exponential gaps is their mean, of constant ones 0; 0.7 is seven standard errors away.
  assert.ok(deviation / mean > 0.7, `${deviation} ms, of ${mean} ms`);
  assert.ok(mean > 0.7 && mean < 1.4, `${mean} ms`);
});

/** @returns what is between those that are due, as the pacer says it */
async function paced(perSecond: number, ms: number): Promise<number[]> {
  const due: number[] = [];
  const url = new URL('../../../../lib/cli/bench/client-pacer.js', import.meta.url);
  const worker = new Worker(url, { workerData: { perSecond, ms } });
  worker.on('message', (at: number) => due.push(at));
  await once(worker, 'exit');
  return due.slice(1).map((at, index) => at - due[index]!);
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`clients that are to resume do so, each time, without an operation: ${version}`, async () => {
    const edge = await workshop.edge('remote');
    const plan = { version, ports: [edge.ports['RSA-2048']!], concurrent: 4, ms: 60 };
    // The handshake that makes the session.
    await takeSample(workshop, [edge], { ...plan, resume: true });
    const { resumed, operations, due } = await takeSample(workshop, [edge], { ...plan, resume: true });
    assert.deepEqual({ resumed, operations }, { resumed: 1, operations: 0 });
    assert.deepEqual(due, { resumed: 1, operations: 0 });
    const full = await takeSample(workshop, [edge], plan);
    assert.deepEqual([full.resumed, full.operations], [0, 1]);
  });
}

test('a session is of one server, and not of the next one that has its port', async () => {
  const { 'P-256': site } = workshop.planOf('native').sites;
  const port = await lastingPort();
  for (const pid of [1, 2]) {
    const resumed: boolean[] = [];
    const server = tls.createServer({ ...site! }, (socket) => {
      resumed.push(socket.isSessionReused());
      socket.on('error', () => undefined).once('data', () => socket.end('y'));
    });
    await once(server.listen(port, '127.0.0.1'), 'listening');
    const plan = { kind: 'closed', version: 'TLSv1.3', ports: [port], concurrent: 1, ms: 30 } as const;
    await closedLoop({ ...plan, resume: true, servers: [pid] });
    await once(server.close(), 'close');
    const [first, ...others] = resumed;
    assert.ok(first === false && others.length > 0 && others.every(Boolean), resumed.join());
  }
});

test('a ClientHello holds a paused handshake until it is let go', async () => {
  const { edge, end } = await startWaiting(workshop);
  try {
    const plan = { kind: 'hello', version: 'TLSv1.3', port: edge.ports['P-256']!, answered: false } as const;
    const until = async (count: number) => {
      let [paused, connections] = [-1, -1];
      while (paused !== count || connections !== count) ({ paused, connections } = await edge.figures());
    };
    for (const count of [7, 150, 0]) {
      assert.equal((await workshop.clients.run({ ...plan, count })).handshakes, count);
      await until(count);
    }
  } finally {
    end();
  }
});

test('an edge that pings does so once for each handshake, and signs for itself', async () => {
  const edge = await workshop.edge('pinging');
  const plan = { version: 'TLSv1.3', ports: [edge.ports['P-256']!], concurrent: 4, ms: 60 } as const;
  await takeSample(workshop, [edge], plan);
  let { handshakes, operations } = await edge.figures();
  // The last answers may come when the connections have ended.
  while (operations < handshakes) ({ handshakes, operations } = await edge.figures());
  assert.equal(operations, handshakes);
  assert.ok(handshakes > 0);
});

test('a transfer is as long as it was asked for', async () => {
  const edge = await workshop.edge('native');
  const plan = { kind: 'bulk', version: 'TLSv1.3', port: edge.ports['P-256']! } as const;
  assert.equal((await workshop.clients.run({ ...plan, bytes: 65_536 * 40 })).handshakes, 1);
  await assert.rejects(workshop.clients.run({ ...plan, bytes: 65_536 + 1 }), /65536 of 65537 bytes came/);
});

test('a link delays what goes to the key server, and changes no order', async () => {
  const echo = net.createServer((socket) => socket.pipe(socket));
  await once(echo.listen(0, '127.0.0.1'), 'listening');
  const link = await workshop.startLink((echo.address() as AddressInfo).port);
  try {
    await link.delay(40);
    const socket = net.connect(link.port, '127.0.0.1').setNoDelay(true).setEncoding('utf8');
    const startedAt = performance.now();
    socket.write('0 ');
    let received = String((await once(socket, 'data'))[0]);
    assert.ok(performance.now() - startedAt >= 40);
    socket.write('1 ');
    await link.delay(0);
    socket.write('2 ');
    while (received.length < 6) received += (await once(socket, 'data'))[0];
    assert.equal(received, '0 1 2 ');
    socket.destroy();
  } finally {
    link.end();
    echo.close();
  }
});

test('both forms of what openssl speed says are read', () => {
  assert.equal(signaturesIn('+DTP:x\n+F2:2:2048:0.000250:0.000010\n'), 4000);
  assert.equal(signaturesIn('+F4:3:256:0.0625:0.00007\n'), 16);
  assert.equal(signaturesIn('+F2:2:2048:4012.1:130000\n'), 4012.1);
  assert.equal(signaturesIn('speed: Unknown algorithm'), undefined);
});
