/** The report as one page that needs nothing else: no script, no font, no address. */
import { barPlot } from './bar-plot.ts';
import { number } from './figures-in-words.ts';
import { linePlot } from './line-plot.ts';
import { STYLE } from './page-style.ts';
import { isMet, type Plot, type Table, type Verdict } from './question.ts';
import { type Answered, aboutMachine, limitOf, type Report, verdictsOf } from './report.ts';
import { escapeHtml } from './svg.ts';

const paragraph = (words: string, className = '') =>
  `<p${className === '' ? '' : ` class="${className}"`}>${escapeHtml(words)}</p>`;

function plot(each: Plot): string {
  const drawn = each.kind === 'bars' ? barPlot(each) : linePlot(each);
  return `<h3>${escapeHtml(each.title)}</h3>\n${drawn}`;
}

function table({ columns, rows }: Table): string {
  const cells = (tag: string, values: readonly string[]) =>
    `<tr>${values.map((value) => `<${tag}>${escapeHtml(value)}</${tag}>`).join('')}</tr>`;
  const body = rows.map((row) => cells('td', row)).join('\n');
  return `<div class="wide" tabindex="0"><table><thead>${cells('th', columns)}</thead><tbody>\n${body}</tbody></table></div>`;
}

function verdict(each: Verdict): string {
  const [className, word] = isMet(each) ? ['met', '✓ met'] : ['missed', '✗ not met'];
  const measured = `${number(each.measured)} ${each.unit}`;
  return `<li>${escapeHtml(each.claim)}: <strong>${escapeHtml(measured)}</strong>, ${escapeHtml(limitOf(each))} <span class="${className}">${word}</span></li>`;
}

function verdicts(report: Report): string {
  const all = verdictsOf(report);
  if (all.length === 0) return '';
  const met = all.filter(isMet).length;
  return `<h2>What it must show</h2>
${paragraph(`${met} of ${all.length} targets are met on this machine.`)}
<ul class="verdicts">
${all.map(verdict).join('\n')}
</ul>`;
}

function section({ name, title, words, tables, plots, warnings }: Answered): string {
  return [
    `<section id="${escapeHtml(name)}"><h2>${escapeHtml(title)}</h2>`,
    ...words.map((sentence) => paragraph(sentence)),
    ...warnings.map((warning) => paragraph(warning, 'doubt')),
    ...plots.map(plot),
    ...tables.map(table),
    '</section>',
  ].join('\n');
}

const METHOD =
  'Server, key server and clients are processes of their own, the edge alone on a core where there are two and taskset. ' +
  "CPU times are of the processes themselves (the edge by its own rusage, the key server by the kernel's account). " +
  'Medians of rounds in turn (A B, B A, …), with the smallest and the largest round in parentheses; ratios only between what was measured in one run.';

/** @returns HTML; no text of the machine is markup in it */
export function page(report: Report): string {
  const links = report.answers.map(
    ({ name, title }) => `<a href="#${escapeHtml(name)}">${escapeHtml(title)}</a>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>keyless-tls: native against remote signing</title><link rel="icon" href="data:,"><style>${STYLE}</style></head><body>
<h1>Native against remote signing</h1>
${paragraph(aboutMachine(report))}
<nav>${links.join(' · ')}</nav>
${verdicts(report)}
${report.answers.map(section).join('\n')}
<footer>${paragraph(METHOD)}</footer>
</body></html>
`;
}
