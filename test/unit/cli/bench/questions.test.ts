/** Every question is asked, with real servers and clients, for so short a time that its figures mean nothing. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { nameOf } from '../../../../lib/cli/bench/comparison.ts';
import { Edge } from '../../../../lib/cli/bench/edge.ts';
import { page } from '../../../../lib/cli/bench/page.ts';
import type { Question } from '../../../../lib/cli/bench/question.ts';
import { casesOf } from '../../../../lib/cli/bench/questions/handshakes.ts';
import { QUESTIONS } from '../../../../lib/cli/bench/questions.ts';
import { textReport, thisMachine } from '../../../../lib/cli/bench/report.ts';
import { askAll } from '../../../../lib/cli/bench/run.ts';
import { takeSample } from '../../../../lib/cli/bench/sample.ts';
import type { Scale } from '../../../../lib/cli/bench/scale.ts';
import { Workshop } from '../../../../lib/cli/bench/workshop.ts';
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
    const machine = thisMachine();
    const report = {
      time: '',
      seconds: 1,
      machine,
      scale: TINY,
      answers: [{ name, title, failed: false, ...answer }],
    };
    for (const text of [textReport(report), page(report)])
      assert.doesNotMatch(text, /NaN|Infinity|undefined/);
    for (const { claim, measured } of answer.verdicts) assert.ok(Number.isFinite(measured), claim);
    assert.ok(answer.words.length > 0 && answer.tables.length > 0);
    assert.match(JSON.stringify(answer.raw), /\d/);
    // Utilisation depends on the machine; everything else here would be a mistake of the benchmark.
    assert.deepEqual(
      answer.warnings.filter((warning) => !/^The clients/.test(warning)),
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

test('a question that fails has no figures, says why, and takes no other one with it', async () => {
  const asked = (name: string, answer: Question['answer']): Question => ({
    ...{ name, title: name, asks: name, edges: [], seconds: () => 1, answer },
  });
  const good = { words: ['well'], tables: [], plots: [], verdicts: [], warnings: [], raw: 1 };
  const questions = [
    asked('bad', () => Promise.reject(new Error('the reason'))),
    asked('good', () => Promise.resolve(good)),
  ];
  const { answers } = await askAll(questions, TINY, { write: () => undefined });
  const all = answers.map(({ name, failed, words, warnings }) => ({ name, failed, words, warnings }));
  assert.deepEqual(all, [
    { name: 'bad', failed: true, words: [], warnings: ['This was not measured: the reason'] },
    { name: 'good', failed: false, words: ['well'], warnings: [] },
  ]);
});

test('a server that ends instead of listening ends the measurement', async () => {
  await assert.rejects(Edge.start(workshop.planOf('remote', 1)), { code: 'ERR_KEYLESS_CONNECTION' });
});

test('what is no question is refused with what there is', async () => {
  for (const name of ['nothing', 'toString']) {
    const { code, stderr } = await runCommand(['bench', name]);
    assert.equal(code, 2);
    assert.match(stderr, /A question is one of handshakes/);
  }
});
