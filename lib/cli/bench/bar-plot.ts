/** Horizontal bars, with their values written at the end of each. */
import { number } from './figures-in-words.ts';
import type { BarPlot } from './question.ts';
import { coloursOf, legend, svg, text, WIDTH, whisker } from './svg.ts';

const BAR = 17;
const GAP = 4;
const LABEL = 66;
const VALUE = 62;

type Group = BarPlot['groups'][number];
type Bar = Group['bars'][number];

const lengthOf = ({ parts }: Bar) => parts.reduce((sum, { value }) => sum + value, 0);
/** With its whisker. */
const reachOf = (bar: Bar) => Math.max(lengthOf(bar), bar.spread?.[1] ?? 0);

function drawBar(
  bar: Bar,
  y: number,
  scale: number,
  colours: ReadonlyMap<string, string>,
  unit: string,
): string {
  let x = LABEL;
  const drawn = bar.parts.map(({ name, value }) => {
    const width = Math.max(0, value * scale);
    const title = `<title>${text(0, 0, `${name}: ${number(value)} ${unit}`).replace(/<\/?text[^>]*>/g, '')}</title>`;
    const rect = `<rect class="${colours.get(name)}" x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${BAR}">${title}</rect>`;
    x += width;
    return rect;
  });
  const label = text(LABEL - 6, y + 13, bar.label, 'text-anchor="end"');
  const [middle, [least, most] = [0, 0]] = [y + BAR / 2, bar.spread];
  const range =
    bar.spread === undefined ? '' : whisker([LABEL + least * scale, middle], [LABEL + most * scale, middle]);
  const end = LABEL + reachOf(bar) * scale;
  return `${label}${drawn.join('')}${range}${text(end + 5, y + 13, `${number(lengthOf(bar))} ${unit}`)}`;
}

/** @returns one svg element; nothing of it is markup of its data's making */
export function barPlot({ title, unit, groups }: BarPlot): string {
  const bars = groups.flatMap((group) => group.bars);
  const names = [...new Set(bars.flatMap(({ parts }) => parts.map(({ name }) => name)))];
  const colours = coloursOf(names);
  const scale = (WIDTH - LABEL - VALUE) / Math.max(...bars.map(reachOf), Number.MIN_VALUE);
  const top = legend(colours, 0);
  let y = top.height + 6;
  const drawn = groups.map((group) => {
    const heading = text(0, y + 12, group.label, 'class="strong"');
    y += 19;
    const rows = group.bars.map((bar) => {
      const row = drawBar(bar, y, scale, colours, unit);
      y += BAR + GAP;
      return row;
    });
    y += 8;
    return heading + rows.join('');
  });
  return svg(y, title, top.drawn + drawn.join(''));
}
