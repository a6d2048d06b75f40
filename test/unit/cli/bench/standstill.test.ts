/** A process of the benchmark that stands still is not waited for for ever: its question has no figures, and the others have. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Asker } from '../../../../lib/cli/bench/asker.ts';
import { childrenOf } from '../../../../lib/cli/bench/process-figures.ts';
import { Program } from '../../../../lib/cli/bench/program.ts';
import type { Answer, Question } from '../../../../lib/cli/bench/question.ts';
import { askAll } from '../../../../lib/cli/bench/run.ts';
import { takeSample } from '../../../../lib/cli/bench/sample.ts';
import { makeSiteFiles } from '../../../../lib/cli/bench/sites.ts';
import { Workshop } from '../../../../lib/cli/bench/workshop.ts';
import { Workshops } from '../../../../lib/cli/bench/workshops.ts';
import { startKeyServer } from '../../../../lib/cli/key-server-process.ts';
import { gone } from '../../../helpers/programs.ts';

const SCALE = { quick: true, rounds: 1, roundMs: 50, warmUpMs: 50 };
const PATIENCE_MS = 120_000;
const QUIETLY = { write: () => undefined };

const answer: Answer = {
  ...{ words: [], tables: [], plots: [], measured: [] },
  ...{ warnings: [], disowned: false, disturbed: false, raw: 1 },
};

const question = (name: string, ask: (workshop: Workshop) => Promise<unknown>): Question => ({
  ...{ name, title: name, asks: name, edges: [], rounds: () => 2, seconds: () => 1 },
  answer: (workshop) => ask(workshop).then(() => answer),
});

/** A second before the patience is over nothing has happened; then the work fails. @param longerMs that it takes anyway */
async function outlasts(t: TestContext, work: Promise<unknown>, longerMs = 0): Promise<void> {
  let isOver = false;
  const over = () => (isOver = true);
  work.then(over, over);
  t.mock.timers.tick(PATIENCE_MS + longerMs - 1000);
  await turn();
  assert.ok(!isOver);
  t.mock.timers.tick(1000);
  await work;
}

test('whoever stands still, its question is not measured, with the reason, and the next one is, by others', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const pids: number[] = [];
  const stop = (pid: number) => {
    pids.push(pid);
    process.kill(pid, 'SIGSTOP');
  };
  const planOf = (port = 1, ms = 0) =>
    ({ kind: 'closed', version: 'TLSv1.3', ports: [port], concurrent: 1, ms }) as const;
  const questions = [
    question('an edge that clients wait for', async (workshop) => {
      const edge = await workshop.edge('native');
      stop(edge.pid);
      await outlasts(t, workshop.clients.run(planOf(edge.ports['P-256'], 2000)), 2000);
    }),
    question('an edge', async (workshop) => {
      const edge = await workshop.edge('native');
      stop(edge.pid);
      await outlasts(t, edge.figures());
    }),
    question('clients', async (workshop) => {
      stop(workshop.clients.members[0]!.pid);
      await outlasts(t, workshop.clients.run(planOf()));
    }),
    question('a link', async (workshop) => {
      const link = await workshop.startLink();
      stop(link.pid);
      // It is ended at once, whatever comes afterwards.
      await outlasts(t, link.delay(1)).finally(() => gone(link.pid));
    }),
    question('a key server, which ends', async ({ keyServer }) => {
      keyServer.child.kill('SIGKILL');
      await new Promise(() => undefined);
    }),
    question('nobody', async (workshop) => {
      const edge = await workshop.edge('remote');
      await takeSample(workshop, [edge], planOf(edge.ports['P-256'], 20));
    }),
  ];
  const { answers, placement } = await askAll(questions, SCALE, QUIETLY);
  const reasonOf = (file: string, seconds = 120) =>
    `This was not measured: A process of the benchmark (./${file}.js) has not answered for ${seconds} s: it stands still, or what it waits for does.`;
  assert.deepEqual(
    answers.map(({ failed, warnings }) => [failed, warnings.join()]),
    [
      [true, reasonOf('client-process', 122)],
      [true, reasonOf('edge-process')],
      [true, reasonOf('client-process')],
      [true, reasonOf('link-process')],
      [true, 'This was not measured: The key server of the benchmark has ended: SIGKILL.'],
      [false, ''],
    ],
  );
  assert.notEqual(placement, '');
  await Promise.all(pids.map(gone));
});

