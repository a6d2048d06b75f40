/** A run that other programs disturbed says so, and one that they did not says nothing. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import {
  coresIn,
  coresOf,
  onCoresOf,
  PLACEMENT,
  placementOf,
  shareCores,
} from '../../../../lib/cli/bench/cores.ts';
import { doubtsOf, isDisturbed } from '../../../../lib/cli/bench/doubts.ts';
import { loadWarning, thisMachine } from '../../../../lib/cli/bench/machine.ts';
import { childrenOf } from '../../../../lib/cli/bench/process-figures.ts';
import { isolate } from '../../../../lib/cli/bench/questions/isolate.ts';
import { takeSample } from '../../../../lib/cli/bench/sample.ts';
import { type Moment, waitsBetween } from '../../../../lib/cli/bench/waits.ts';
import { Workshop } from '../../../../lib/cli/bench/workshop.ts';
import { NATIVELY, QUIET, RESUMED, samplesWith } from '../../../helpers/bench.ts';
import { allowedCoresOf } from '../../../helpers/processes.ts';

let workshop: Workshop;
before(async () => {
  workshop = await Workshop.open({ quick: true, rounds: 1, roundMs: 50, warmUpMs: 200 });
});
after(() => workshop.close());

const TWO = placementOf([0, 1], true);
const ONE = placementOf([0], true);

/** One process for each: [role, ran, ran in the main thread, waited there]. */
const moment = (at: number, ...rows: readonly (readonly [string, number, number, number])[]): Moment => ({
  ...{ at, stolen: at / 50 },
  processes: rows.map(([role, ran, mainRan, mainWaited], pid) => ({
    ...{ pid, role: role as 'edge', ran, mainRan, mainWaited },
  })),
});

test('what the benchmark does to itself is no disturbance: own threads, and own processes on the same core', () => {
  const start = moment(0, ['edge', 0, 0, 0], ['key server', 0, 0, 0], ['clients', 0, 0, 0]);
  const own = moment(1000, ['edge', 900, 800, 90], ['key server', 200, 200, 600], ['clients', 700, 700, 190]);
  const { edge, 'key server': server, clients, stolen } = waitsBetween(start, own, [0], TWO);
  assert.deepEqual([edge, server, clients], [0, 0, 0]);
  assert.ok(stolen !== undefined && stolen > 0);
});

test('waiting that nothing of the benchmark explains is: by side, as a share of the time', () => {
  const start = moment(0, ['edge', 0, 0, 0], ['key server', 0, 0, 0], ['clients', 0, 0, 0]);
  const others = moment(
    1000,
    ['edge', 500, 500, 400],
    ['key server', 100, 100, 30],
    ['clients', 400, 400, 350],
  );
  const { edge, 'key server': server, clients } = waitsBetween(start, others, [0], TWO);
  assert.deepEqual([edge, server, clients], [0.4, 0, 0.25]);
  // On one core all of it may be their own.
  const shared = waitsBetween(start, others, [0], ONE);
  assert.deepEqual([shared.edge, shared.clients], [0, 0]);
  assert.equal(waitsBetween(moment(0), moment(1000), [0], TWO).edge, undefined);
});

test('of several processes of a side the one that waited longest says what that side waited', () => {
  const start = moment(0, ['edge', 0, 0, 0], ['clients', 0, 0, 0], ['clients', 0, 0, 0]);
  for (const [first, second] of [
    [0, 400],
    [400, 0],
  ] as const) {
    const end = moment(
      1000,
      ['edge', 500, 500, 0],
      ['clients', 100, 100, first],
      ['clients', 100, 100, second],
    );
    // The other one ran for 100 of them.
    assert.equal(waitsBetween(start, end, [0], TWO).clients, 0.3);
  }
});

