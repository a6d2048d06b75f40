/** Asks questions one after the other, and reports. */
import { setTimeout as pause } from 'node:timers/promises';
import { thisEnvironment, withheldWarning } from './environment.ts';
import { loadWarning, type Machine, thisMachine } from './machine.ts';
import { paceWarning } from './pace.ts';
import { Progress, type ProgressOutput } from './progress.ts';
import type { Answer, Answered, Question } from './question.ts';
import { HEARD_MS } from './reason.ts';
import type { Report } from './report.ts';
import { CONCURRENT, type Scale } from './scale.ts';
import { inWorkshops } from './session.ts';
import { verdictsOf } from './verdicts.ts';
import type { EdgeName, Workshop } from './workshop.ts';
import type { Workshops } from './workshops.ts';

/** Certificates, key server, clients. */
const START_SECONDS = 2;

/** With the warm-up of the edges that no question before needed. */
function expected(questions: readonly Question[], scale: Scale): { title: string; seconds: number }[] {
  const warm = new Set<EdgeName>();
  return questions.map(({ title, edges, seconds }, index) => {
    const cold = edges.filter((name) => !warm.has(name));
    for (const name of cold) warm.add(name);
    const before = index === 0 ? START_SECONDS : 0;
    return { title, seconds: before + seconds(scale) + (cold.length * (scale.warmUpMs + 400)) / 1000 };
  });
}

/** @returns seconds */
export function expectedSeconds(questions: readonly Question[], scale: Scale): number {
  return expected(questions, scale).reduce((sum, { seconds }) => sum + seconds, 0);
}

const NOTHING = {
  words: [],
  tables: [],
  plots: [],
  measured: [],
  disowned: false,
  disturbed: false,
  raw: null,
};

/** From what its own warnings disown nothing follows. */
function concluded({ conclusions = [], ...answer }: Answer): Omit<Answer, 'conclusions'> {
  return answer.disowned || answer.disturbed
    ? answer
    : { ...answer, words: [...answer.words, ...conclusions] };
}

/** @throws (rejects) what the question throws, or that something of the workshop has ended */
async function asked(
  { name, title, answer, rounds, mostRounds }: Question,
  workshop: Workshop,
): Promise<Answered> {
  workshop.forgetEnded();
  const answered = await workshop.during(answer(workshop));
  const { scale } = workshop;
  const counts = { rounds: rounds(scale), mostRounds: mostRounds?.(scale) };
  return { name, title, failed: false, ...counts, ...concluded(answered) };
}

/**
 * What was measured before, or can be afterwards, is not lost where a question fails: it has no figures, and says why. Others are asked of
 * other processes: of those that it had, one may have ended or stand still.
 */
async function ask(question: Question, workshops: Workshops): Promise<Answered> {
  try {
    return await asked(question, await workshops.current());
  } catch (error) {
    workshops.discard().catch(() => undefined);
    // Where a signal to all of them ended what it needed, there is no report: this process may hear of it after their ends.
    await pause(HEARD_MS);
    const warnings = [`This was not measured: ${(error as Error).message}`];
    const { name, title } = question;
    return { name, title, failed: true, rounds: 0, ...NOTHING, warnings };
  }
}

async function askEach(
  questions: readonly Question[],
  workshops: Workshops,
  progress: Progress,
): Promise<Answered[]> {
  const answers: Answered[] = [];
  for (const question of questions) {
    progress.next();
    answers.push(await ask(question, workshops));
  }
  return answers;
}

/** @returns the report, so far without how long it took */
async function reportOf(
  questions: readonly Question[],
  workshops: Workshops,
  progress: Progress,
  machine: Machine,
): Promise<Omit<Report, 'seconds' | 'time'>> {
  const { scale } = await workshops.current();
  const answers = await askEach(questions, workshops, progress);
  const environment = thisEnvironment();
  const settings = { ...scale, concurrent: CONCURRENT, arguments: process.argv.slice(2), environment };
  const found = [loadWarning(machine), paceWarning(answers), withheldWarning(environment)];
  const warnings = found.filter((warning) => warning !== undefined);
  const { placement } = workshops;
  return { machine, placement, settings, warnings, verdicts: verdictsOf(answers), answers };
}

/**
 * @param questions each once
 * @param output what happens is told there
 * @throws (rejects) KeylessError if the key server does not start; Interrupted at a signal that asks the process to end
 */
export async function askAll(
  questions: readonly Question[],
  scale: Scale,
  output: ProgressOutput,
): Promise<Report> {
  const progress = new Progress(output, expected(questions, scale));
  const [time, startedAt, machine] = [new Date().toISOString(), performance.now(), thisMachine()];
  try {
    const report = await inWorkshops(
      scale,
      (workshops) => reportOf(questions, workshops, progress, machine),
      (what) => progress.say(what),
    );
    return { time, seconds: (performance.now() - startedAt) / 1000, ...report };
  } finally {
    progress.end();
  }
}
