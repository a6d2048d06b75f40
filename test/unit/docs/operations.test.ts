/** What docs/operations.md tells operators to look at is what an edge has. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Registry } from 'prom-client';
import { edgeMetrics, handshakeMetrics } from '../../../lib/metrics.ts';
import { createServer } from '../../../lib/tls.ts';
import { readSource } from '../house/source-tree.ts';

const DOCUMENT = readSource('docs/operations.md');

const NO_KEY_SERVERS = {
  stats: () => ({
    ...{ servers: [], waiting: 0, succeeded: 0, failed: 0, cancelled: 0, retried: 0, hedged: 0, shed: 0 },
  }),
};

function metricNames(): Set<string> {
  const registry = new Registry();
  edgeMetrics(NO_KEY_SERVERS, registry);
  handshakeMetrics(createServer({}), registry);
  return new Set(registry.getMetricsAsArray().map(({ name }) => name));
}

test('every metric to alert on exists', () => {
  const names = metricNames();
  const told = [...DOCUMENT.matchAll(/\bkeyless_tls_\w+/g)].map(([name]) => name);
  assert.ok(told.length >= 10);
  assert.deepEqual(
    told.filter((name) => !names.has(name)),
    [],
  );
});

/** `soak/crowds, row 19`; `servers and wire, row 10`; `wire, rows 6 and 12`; `servers`. */
interface Cell {
  readonly paths: readonly string[];
  readonly rows: readonly string[];
}

function cellsOfTests(): Cell[] {
  const [, section = ''] = DOCUMENT.split('## What happens in each failure');
  const lines = section
    .split('### Figures')[0]!
    .split('\n')
    .filter((line) => line.startsWith('| '));
  return lines.slice(2).map((line) => {
    const cell = line.split('|').at(-2)!;
    const [names = '', ...rest] = cell.split(/, rows? /);
    const paths = names
      .trim()
      .split(' and ')
      .map((name) => (name.includes('/') ? name : `faults/${name}`));
    return { paths, rows: rest.join(' ').match(/\d+/g) ?? [] };
  });
}

test('every test file of the table is there, and has tests of its rows', () => {
  const cells = cellsOfTests();
  assert.ok(cells.length > 30, `${cells.length}`);
  for (const { paths, rows } of cells) {
    const source = paths.map((path) => readSource(`test/${path}.test.ts`)).join('\n');
    for (const row of rows)
      assert.match(source, new RegExp(`\\brow ${row}\\b`), `${paths} has no test of row ${row}`);
  }
});
