/** Plots show what is more as more: up, to the right, longer; with axes that say what they are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { barPlot } from '../../../../lib/cli/bench/bar-plot.ts';
import { linePlot } from '../../../../lib/cli/bench/line-plot.ts';
import type { BarPlot, LinePlot } from '../../../../lib/cli/bench/question.ts';
import { splitPlot } from '../../../../lib/cli/bench/questions/handshakes-shown.ts';
import { coloursOf } from '../../../../lib/cli/bench/svg.ts';
import { QUIET, samplesWith } from '../../../helpers/bench.ts';

type Points = LinePlot['lines'][number]['points'];

const plotOf = (points: Points, whole = false): string =>
  linePlot({
    kind: 'lines',
    title: 't',
    x: { label: 'across', whole },
    y: { label: 'up' },
    lines: [{ name: 'a', points }],
  });

const dotsOf = (svg: string) =>
  [...svg.matchAll(/cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)]);

/** What stands at the left of the plot, from the bottom to the top. */
const ticksUp = (svg: string) =>
  [...svg.matchAll(/<text x="39\.0" y="([\d.]+)" text-anchor="end">([^<]*)</g)]
    .sort(([, one], [, other]) => Number(other) - Number(one))
    .map(([, , label]) => Number(label));

test('a round without a figure leaves its point and those of others where they are', () => {
  const svg = plotOf([
    [1, 10, 5, 20],
    [2, 12, Number.NaN, Number.NaN],
  ]);
  assert.deepEqual(
    dotsOf(svg),
    dotsOf(
      plotOf([
        [1, 10, 5, 20],
        [2, 12],
      ]),
    ),
  );
  assert.doesNotMatch(svg, /NaN/);
});

test('what is more is further up and further right, in proportion', () => {
  const [first = [], second = [], third = []] = dotsOf(
    plotOf([
      [0, 10],
      [1, 20],
      [4, 40],
    ]),
  );
  assert.ok(first[0]! < second[0]! && second[0]! < third[0]!);
  assert.ok(first[1]! > second[1]! && second[1]! > third[1]!);
  assert.ok(Math.abs((first[1]! - third[1]!) / (first[1]! - second[1]!) - 3) < 0.05);
  const ticks = ticksUp(
    plotOf([
      [0, 10],
      [4, 40],
    ]),
  );
  assert.deepEqual(
    ticks,
    [...ticks].sort((a, b) => a - b),
  );
});

test('an axis that is logarithmic says so, and no other does', () => {
  assert.match(
    plotOf([
      [0, 1],
      [1, 100],
    ]),
    />up \(logarithmic\)</,
  );
  assert.doesNotMatch(
    plotOf([
      [0, 1],
      [1, 50],
    ]),
    /logarithmic/,
  );
  assert.deepEqual(
    ticksUp(
      plotOf([
        [0, 1],
        [1, 100],
      ]),
    ),
    [1, 2, 5, 10, 20, 50, 100],
  );
});

test('there is no half of a process on an axis of processes', () => {
  const columns = (svg: string) =>
    [...svg.matchAll(/text-anchor="middle">([^<]*)</g)].map(([, label]) => label);
  assert.ok(
    columns(
      plotOf([
        [1, 1],
        [2, 1],
      ]),
    ).includes('0.500'),
  );
  assert.deepEqual(
    columns(
      plotOf(
        [
          [1, 1],
          [2, 1],
        ],
        true,
      ),
    ),
    ['0', '1', '2'],
  );
});

test('the smallest and the largest round are drawn', () => {
  const whisker = /class="whisker" d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"/.exec(plotOf([[1, 10, 5, 20]]))!;
  const [, x1, low, x2, high] = whisker.map(Number);
  assert.equal(x1, x2);
  assert.ok(low! > high!);
  const bars: BarPlot = {
    ...{ kind: 'bars', title: 't', unit: '/s' },
    groups: [{ label: 'g', bars: [{ label: 'b', spread: [50, 200], parts: [{ name: 'n', value: 100 }] }] }],
  };
  const [, left, , right] = /class="whisker" d="M([\d.]+) ([\d.]+)L([\d.]+) /
    .exec(barPlot(bars))!
    .map(Number);
  const [, from, width] = /<rect class="c\d" x="([\d.]+)" y="\d+" width="([\d.]+)" height="17"/
    .exec(barPlot(bars))!
    .map(Number);
  assert.ok(Math.abs(left! - (from! + width! / 2)) < 0.2 && Math.abs(right! - (from! + 2 * width!)) < 0.2);
});

test('no two names of a plot have the same colour', () => {
  const batch = { native: samplesWith({}), remote: samplesWith({ edgeCpuMs: 0.5 }) };
  const plot = splitPlot([
    {
      site: 'P-256',
      version: 'TLSv1.3',
      signature: [{ cpuMs: 0.4, waits: QUIET }],
      generations: 1,
      batch,
      alone: batch,
    },
  ]);
  assert.equal(plot.kind, 'bars');
  const names =
    plot.kind === 'bars' ? plot.groups.flatMap(({ bars }) => bars.flatMap(({ parts }) => parts)) : [];
  const colours = coloursOf([...new Set(names.map(({ name }) => name))]);
  assert.deepEqual([...colours.keys()], ['edge', 'signature, on the edge', 'key server']);
  assert.equal(new Set(colours.values()).size, 3);
});