test('a key server that stands still is not waited for, before, while and after it is asked', async (t) => {
  const workshop = await Workshop.open(SCALE);
  try {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const { files, keyServer } = workshop;
    const { edge, ca, certs } = files;
    const options = { ...edge, ca, site: 'P-256', siteCert: certs['P-256'], window: 4 } as const;
    const asker = await Asker.connect({ port: keyServer.port, ...options });
    asker.start();
    process.kill(keyServer.child.pid!, 'SIGSTOP');
    const reason = /^The key server has not answered for 120 s: it stands still\.$/;
    const expected = { code: 'ERR_KEYLESS_CONNECTION', message: reason };
    const connects = assert.rejects(Asker.connect({ port: keyServer.port, ...options }), expected);
    await assert.rejects(outlasts(t, asker.stop()), expected);
    await connects;
  } finally {
    await workshop.close();
  }
});

test('another program has as long as everything else: what it takes, and 120 s of this process, which may be stopped', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const programOf = (text: string) => new Program('clients', process.execPath, ['-e', text], 50);
  // Longer than it takes, by the clock.
  assert.equal(await programOf('setTimeout(() => console.log("late"), 500)').output, 'late\n');
  const hanging = programOf('setInterval(() => undefined, 1000)');
  await outlasts(t, hanging.output, 1000);
  assert.equal(await hanging.output, undefined);
  await gone(hanging.pid);
});

test('a key server that does not come is ended', async (t) => {
  const files = makeSiteFiles();
  try {
    t.mock.timers.enable({ apis: ['setInterval'] });
    await assert.rejects(outlasts(t, startKeyServer(files)), {
      message: 'The key server did not start: it stands still, for 120 s',
    });
  } finally {
    rmSync(files.folder, { recursive: true });
  }
});

test('a key server that ends before it listens is told of with its exit code and what it said', async () => {
  const files = makeSiteFiles();
  try {
    rmSync(join(files.folder, 'server.pem'));
    const message = /^The key server did not start: exit code \d+: .*server\.pem/;
    await assert.rejects(startKeyServer(files), { message });
  } finally {
    rmSync(files.folder, { recursive: true });
  }
});

test('the end does not wait for a key server that stands still while it starts', async () => {
  const workshops = new Workshops(SCALE);
  const opening = workshops.current();
  opening.catch(() => undefined);
  // Its certificates are made in this turn, and it is started.
  await turn();
  const isKeyServer = (pid: number) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('\0serve\0');
  const pid = childrenOf(process.pid).find(isKeyServer)!;
  process.kill(pid, 'SIGSTOP');
  await workshops.end();
  await assert.rejects(opening, { message: 'The key server did not start: SIGKILL' });
  await gone(pid);
});

test('a workshop after another leaves nothing, and after the end there is none', async () => {
  const workshops = new Workshops(SCALE);
  const first = await workshops.current();
  assert.equal(await workshops.current(), first);
  const discarded = workshops.discard();
  const second = await workshops.current();
  assert.notEqual(second.files.folder, first.files.folder);
  assert.ok(!existsSync(first.files.folder) && existsSync(second.files.folder));
  await discarded;
  workshops.discard();
  // This one is being opened when it ends.
  const opening = workshops.current();
  opening.catch(() => undefined);
  await workshops.end();
  assert.ok(!existsSync(second.files.folder));
  const third = await opening.catch(() => undefined);
  assert.ok(third === undefined || !existsSync(third.files.folder));
  await assert.rejects(workshops.current(), /is over/);
});