test('a program on the core of the edge is seen in the sample', {
  skip: PLACEMENT.why ?? false,
}, async () => {
  const [command, values] = onCoresOf('edge', process.execPath, ['-e', 'console.log(1); for (;;);']);
  const hog = spawn(command, [...values], { stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    await once(hog.stdout, 'data');
    const edge = await workshop.edge('native');
    const plan = { version: 'TLSv1.3', ports: [edge.ports['P-256']!], concurrent: 16, ms: 400 } as const;
    const sample = await takeSample(workshop, [edge], plan);
    const { warnings, disturbed } = doubtsOf({ native: [sample] });
    assert.ok(disturbed, JSON.stringify(sample));
    assert.match(
      warnings[0]!,
      /^Other programs disturbed this: the edge waited for its core \(share of the time: native \d+ %\)/,
    );
  } finally {
    hog.kill('SIGKILL');
    await once(hog, 'exit');
  }
});

test('edge, key server and clients run where they are said to', {
  skip: PLACEMENT.why ?? false,
}, async () => {
  const edge = await workshop.edge('native');
  const { cores } = PLACEMENT;
  assert.deepEqual(allowedCoresOf(edge.pid), cores!.edge);
  assert.deepEqual(allowedCoresOf(workshop.keyServer.child.pid!), cores!['key server']);
  for (const { pid } of workshop.clients.members) assert.deepEqual(allowedCoresOf(pid), cores!.clients);
  assert.ok(workshop.isPlaced);
  assert.match(workshop.placement, /^edge on core \d+, key server on \d+, clients on /);
});

test('for isolate native app, isolated app and its keys have the same two cores, and the native one has one again afterwards', {
  skip: PLACEMENT.why ?? false,
}, async () => {
  const [native, isolated] = [await workshop.edge('native'), await workshop.edge('isolated')];
  const all = [native.pid, isolated.pid, ...childrenOf(isolated.pid)];
  assert.ok(all.length > 2);
  const seen = new Set<string>();
  const looking = setInterval(() => seen.add(all.map((pid) => allowedCoresOf(pid).join()).join('; ')), 5);
  await isolate.answer(workshop);
  clearInterval(looking);
  const both = coresOf('edge and key server')!;
  assert.ok(both.length === 2 && seen.has(all.map(() => both.join()).join('; ')), [...seen].join(' | '));
  assert.deepEqual(allowedCoresOf(native.pid), PLACEMENT.cores!.edge);
});

test('the edge shares its core with nobody, where there are two that this process may use', () => {
  assert.deepEqual(coresIn('2-4,7\n'), [2, 3, 4, 7]);
  assert.deepEqual(placementOf([2, 3], true).cores, { edge: [2], 'key server': [3], clients: [3] });
  assert.deepEqual(placementOf([0, 1, 2], true).cores, { edge: [0], 'key server': [1], clients: [2] });
  assert.deepEqual(placementOf([1, 4, 5, 9], true).cores, { edge: [1], 'key server': [4], clients: [5, 9] });
  assert.deepEqual(placementOf([3], true), { why: 'there is one core' });
  assert.deepEqual(placementOf([0, 1], false), { why: 'there is no taskset command that works' });
  assert.ok(!shareCores('edge', 'clients', TWO));
  assert.ok(shareCores('key server', 'clients', TWO));
  assert.ok(shareCores('edge', 'anywhere', TWO));
  assert.deepEqual(coresOf('edge and key server', placementOf([1, 4, 5, 9], true)), [1, 4]);
});

test('a benchmark that was stopped in a round says so: clocks went on', async () => {
  const [, stopped] = await workshop.watched([], async () => {
    // As Ctrl-Z does: nothing of this process happens.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 700);
  });
  assert.ok((stopped.standstill ?? 0) > 0.9, JSON.stringify(stopped));
  const quiet = samplesWith({});
  const held = samplesWith({ waits: { ...QUIET, standstill: 0.5 } });
  const { warnings, disturbed } = doubtsOf({ native: held, remote: quiet });
  assert.deepEqual(
    [warnings, disturbed],
    [
      [
        'The benchmark itself stood still meanwhile (stopped; share of the time: native 50 %). Its figures are not certain.',
      ],
      true,
    ],
  );
  assert.ok(isDisturbed(held, quiet) && !isDisturbed(quiet));
});

test('half of the contestants disturbed, or clients at their limit in one of them, are not lost in a median of all', () => {
  const quiet = samplesWith({});
  assert.deepEqual(doubtsOf({ native: quiet, remote: quiet }), {
    warnings: [],
    disowned: false,
    disturbed: false,
  });
  const held = samplesWith({ waits: { ...QUIET, edge: 0.3 } });
  const { warnings, disturbed } = doubtsOf({ native: held, remote: quiet, more: quiet });
  assert.ok(disturbed);
  assert.match(warnings.join(), /native 30 %/);
  for (const side of ['key server', 'clients', 'stolen'] as const) {
    assert.ok(
      doubtsOf({ native: quiet, remote: samplesWith({ waits: { ...QUIET, [side]: 0.2 } }) }).disturbed,
      side,
    );
  }
  const full = { clientUtilisation: 0.99, clientUtilisationByKernel: 0.99 };
  const busy = samplesWith({ ...full, edgeCpuMs: 0.5 });
  const limited = doubtsOf({ native: busy, remote: quiet, more: quiet });
  assert.deepEqual([limited.disturbed, limited.warnings.length], [false, 1]);
  assert.match(limited.warnings[0]!, /^The clients used all of a core \(native 99 %\)/);
  assert.deepEqual(doubtsOf({ native: samplesWith({ ...full, edgeCpuMs: 1.1 }) }).warnings, []);
});

test('where the system does not say whether others were there, that is said, and nothing else', () => {
  const waits = {
    edge: undefined,
    'key server': undefined,
    clients: undefined,
    stolen: undefined,
    standstill: 0,
  };
  for (const stolen of [undefined, 0]) {
    const { warnings, disturbed } = doubtsOf({ native: samplesWith({ waits: { ...waits, stolen } }) });
    assert.match(
      warnings.join(),
      /^This system does not say .*: whether other programs disturbed this is not known\.$/,
    );
    assert.equal(disturbed, false);
  }
  // Some process of a question is enough: not each has an edge.
  assert.deepEqual(doubtsOf({ native: samplesWith({ waits: { ...waits, clients: 0 } }) }).warnings, []);
});

test('accounts that do not agree are told', () => {
  const apart = doubtsOf({ one: samplesWith({ clientUtilisationByKernel: 0.7 }) });
  assert.match(apart.warnings.join(), /do not agree .* \(by so much of a core: one 20 %\)/);
  assert.match(doubtsOf({ one: samplesWith({ agreement: 0.99 }) }).warnings.join(), /different numbers/);
});

test('what was counted is held to what was to be, round by round: operations, and resumed handshakes', () => {
  for (const [figures, warning] of [
    [{}, ''],
    [NATIVELY, ''],
    [RESUMED, ''],
    [{ operations: 0.99 }, 'Not every handshake of an edge without keys had one operation'],
    [{ operations: 1.01 }, 'Not every handshake of an edge without keys had one operation'],
    [{ resumed: 0.01 }, 'Some handshakes were resumed'],
    [{ ...NATIVELY, resumed: 0.01 }, 'Some handshakes were resumed'],
    [{ ...RESUMED, resumed: 0.99 }, 'Not every handshake was resumed'],
    [{ ...RESUMED, operations: 0.01 }, 'The key server was asked'],
  ] as const) {
    const one = samplesWith({});
    const { warnings, disowned } = doubtsOf({ one: [...one.slice(1), { ...one[0]!, ...figures }] });
    const found = warnings.map((each) => each.split(':')[0]).join();
    assert.deepEqual([found, disowned], [warning, warning !== ''], JSON.stringify(figures));
  }
});

test('a machine that was busy before is told of', () => {
  const machine = thisMachine();
  assert.equal(loadWarning({ ...machine, cores: 2, load: [0.9, 9, 9] }), undefined);
  assert.match(
    loadWarning({ ...machine, cores: 2, load: [7.44, 0, 0] })!,
    /load average was 7\.4, on 2 cores/,
  );
  assert.match(machine.version, /^\d+\.\d+\.\d+/);
  assert.ok(machine.kernel.length > 0 && machine.load.length === 3);
});
