/** Every question is asked, with real servers and clients, for so short a time that its figures mean nothing. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { nameOf } from '../../../../lib/cli/bench/comparison.ts';
import type { Edge } from '../../../../lib/cli/bench/edge.ts';
import { eachGeneration, generationsOf } from '../../../../lib/cli/bench/generations.ts';
import { page } from '../../../../lib/cli/bench/page.ts';
import type { Answer, Question } from '../../../../lib/cli/bench/question.ts';
import { casesOf } from '../../../../lib/cli/bench/questions/handshakes.ts';
import { keyServer } from '../../../../lib/cli/bench/questions/key-server.ts';
import { QUESTIONS } from '../../../../lib/cli/bench/questions.ts';
import { textReport } from '../../../../lib/cli/bench/report.ts';
import { askAll } from '../../../../lib/cli/bench/run.ts';
import { takeSample } from '../../../../lib/cli/bench/sample.ts';
import { CONCURRENT, type Scale } from '../../../../lib/cli/bench/scale.ts';
import { Interrupted } from '../../../../lib/cli/bench/session.ts';
import { TARGETS } from '../../../../lib/cli/bench/targets.ts';
import { type EdgeName, Workshop } from '../../../../lib/cli/bench/workshop.ts';
import { reportWith, roundsIn } from '../../../helpers/bench.ts';
import { runCommand } from '../../../helpers/programs.ts';

const TINY: Scale = { quick: true, rounds: 2, roundMs: 60, warmUpMs: 100 };

let workshop: Workshop;
before(async () => {
  workshop = await Workshop.open(TINY);
});
after(() => workshop.close());

for (const question of QUESTIONS) {
  test(`"${question.name}" has an answer that can be written down`, async () => {
    const answer = await question.answer(workshop);
    const { name, title } = question;
    const report = reportWith([{ name, title, failed: false, rounds: question.rounds(TINY), ...answer }]);
    for (const text of [textReport(report), page(report)])
      assert.doesNotMatch(text, /NaN|Infinity|undefined/);
    for (const { target, value, interval } of answer.measured)
      assert.ok(Number.isFinite(value) && interval?.every(Number.isFinite), target);
    const targets = Object.entries(TARGETS).filter(([, target]) => target.question === name);
    assert.deepEqual(
      answer.measured.map(({ target }) => target).sort(),
      targets.map(([each]) => each).sort(),
    );
    assert.ok(answer.words.length + (answer.conclusions ?? []).length > 0 && answer.tables.length > 0);
    // By these it is seen whether the machine kept its pace.
    const isYardstick = ['handshakes', 'shim', 'load', 'clients'].includes(name);
    assert.equal((answer.natively?.['P-256, TLS 1.3'] ?? 0) > 0, isYardstick);
    // What compares is said only where nothing disturbed it.
    const comparing = / × |\b(more|less|fewer) than\b|\badds\b| ms\b.* ms\b|\d % and \d/m;
    assert.doesNotMatch(answer.words.join('\n'), comparing);
    assert.match(JSON.stringify(answer.raw), /\d/);
    const [rounds, most] = [question.rounds(TINY), question.mostRounds?.(TINY) ?? question.rounds(TINY)];
    const all = roundsIn(answer.raw);
    if (all.length > 0) assert.deepEqual([Math.min(...all), Math.max(...all)], [rounds, most]);
    // These depend on the machine; everything else here would be a mistake of the benchmark.
    assert.deepEqual(
      answer.warnings.filter(
        (warning) =>
          !/^The clients|^Other programs|^Some memory|That cannot be|^What the signature alone|^openssl speed is of/.test(
            warning,
          ),
      ),
      [],
    );
    assert.ok(question.seconds(TINY) > 0);
  });
}

for (const which of casesOf({ ...TINY, quick: false })) {
  test(`there are full handshakes of ${nameOf(which)}`, async () => {
    const { site, ...dial } = which;
    for (const [name, operations] of [
      ['native', 0],
      ['remote', 1],
    ] as const) {
      const edge = await workshop.edge(name);
      const ports = [edge.ports[site]!];
      const sample = await takeSample(workshop, [edge], { ...dial, ports, concurrent: 1, ms: 20 });
      assert.deepEqual([sample.operations, sample.resumed, sample.agreement], [operations, 0, 1]);
      assert.deepEqual(sample.due, { operations, resumed: 0 });
    }
  });
}

test('a sample has one operation for each remote handshake, and figures that can be', async () => {
  const edge = await workshop.edge('remote');
  const ports = [edge.ports['P-256']!];
  const sample = await takeSample(workshop, [edge], { version: 'TLSv1.3', ports, concurrent: 4, ms: 200 });
  const { operations, agreement, resumed, handshakes } = sample;
  assert.deepEqual({ operations, agreement, resumed }, { operations: 1, agreement: 1, resumed: 0 });
  assert.ok(handshakes > 10, `${handshakes} handshakes`);
  for (const value of [sample.edgeCpuMs, sample.clientCpuMs, sample.medianMs, sample.p99Ms]) {
    assert.ok(value > 0.05 && value < 500, JSON.stringify({ ...sample }));
  }
  assert.ok(sample.p99Ms >= sample.medianMs);
});

test('time that the edge wastes is seen', async () => {
  const edge = await workshop.edge('native');
  const plan = { version: 'TLSv1.3', ports: [edge.ports['P-256']!], concurrent: 1, ms: 200 } as const;
  await edge.figures({ burnMs: 20 });
  const { edgeCpuMs } = await takeSample(workshop, [edge], plan);
  await edge.figures({ burnMs: 0 });
  assert.ok(edgeCpuMs > 19, `${edgeCpuMs} ms`);
});

test('a handshake that fails ends the measurement, with the reason', async () => {
  const edge = await workshop.edge('native');
  const plan = { version: 'TLSv1.3', group: 'P-521:P-384', ports: [1], concurrent: 1, ms: 10 } as const;
  await assert.rejects(takeSample(workshop, [edge], plan), {
    code: 'ERR_KEYLESS_HANDSHAKE',
    message: /connections of the benchmark failed: .*ECONNREFUSED/,
  });
});

const asked = (name: string, answer: Question['answer']): Question => ({
  ...{ name, title: name, asks: name, edges: [], rounds: () => 2, seconds: () => 1, answer },
});
const good: Answer = {
  ...{ words: ['well'], tables: [], plots: [], measured: [] },
  ...{ warnings: [], disowned: false, disturbed: false, raw: 1 },
};

test('an edge that ends takes the question with it that it is asked in, and none that comes after', async () => {
  const sampled = async (each: Workshop) => {
    const edge = await each.edge('native');
    const plan = { version: 'TLSv1.3', ports: [edge.ports['P-256']!], concurrent: 1, ms: 20 } as const;
    await takeSample(each, [edge], plan);
    return good;
  };
  const ended = async (each: Workshop) => {
    const edge = await each.edge('native');
    process.kill(edge.pid, 'SIGKILL');
    await edge.gone;
  };
  const questions = [
    asked('ends', (each) => ended(each).then(() => sampled(each))),
    asked('after', sampled),
    asked('ends while it is warmed up', async (each) => {
      each.renew(['native']);
      const { warmUp } = each;
      each.warmUp = async (edge) => {
        each.warmUp = warmUp;
        process.kill(edge.pid, 'SIGKILL');
        await edge.figures();
      };
      await assert.rejects(each.edge('native'), /edge-process.js\) has ended: SIGKILL/);
      return sampled(each);
    }),
  ];
  const { answers } = await askAll(questions, TINY, { write: () => undefined });
  assert.deepEqual(
    answers.map(({ warnings }) => warnings.join()),
    ['This was not measured: A process of the benchmark (./edge-process.js) has ended: SIGKILL.', '', ''],
  );
});

test('work that fails because an edge has ended says so, and not what came of it; an edge that was told to end is no reason', async () => {
  const failing = async (end: (edge: Edge) => void) => {
    const edge = await workshop.startEdge(workshop.planOf('native'));
    const plan = { version: 'TLSv1.3', ports: [edge.ports['P-256']!], concurrent: 4, ms: 300 } as const;
    const ran = workshop.clients.run({ ...plan, kind: 'closed' });
    end(edge);
    await ran;
  };
  const lost = failing(({ pid }) => process.kill(pid, 'SIGKILL'));
  await assert.rejects(workshop.during(lost), /edge-process.js\) has ended: SIGKILL\.$/);
  const told = failing((edge) => edge.end());
  await assert.rejects(workshop.during(told), /connections of the benchmark failed/);
});

test('a question that fails has no figures, says why, and takes no other one with it', async () => {
  const more = { ...good, conclusions: ['so'] };
  const questions = [
    asked('bad', () => Promise.reject(new Error('the reason'))),
    asked('good', () => Promise.resolve({ ...more, natively: { 'P-256': 1 } })),
    asked('miscounted', () => Promise.resolve({ ...more, disowned: true })),
    asked('disturbed', () => Promise.resolve({ ...more, disturbed: true, natively: { 'P-256': 2 } })),
  ];
  const report = await askAll(questions, TINY, { write: () => undefined });
  const { answers } = report;
  assert.match(report.warnings.join(), /The speed of this machine changed while it was measured, by 2\.00 ×/);
  const all = answers.map(({ name, failed, words, warnings }) => ({ name, failed, words, warnings }));
  assert.deepEqual(all, [
    { name: 'bad', failed: true, words: [], warnings: ['This was not measured: the reason'] },
    { name: 'good', failed: false, words: ['well', 'so'], warnings: [] },
    // From what was disturbed nothing follows, nor from what is something else.
    { name: 'miscounted', failed: false, words: ['well'], warnings: [] },
    { name: 'disturbed', failed: false, words: ['well'], warnings: [] },
  ]);
});

test('a signal to all processes is heard after the end of the key server that it ended: nothing is reported', async () => {
  const killed = asked('killed', ({ keyServer: { child, ended } }) => {
    ended.then(() => setTimeout(() => process.kill(process.pid, 'SIGTERM'), 600));
    child.kill('SIGKILL');
    return new Promise(() => undefined);
  });
  await assert.rejects(askAll([killed], TINY, { write: () => undefined }), Interrupted);
});

test('requests that the key server refuses measure nothing', async () => {
  const { certs } = workshop.files;
  const own = certs['P-256'];
  // Of a key that this scheme is not for.
  Object.assign(certs, { 'P-256': certs['P-384'] });
  try {
    await assert.rejects(keyServer.answer(workshop), /\d+ of \d+ requests of the benchmark were refused/);
  } finally {
    Object.assign(certs, { 'P-256': own });
  }
});

test('a new generation is of other processes, and what has ended is no longer watched', async () => {
  const pids: number[] = [];
  const scale = { ...TINY, quick: false };
  const two = { ...{ scale, renew: (names: readonly EdgeName[]) => workshop.renew(names) } } as Workshop;
  await eachGeneration(two, ['native'], async () => pids.push((await workshop.edge('native')).pid));
  assert.equal(pids.length, generationsOf(scale));
  assert.equal(new Set(pids).size, pids.length);
  const [, waits] = await workshop.watched([await workshop.edge('native')], async () => undefined);
  assert.ok(waits.edge !== undefined);
});

test('edges are warm when they are given', async () => {
  const { handshakes, cpuMs } = await (await workshop.edge('native')).figures();
  assert.ok(handshakes > 0 && cpuMs > TINY.warmUpMs / 2, `${handshakes} handshakes, ${cpuMs} ms`);
  const cold = await workshop.startEdge(workshop.planOf('native'));
  const before = (await cold.figures()).cpuMs;
  await workshop.warmUp(cold);
  const after = await cold.figures();
  assert.ok(after.handshakes > 0 && after.cpuMs - before >= TINY.warmUpMs / 4, JSON.stringify(after));
  cold.end();
});

test('so many connections are open at once as were asked for: sixteen, where that is not the question', async () => {
  assert.equal(CONCURRENT, 16);
  const open = new Set<net.Socket>();
  // It answers none of them.
  const server = net.createServer((socket) => open.add(socket.on('error', () => undefined)));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const ports = [(server.address() as AddressInfo).port];
  for (const concurrent of [1, CONCURRENT]) {
    const ran = workshop.clients.run({ kind: 'closed', version: 'TLSv1.3', ports, concurrent, ms: 150 });
    ran.catch(() => undefined);
    while (open.size < concurrent) await pause(10);
    // None begins after the time is over.
    await pause(250);
    assert.equal(open.size, concurrent);
    for (const socket of open) socket.destroy();
    open.clear();
    await assert.rejects(ran, /connections of the benchmark failed/);
  }
  server.close();
});

test('a server that ends instead of listening ends the measurement', async () => {
  await assert.rejects(workshop.startEdge(workshop.planOf('remote', 1)), { code: 'ERR_KEYLESS_CONNECTION' });
});

test('what is no question is refused with what there is', async () => {
  for (const name of ['nothing', 'toString']) {
    const { code, stderr } = await runCommand(['bench', name]);
    assert.equal(code, 2);
    assert.match(stderr, /A question is one of handshakes/);
  }
});
