/** What reports say, and that no text of a machine is markup in them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { page } from '../../../../lib/cli/bench/page.ts';
import { isMet } from '../../../../lib/cli/bench/question.ts';
import { limitOf, type Report, textReport } from '../../../../lib/cli/bench/report.ts';
import { FULL } from '../../../../lib/cli/bench/scale.ts';
import { ticksOf } from '../../../../lib/cli/bench/svg.ts';

const RUDE = '<b>"fast" & cheap</b>';

const report: Report = {
  time: '2026-01-01T00:00:00.000Z',
  seconds: 12.3,
  machine: { node: 'v0', openssl: '3', cpu: RUDE, cores: 2, platform: 'linux-x64' },
  scale: FULL,
  answers: [
    {
      name: 'one',
      title: `One ${RUDE}`,
      failed: false,
      words: [`Words ${RUDE}.`],
      warnings: [`Doubt ${RUDE}.`],
      tables: [
        {
          columns: ['name', RUDE],
          rows: [
            ['a longer one', '1.5'],
            ['b', RUDE],
          ],
        },
      ],
      plots: [
        {
          kind: 'bars',
          title: `Bars ${RUDE}`,
          unit: RUDE,
          groups: [{ label: RUDE, bars: [{ label: RUDE, parts: [{ name: RUDE, value: 2 }] }] }],
        },
        {
          kind: 'lines',
          title: `Lines ${RUDE}`,
          x: { label: RUDE },
          y: { label: RUDE },
          lines: [
            {
              name: RUDE,
              points: [
                [0, 1],
                [1, Number.NaN],
                [2, 3],
              ],
            },
          ],
        },
      ],
      verdicts: [
        { claim: `Claim ${RUDE}`, measured: 0.5, most: 0.52, unit: '×' },
        { claim: 'Another', measured: 1.5, least: 1.9, unit: '×' },
      ],
      raw: { secret: false },
    },
  ],
};

test('a target is met on its border, and by no figure that is missing', () => {
  const verdict = { claim: '', unit: '×' };
  assert.ok(isMet({ ...verdict, measured: 0.52, most: 0.52 }));
  assert.ok(!isMet({ ...verdict, measured: 0.521, most: 0.52 }));
  assert.ok(!isMet({ ...verdict, measured: 1.89, least: 1.9 }));
  assert.ok(!isMet({ ...verdict, measured: Number.NaN, most: 1 }));
  assert.equal(
    limitOf({ ...verdict, measured: 1, least: 0.97, most: 1.03 }),
    'at least 0.970 ×, at most 1.03 ×',
  );
});

test('the terminal gets aligned tables, doubts, words, targets and the machine', () => {
  const text = textReport(report);
  assert.match(text, /^name {10}<b>"fast" & cheap<\/b>\na longer one {2}1\.5$/m);
  assert.match(text, /^! Doubt/m);
  assert.match(text, /^Claim .* at most 0\.520 × {2,}0\.500 × {2,}met$/m);
  assert.match(text, /^Another .* at least 1\.90 × {2,}1\.50 × {2,}not met$/m);
  assert.match(text, /2 cores, linux-x64, Node\.js v0, OpenSSL 3; 2026-01-01T00:00:00\.000Z, 12 s$/m);
});

test('the page stands alone, and no text of the machine is markup', () => {
  const html = page(report);
  assert.equal(html.match(/<svg viewBox="0 0 440 \d+"/g)?.length, 2);
  assert.match(html, /prefers-color-scheme: dark/);
  assert.match(html, /@media print/);
  assert.match(html, /1 of 2 targets are met/);
  assert.doesNotMatch(html, /<b>|https?:|<script|<link rel="style|<img|NaN|Infinity|undefined/);
});

test('ticks are round numbers within the axis', () => {
  assert.deepEqual(ticksOf(0, 10), [0, 2, 4, 6, 8, 10]);
  assert.deepEqual(
    ticksOf(0, 0.9).map((tick) => tick.toFixed(1)),
    ['0.0', '0.2', '0.4', '0.6', '0.8'],
  );
});
