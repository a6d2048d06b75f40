/** What a run of the benchmark found, and how it is written for terminals. */
import { availableParallelism, cpus } from 'node:os';
import { number } from './figures-in-words.ts';
import { type Answer, isMet, type Table, type Verdict } from './question.ts';
import type { Scale } from './scale.ts';

export interface Machine {
  readonly node: string;
  readonly openssl: string;
  readonly cpu: string;
  readonly cores: number;
  readonly platform: string;
}

export interface Answered extends Answer {
  readonly name: string;
  readonly title: string;
  /** It has no figures; a warning says why. */
  readonly failed: boolean;
}

export interface Report {
  /** ISO 8601. */
  readonly time: string;
  readonly seconds: number;
  readonly machine: Machine;
  readonly scale: Scale;
  readonly answers: readonly Answered[];
}

export function thisMachine(): Machine {
  return {
    node: process.version,
    openssl: process.versions.openssl,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    platform: `${process.platform}-${process.arch}`,
  };
}

/** @returns for example `at most 0.52 ×` */
export function limitOf({ least, most, unit }: Verdict): string {
  const limits = [
    least === undefined ? [] : [`at least ${number(least)} ${unit}`],
    most === undefined ? [] : [`at most ${number(most)} ${unit}`],
  ];
  return limits.flat().join(', ');
}

export function verdictTable(verdicts: readonly Verdict[]): Table {
  return {
    columns: ['what it must show', 'target', 'measured', ''],
    rows: verdicts.map((verdict) => [
      verdict.claim,
      limitOf(verdict),
      `${number(verdict.measured)} ${verdict.unit}`,
      isMet(verdict) ? 'met' : 'not met',
    ]),
  };
}

export function verdictsOf({ answers }: Report): Verdict[] {
  return answers.flatMap(({ verdicts }) => verdicts);
}

export function aboutMachine({ machine, time, seconds, scale }: Report): string {
  const { cpu, cores, platform, node, openssl } = machine;
  return (
    `${cpu}, ${cores} cores, ${platform}, Node.js ${node}, OpenSSL ${openssl}; ${time}, ${Math.round(seconds)} s` +
    `${scale.quick ? ', --quick: short rounds after a short warm-up' : ''}`
  );
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

function textOf({ title, tables, words, warnings }: Answered): string {
  const doubts = warnings.map((warning) => `! ${warning}`);
  return [`${title}\n${'-'.repeat(title.length)}`, ...tables.map(textTable), [...words, ...doubts].join('\n')]
    .filter((part) => part !== '')
    .join('\n\n');
}

export function textReport(report: Report): string {
  const verdicts = verdictsOf(report);
  const parts = report.answers.map(textOf);
  if (verdicts.length > 0) parts.push(textTable(verdictTable(verdicts)));
  return `${[...parts, aboutMachine(report)].join('\n\n')}\n`;
}
