/**
 * The tables of a report that was kept, as Markdown: `npm run bench:tables -- FILE`, which is what `keyless-tls bench --json` printed. What a
 * page says of a run can be looked up so, and is not copied by hand.
 */
import { readFileSync } from 'node:fs';
import type { Table } from '../lib/cli/bench/question.ts';
import { aboutMachine, type Report, verdictTable } from '../lib/cli/bench/report.ts';
import { shownOf } from '../lib/cli/bench/verdicts.ts';
import { UsageError } from '../lib/cli/command.ts';
import { script, type Word, wordsOf } from './script.ts';

function isReport(value: unknown): value is Report {
  const { answers, verdicts, warnings, machine, settings } = (value ?? {}) as Partial<Report>;
  const lists = [answers, verdicts, warnings, ...(Array.isArray(answers) ? answers.map(tablesOf) : [])];
  return lists.every(Array.isArray) && [machine?.code, settings?.environment?.given].every(isObject);
}

const isObject = (value: unknown) => typeof value === 'object' && value !== null;
const tablesOf = (answer: Partial<Report['answers'][number]> | null) => answer?.tables;

/** `npm run` prints lines of its own before what its script prints. */
const withoutNpm = (text: string) => text.replace(/^\s*(?:> .*\n)+\s*/, '');

const report: Word<Report> = (path) => {
  let found: unknown;
  try {
    found = JSON.parse(withoutNpm(readFileSync(path, 'utf8')));
  } catch (error) {
    throw new UsageError(
      `No report can be read from ${JSON.stringify(path)}: ${(error as Error).message}`,
      '',
    );
  }
  if (isReport(found)) return found;
  throw new UsageError(`${JSON.stringify(path)} is not what keyless-tls bench --json prints.`, '');
};

const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
const markdown = ({ columns, rows }: Table) =>
  [columns, columns.map(() => '---'), ...rows].map(line).join('\n');

function textOf(found: Report): string {
  const { answers, verdicts, warnings } = found;
  const parts = answers.flatMap((each) => [
    `## ${each.title}`,
    ...each.tables.map(markdown),
    ...each.warnings.map((warning) => `! ${warning}`),
  ]);
  const all = [
    markdown(verdictTable(shownOf(verdicts, answers))),
    ...parts,
    ...warnings.map((each) => `! ${each}`),
  ];
  return [aboutMachine(found), ...all].join('\n\n');
}

await script('npm run bench:tables -- report.json', async () => {
  const [found] = wordsOf(report);
  if (found === undefined)
    throw new UsageError('Which report? A file that keyless-tls bench --json has printed.', '');
  console.log(textOf(found));
});
