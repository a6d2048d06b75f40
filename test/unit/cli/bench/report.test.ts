/** What reports say, and that no text of a machine is markup in them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { page } from '../../../../lib/cli/bench/page.ts';
import { textReport } from '../../../../lib/cli/bench/report.ts';
import { ticksOf } from '../../../../lib/cli/bench/svg.ts';
import { reportWith } from '../../../helpers/bench.ts';

const RUDE = '<b>"fast" & cheap</b>';

const report = reportWith(
  [
    {
      name: 'handshakes',
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
      measured: [
        { target: 'rsaCost', value: 0.5, interval: [0.49, 0.51], note: RUDE },
        { target: 'rsaGain', value: 1.5, interval: [1.4, 1.8999] },
      ],
      disowned: false,
      disturbed: false,
      rounds: 5,
      raw: {},
    },
  ],
  { cpu: RUDE },
);

test('the terminal gets aligned tables, doubts, words, targets and the machine', () => {
  const text = textReport(report);
  assert.match(text, /^name {10}<b>"fast" & cheap<\/b>\na longer one {2}1\.5$/m);
  assert.match(text, /^! Doubt/m);
  assert.match(
    text,
    /^RSA-2048, TLS 1\.3: edge .* at most 0\.520 × {2,}met {2,}0\.500 × \(0\.490 to 0\.510; <b>"fast" & cheap<\/b>\)$/m,
  );
  assert.match(
    text,
    /^RSA-2048, TLS 1\.3: hand.* at least 1\.90 × {2,}not met {2,}1\.50 × \(1\.40 to 1\.8999\)$/m,
  );
  assert.match(text, /^P-256, TLS 1\.3: edge .* not measured {2,}–$/m);
  assert.match(text, /^1 of 12 targets met, 1 not met, 10 not measured\.$/m);
  assert.match(text, /^5 rounds of each, in turn\.$/m);
  assert.match(text, /^Intervals are of neighbouring rounds, 95 %\. .* 8 % more is left on either side/m);
  const more = report.answers.map((answer) => ({ ...answer, mostRounds: 10 }));
  assert.match(textReport(reportWith(more)), /^5 to 10 rounds of each, in turn\.$/m);
  assert.doesNotMatch(textReport(reportWith([])), /Intervals are/);
  assert.match(
    text,
    /2 cores, linux-x64, kernel 6, Node\.js v0, OpenSSL 3; .*2026-01-01T00:00:00\.000Z, 12 s$/m,
  );
});

test('the page stands alone, and no text of the machine is markup', () => {
  const html = page(report);
  assert.equal(html.match(/<svg viewBox="0 0 440 \d+"/g)?.length, 2);
  assert.match(html, /prefers-color-scheme: dark/);
  assert.match(html, /@media print/);
  assert.match(html, /1 of 12 targets met, 1 not met, 10 not measured\./);
  assert.match(html, /Intervals are of neighbouring rounds, 95 %\. .* 8 % more is left on either side/);
  assert.match(html, /✓ met(?:.|\n)*✗ not met(?:.|\n)*– not measured/);
  assert.doesNotMatch(html, /<b>|https?:|<script|<link rel="style|<img|NaN|Infinity|undefined/);
});

test('ticks are round numbers within the axis', () => {
  assert.deepEqual(ticksOf(0, 10), [0, 2, 4, 6, 8, 10]);
  assert.deepEqual(
    ticksOf(0, 0.9).map((tick) => tick.toFixed(1)),
    ['0.0', '0.2', '0.4', '0.6', '0.8'],
  );
});
