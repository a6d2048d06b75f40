/** Lines over two axes, each linear, or logarithmic (and called so) where the values span two orders of magnitude. */
import { number } from './figures-in-words.ts';
import type { LinePlot } from './question.ts';
import { coloursOf, legend, svg, text, ticksOf, WIDTH, whisker } from './svg.ts';

const [LEFT, RIGHT, PLOT_HEIGHT, BELOW] = [44, 12, 200, 42];
const LOGARITHMIC_FROM = 60;

interface Axis {
  readonly ticks: readonly number[];
  readonly isLogarithmic: boolean;
  /** 0 to 1. */
  place(value: number): number;
}

type Point = LinePlot['lines'][number]['points'][number];

/** 1, 2 and 5 of each decade, or the decades alone where there are many. */
function logarithmicTicks(least: number, most: number): number[] {
  const decades = Math.log10(most / least);
  const steps = decades > 3 ? [1] : [1, 2, 5];
  const first = Math.floor(Math.log10(least));
  const all = Array.from({ length: Math.ceil(decades) + 2 }, (_, index) =>
    steps.map((step) => step * 10 ** (first + index)),
  );
  return all.flat().filter((tick) => tick >= least * 0.999 && tick <= most * 1.001);
}

/** Zero has no place on a logarithmic axis: with zeros it is linear. */
function axisOf(values: readonly number[], whole = false): Axis {
  const [least, most] = [Math.min(...values), Math.max(...values, Number.MIN_VALUE)];
  if (least > 0 && most / least >= LOGARITHMIC_FROM) {
    const [from, to] = [Math.log(least / 1.1), Math.log(most * 1.1)];
    const place = (value: number) => (Math.log(value) - from) / (to - from);
    return { ticks: logarithmicTicks(least, most), isLogarithmic: true, place };
  }
  const top = most * 1.05;
  const ticks = ticksOf(0, top).filter((tick) => !whole || Number.isInteger(tick));
  return { ticks, isLogarithmic: false, place: (value) => value / top };
}

const horizontal = (share: number) => LEFT + share * (WIDTH - LEFT - RIGHT);

function grid(x: Axis, y: Axis, top: number): string {
  const bottom = top + PLOT_HEIGHT;
  const rows = y.ticks.map((tick) => {
    const at = bottom - y.place(tick) * PLOT_HEIGHT;
    const line = `<path class="grid" d="M${LEFT} ${at.toFixed(1)}H${WIDTH - RIGHT}"/>`;
    return line + text(LEFT - 5, at + 4, number(tick).replace(/\.0+$/, ''), 'text-anchor="end"');
  });
  const columns = x.ticks.map((tick) =>
    text(horizontal(x.place(tick)), bottom + 16, number(tick).replace(/\.0+$/, ''), 'text-anchor="middle"'),
  );
  return `${rows.join('')}${columns.join('')}<path class="axis" d="M${LEFT} ${bottom}H${WIDTH - RIGHT}"/>`;
}

const labelOf = (label: string, { isLogarithmic }: Axis) =>
  isLogarithmic ? `${label} (logarithmic)` : label;

/** A round without a handshake has no figure. */
const isKnown = (value: number | undefined): value is number => Number.isFinite(value);

/** @returns one svg element; nothing of it is markup of its data's making */
export function linePlot({ title, x, y, lines }: LinePlot): string {
  const shown = lines.map(({ name, points }) => ({
    name,
    points: points.filter(([at, value]) => Number.isFinite(at) && Number.isFinite(value)),
  }));
  const points = shown.flatMap((line) => line.points);
  const across = axisOf(
    points.map(([at]) => at),
    x.whole,
  );
  const up = axisOf(points.flatMap(([, ...values]) => values.filter(isKnown)));
  const colours = coloursOf(shown.map(({ name }) => name));
  const head = legend(colours, 0);
  const top = head.height + 26;
  const height = (value: number) => top + PLOT_HEIGHT * (1 - up.place(value));
  const at = ([a, b]: Point) => [horizontal(across.place(a)).toFixed(1), height(b).toFixed(1)] as const;
  const drawn = shown.map((line) => {
    const colour = colours.get(line.name) ?? '';
    const path = line.points.map((point) => at(point).join(' ')).join('L');
    const dots = line.points.map((point) => {
      const [cx, cy] = at(point);
      const [a, , least, most] = point;
      const range =
        isKnown(least) && isKnown(most)
          ? whisker([horizontal(across.place(a)), height(least)], [horizontal(across.place(a)), height(most)])
          : '';
      return `${range}<circle class="${colour}" cx="${cx}" cy="${cy}" r="3.2"/>`;
    });
    return `<path class="line ${colour}" d="M${path}"/>${dots.join('')}`;
  });
  const labels =
    text(0, top - 9, labelOf(y.label, up), 'class="soft"') +
    text(WIDTH - RIGHT, top + PLOT_HEIGHT + 34, labelOf(x.label, across), 'class="soft" text-anchor="end"');
  return svg(top + PLOT_HEIGHT + BELOW, title, head.drawn + grid(across, up, top) + labels + drawn.join(''));
}
