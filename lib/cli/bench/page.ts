/** The report as one page that needs nothing else: no script, no font, no address. */
import { barPlot } from './bar-plot.ts';
import { linePlot } from './line-plot.ts';
import { STYLE } from './page-style.ts';
import type { Answered, Plot, Table } from './question.ts';
import { aboutMachine, INTERVALS, measuredOf, type Report, roundsInWords } from './report.ts';
import { escapeHtml } from './svg.ts';
import { countOf, limitOf, type State, shownOf, type Verdict } from './verdicts.ts';

const paragraph = (words: string, className = '') =>
  `<p${className === '' ? '' : ` class="${className}"`}>${escapeHtml(words)}</p>`;

function plot(each: Plot): string {
  const drawn = each.kind === 'bars' ? barPlot(each) : linePlot(each);
  return `<h3>${escapeHtml(each.title)}</h3>\n${drawn}`;
}

/** So many columns do not fit on a narrow screen; fewer may not fit on a phone. */
const MANY_COLUMNS = 5;
const hint = (columns: number) =>
  paragraph(
    'A table that is wider than the screen scrolls sideways.',
    columns < MANY_COLUMNS ? 'hint phone' : 'hint',
  );

function table({ columns, rows }: Table, title: string): string {
  const head = columns.map((name) => `<th scope="col">${escapeHtml(name)}</th>`).join('');
  const cells = ([name = '', ...values]: readonly string[]) =>
    `<tr><th scope="row">${escapeHtml(name)}</th>${values.map((value) => `<td>${escapeHtml(value)}</td>`).join('')}</tr>`;
  const label = escapeHtml(`${title}: ${columns[0] ?? ''}`);
  return `${hint(columns.length)}<div class="wide" tabindex="0" role="region" aria-label="${label}"><table><thead><tr>${head}</tr></thead><tbody>
${rows.map(cells).join('\n')}</tbody></table></div>`;
}

const LOOKS: Readonly<Record<State, readonly [className: string, word: string]>> = {
  met: ['met', '✓ met'],
  'not met': ['missed', '✗ not met'],
  'not certain': ['unsure', '? not certain'],
  'not measured': ['unsure', '– not measured'],
};

function verdict(each: Verdict): string {
  const [className, word] = LOOKS[each.state];
  const [figure = '', note] = measuredOf(each).split(/ \((.*)\)$/);
  const more = note === undefined ? '' : ` (${escapeHtml(note)})`;
  return `<li>${escapeHtml(each.claim)}: <strong>${escapeHtml(figure)}</strong>${more}, ${escapeHtml(limitOf(each))} <span class="${className}">${word}</span></li>`;
}

function verdicts({ verdicts: all, answers }: Report): string {
  const shown = shownOf(all, answers);
  if (shown.length === 0) return '';
  return `<h2>What it must show</h2>
${paragraph(countOf(all))}
<ul class="verdicts">
${shown.map(verdict).join('\n')}
</ul>`;
}

const doubt = (warning: string) => paragraph(warning, 'doubt');

function section(answer: Answered): string {
  const { name, title, words, tables, plots, warnings } = answer;
  const rounds = roundsInWords(answer);
  return [
    `<section id="${escapeHtml(name)}"><h2>${escapeHtml(title)}</h2>`,
    // Before what is said, whether it can be believed.
    ...warnings.map(doubt),
    ...words.map((sentence) => paragraph(sentence)),
    ...(rounds === '' ? [] : [paragraph(rounds)]),
    ...plots.map(plot),
    ...tables.map((each) => table(each, title)),
    '</section>',
  ].join('\n');
}

const METHOD =
  'Server, key server and clients are processes of their own. ' +
  "CPU times are of the processes themselves (the edge by its own rusage, the key server by the kernel's account). " +
  'Medians of rounds in turn (A B, B A, …), with the smallest and the largest round in parentheses, and as a line in plots; ratios only between what was measured in one run. ' +
  'A target is met, or not, only where the whole interval beside its figure is on one side of the limit. ' +
  INTERVALS;

/** @returns HTML; no text of the machine is markup in it */
export function page(report: Report): string {
  const links = report.answers.map(
    ({ name, title }) => `<a href="#${escapeHtml(name)}">${escapeHtml(title)}</a>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>keyless-tls: native against remote signing</title><link rel="icon" href="data:,"><style>${STYLE}</style></head><body><main>
<h1>Native against remote signing</h1>
${paragraph(aboutMachine(report))}
${report.warnings.map(doubt).join('\n')}
<nav>${links.join(' · ')}</nav>
${verdicts(report)}
${report.answers.map(section).join('\n')}
</main><footer>${paragraph(METHOD)}</footer>
</body></html>
`;
}
