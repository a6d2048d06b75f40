/** What a run of the benchmark found, and how it is written for terminals. */
import { shortOf } from './code.ts';
import { type Environment, givenInWords } from './environment.ts';
import { ONE_PAIR } from './estimate.ts';
import { apart } from './figures-in-words.ts';
import { type Machine, otherOpenssl } from './machine.ts';
import type { Answered, Table } from './question.ts';
import type { Scale } from './scale.ts';
import { countOf, limitOf, limitsOf, shownOf, type Verdict } from './verdicts.ts';

/** How it was measured. */
export interface Settings extends Scale {
  /** Connections at once, where it is not the question. */
  readonly concurrent: number;
  /** Of the command line. */
  readonly arguments: readonly string[];
  readonly environment: Environment;
}

export interface Report {
  /** ISO 8601. */
  readonly time: string;
  readonly seconds: number;
  readonly machine: Machine;
  /** Which process had which core, in words. */
  readonly placement: string;
  readonly settings: Settings;
  /** About all of it. */
  readonly warnings: readonly string[];
  /** One for each target, asked for or not. */
  readonly verdicts: readonly Verdict[];
  readonly answers: readonly Answered[];
}

/** What was measured, between what it is, and what belongs to it. */
export function measuredOf(verdict: Verdict): string {
  const { measured, unit, note, interval } = verdict;
  if (!Number.isFinite(measured)) return note ?? '–';
  const write = (value: number) => apart(value, limitsOf(verdict));
  const range = interval === undefined ? [] : [`${write(interval[0])} to ${write(interval[1])}`];
  const more = [...range, ...(note === undefined ? [] : [note])].join('; ');
  return `${write(measured)} ${unit}${more === '' ? '' : ` (${more})`}`;
}

/** How the intervals of targets come about. */
export const INTERVALS =
  'Intervals are of neighbouring rounds, 95 %. Of a ratio they are of what generations of edges differ by, where there are several; ' +
  `where there is one pair of processes, ${Math.round((ONE_PAIR - 1) * 100)} % more is left on either side, as the line of the target says. ` +
  'Nothing is left for that in differences (latency, memory).';

export function verdictTable(verdicts: readonly Verdict[]): Table {
  return {
    columns: ['what it must show', 'target', '', 'measured'],
    rows: verdicts.map((each) => [each.claim, limitOf(each), each.state, measuredOf(each)]),
  };
}

export function aboutMachine({ machine, time, seconds, settings, placement }: Report): string {
  const { cpu, cores, platform, kernel, node, openssl, version, code } = machine;
  const other = otherOpenssl(machine.opensslCommand, openssl);
  const command = other === undefined ? '' : `, the openssl command ${other}`;
  return (
    `keyless-tls ${version} (code ${shortOf(code)}), ${cpu}, ${cores} core${cores === 1 ? '' : 's'}, ${platform}, kernel ${kernel}, Node.js ${node}, OpenSSL ${openssl}${command}; ` +
    `${placement}; ${time}, ${Math.round(seconds)} s${settings.quick ? ', --quick: short rounds after a short warm-up' : ''}${givenInWords(settings.environment)}`
  );
}

/** @returns how often each contestant was measured; nothing where nothing was */
export function roundsInWords({ rounds, mostRounds = rounds }: Answered): string {
  if (rounds < 1) return '';
  if (mostRounds > rounds) return `${rounds} to ${mostRounds} rounds of each, in turn.`;
  return rounds === 1 ? 'One round of each: no spread is known.' : `${rounds} rounds of each, in turn.`;
}

function textTable({ columns, rows }: Table): string {
  const all = [columns, ...rows];
  const widths = columns.map((_, column) => Math.max(...all.map((cells) => cells[column]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return all.map(line).join('\n');
}

const marked = (warnings: readonly string[]) => warnings.map((warning) => `! ${warning}`);

function textOf(answer: Answered): string {
  const { title, tables, words, warnings } = answer;
  // Before what is said, whether it can be believed.
  const sentences = [...marked(warnings), ...words, roundsInWords(answer)].filter((each) => each !== '');
  return [`${title}\n${'-'.repeat(title.length)}`, ...tables.map(textTable), sentences.join('\n')]
    .filter((part) => part !== '')
    .join('\n\n');
}

export function textReport(report: Report): string {
  const { answers, verdicts, warnings } = report;
  const shown = shownOf(verdicts, answers);
  const targets = shown.length === 0 ? [] : [textTable(verdictTable(shown)), countOf(verdicts), INTERVALS];
  const parts = [...answers.map(textOf), ...targets, ...marked(warnings), aboutMachine(report)];
  return `${parts.join('\n\n')}\n`;
}
