/** `keyless-tls bench`: native against remote signing, on this machine. */
import { checkPrintable, checkWritable, writePage } from './bench/output.ts';
import { page } from './bench/page.ts';
import type { Question } from './bench/question.ts';
import { QUESTIONS, QUICK_QUESTIONS } from './bench/questions.ts';
import { textReport } from './bench/report.ts';
import { askAll } from './bench/run.ts';
import { FULL, QUICK } from './bench/scale.ts';
import { Interrupted } from './bench/session.ts';
import { type Command, parsePositionals, UsageError } from './command.ts';
import { print, unlessLost } from './standard-output.ts';

const WIDTH = Math.max(...QUESTIONS.map(({ name }) => name.length));

const USAGE = `keyless-tls bench: what keys that are elsewhere cost, on this machine

Usage: keyless-tls bench [question ...] [options]

Questions, all of them if none is named:
${QUESTIONS.map(({ name, asks }) => `  ${name.padEnd(WIDTH)} ${QUICK_QUESTIONS.some((each) => each.name === name) ? '*' : ' '} ${asks}`).join('\n')}

Options:
  --quick         the questions with a *, in less than a minute on a quiet machine, with fewer rounds and less
                  exactly; without it, all of them in less than fifteen
  --html FILE     write a page with plots
  --json          print JSON: every round, the machine, the settings

Server, key server and clients are processes of their own on the loopback, the server alone on a core where there are two
and taskset. CPU time of the server for each handshake, rounds in turn, medians; a
target is met, or not, where these leave no doubt. Do nothing else on the machine meanwhile:
the report says where other programs disturbed it.

Examples:
  keyless-tls bench --quick --html bench.html
  keyless-tls bench handshakes distance
`;

const OPTIONS = {
  quick: { type: 'boolean', default: false },
  html: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const;

/** @throws UsageError for what is no question */
function chosen(names: readonly string[], all: readonly Question[]): readonly Question[] {
  const unknown = names.find((name) => !QUESTIONS.some((question) => question.name === name));
  if (unknown !== undefined) {
    const known = QUESTIONS.map(({ name }) => name).join(', ');
    throw new UsageError(
      `A question is one of ${known}; not ${JSON.stringify(unknown)}.`,
      'keyless-tls bench --help',
    );
  }
  return names.length === 0 ? all : QUESTIONS.filter(({ name }) => names.includes(name));
}

/** What was being measured may hold the process. */
function endIfInterrupted(error: unknown): never {
  if (!(error instanceof Interrupted)) throw error;
  process.stderr.write(`keyless-tls: ${error.message}\n`);
  process.exit(1);
}

async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = parsePositionals('bench', args, OPTIONS);
  const [scale, all] = values.quick ? [QUICK, QUICK_QUESTIONS] : [FULL, QUESTIONS];
  const questions = chosen(positionals, all);
  const { html } = values;
  if (html === undefined) checkPrintable();
  else checkWritable(html);
  const report = await askAll(questions, scale, unlessLost(process.stderr)).catch(endIfInterrupted);
  // Where one of both cannot be written, the other is.
  const printed = print(values.json ? `${JSON.stringify(report, undefined, 2)}\n` : textReport(report));
  printed.catch(() => undefined);
  try {
    if (html !== undefined) writePage(html, page(report));
  } finally {
    await printed;
  }
  return report.answers.some(({ failed }) => failed) ? 1 : 0;
}

/** See {@link USAGE}. */
export const bench: Command = { usage: USAGE, run };
