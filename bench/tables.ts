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
  const { answers, verdicts, machine } = (value ?? {}) as Partial<Report>;
  return Array.isArray(answers) && Array.isArray(verdicts) && machine !== undefined;
}

const report: Word<Report> = (path) => {
  let found: unknown;
  try {
    found = JSON.parse(readFileSync(path, 'utf8'));
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
