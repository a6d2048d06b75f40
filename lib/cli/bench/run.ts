/** Asks questions one after the other, and reports. */
import { endingSignal } from '../command.ts';
import { Progress, type ProgressOutput } from './progress.ts';
import type { Question } from './question.ts';
import { type Answered, type Report, thisMachine } from './report.ts';
import type { Scale } from './scale.ts';
import { type EdgeName, Workshop } from './workshop.ts';

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

/** What was measured before is not lost where a question fails: it has no figures, and says why. */
async function ask({ name, title, answer }: Question, workshop: Workshop): Promise<Answered> {
  try {
    return { name, title, failed: false, ...(await answer(workshop)) };
  } catch (error) {
    const nothing = { words: [], tables: [], plots: [], verdicts: [], raw: undefined };
    const warnings = [`This was not measured: ${(error as Error).message}`];
    return { name, title, failed: true, ...nothing, warnings };
  }
}

async function askEach(
  questions: readonly Question[],
  workshop: Workshop,
  progress: Progress,
): Promise<Answered[]> {
  const answers: Answered[] = [];
  for (const question of questions) {
    progress.next();
    answers.push(await ask(question, workshop));
  }
  return answers;
}

/** A signal asked the process to end. What was being measured goes on until it does. */
export class Interrupted extends Error {}

/** Rejects at the first signal that asks the process to end. */
async function interruption(): Promise<never> {
  throw new Interrupted(
    `${await endingSignal()}: the benchmark was ended before its time, and nothing is reported.`,
  );
}

/**
 * @param questions each once
 * @param output what happens is told there
 * @throws (rejects) KeylessError if the key server does not start; {@link Interrupted} at a signal that asks the process to end
 */
export async function askAll(
  questions: readonly Question[],
  scale: Scale,
  output: ProgressOutput,
): Promise<Report> {
  const progress = new Progress(output, expected(questions, scale));
  const [time, startedAt] = [new Date().toISOString(), performance.now()];
  const interrupted = interruption();
  interrupted.catch(() => undefined);
  const workshop = await Workshop.open(scale, (what) => progress.say(what));
  try {
    const answers = await Promise.race([askEach(questions, workshop, progress), interrupted]);
    const seconds = (performance.now() - startedAt) / 1000;
    return { time, seconds, machine: thisMachine(), scale, answers };
  } finally {
    progress.end();
    await workshop.close();
  }
}
