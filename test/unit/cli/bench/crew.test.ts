/** Several processes of clients are as one: what they are told, what they say together, and that they all work. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { ClosedPlan } from '../../../../lib/cli/bench/client-plans.ts';
import type { ClientRun } from '../../../../lib/cli/bench/clients.ts';
import { placementOf } from '../../../../lib/cli/bench/cores.ts';
import { Crew, divided, neededFor, processesFor, together } from '../../../../lib/cli/bench/crew.ts';
import { Workshop } from '../../../../lib/cli/bench/workshop.ts';

let workshop: Workshop;
let crew: Crew;
before(async () => {
  workshop = await Workshop.open({ quick: true, rounds: 1, roundMs: 50, warmUpMs: 50 });
  crew = new Crew(2);
});
after(async () => {
  for (const each of crew.members) each.end();
  await workshop.close();
});

const closed = (concurrent: number, ports: readonly number[] = [1]): ClosedPlan => ({
  ...{ kind: 'closed', version: 'TLSv1.3', ports, concurrent, ms: 150 },
});

test('there are as many as cores are free for them', () => {
  const cores = (count: number) => Array.from({ length: count }, (_, index) => index);
  const counts = [2, 3, 4, 8, 64].map((count) => processesFor(placementOf(cores(count), true)));
  assert.deepEqual(counts, [1, 1, 2, 6, 8]);
  // Without taskset.
  assert.deepEqual(
    [1, 2, 4, 64].map((count) => processesFor(placementOf(cores(count), false), count)),
    [1, 1, 2, 8],
  );
});

test('a plan has as many as its edges need, and one at a time has one', () => {
  assert.deepEqual(
    [closed(16), closed(64, [1, 2, 3, 4]), closed(1), closed(2)].map(neededFor),
    [3, 12, 1, 2],
  );
  assert.equal(neededFor({ kind: 'bulk', version: 'TLSv1.3', port: 1, bytes: 1 }), 1);
  assert.equal(neededFor({ kind: 'open', version: 'TLSv1.3', port: 1, perSecond: 10, ms: 1 }), 3);
});

test('together they do what one would: as many at once, as many a second', () => {
  const concurrent = divided(closed(16), 3).map((plan) => plan.kind === 'closed' && plan.concurrent);
  assert.deepEqual(concurrent, [6, 5, 5]);
  const open = divided({ kind: 'open', version: 'TLSv1.3', port: 1, perSecond: 90, ms: 1 }, 3);
  assert.deepEqual(
    open.map((plan) => plan.kind === 'open' && plan.perSecond),
    [30, 30, 30],
  );
});

test('what they say is added up, and the busiest is the one that may limit', () => {
  const run = (handshakes: number, utilisation: number): ClientRun => ({
    ...{ handshakes, failed: 0, dropped: 1, wallMs: 100 + handshakes, cpuMs: 10, latencies: [handshakes] },
    ...{ utilisation, utilisationByKernel: utilisation },
  });
  assert.deepEqual(together([run(3, 0.99), run(4, 0.2)]), {
    ...{ processes: 2, handshakes: 7, failed: 0, dropped: 2, wallMs: 104, cpuMs: 20, latencies: [3, 4] },
    ...{ reason: undefined, utilisation: 0.99, utilisationByKernel: 0.99 },
  });
});

test('all of them make handshakes, and the edge counts each', async () => {
  const edge = await workshop.edge('native');
  const before = await edge.figures();
  const ran = await crew.run(closed(8, [edge.ports['P-256']!]));
  const { handshakes } = await edge.figures();
  assert.deepEqual([ran.processes, ran.handshakes], [2, handshakes - before.handshakes]);
  for (const { pid } of crew.members) assert.ok(pid > 0);
  // Of each a core, and not both of one.
  assert.ok(ran.cpuMs > ran.utilisation * ran.wallMs, JSON.stringify({ ...ran, latencies: [] }));
});
