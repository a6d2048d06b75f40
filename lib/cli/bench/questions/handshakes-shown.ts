/** Tables and plots of full handshakes. */
import { nameOf } from '../comparison.ts';
import { number, perSecond, share, spread, times } from '../figures-in-words.ts';
import type { Plot, Table } from '../question.ts';
import { type Figure, figuresIn, medianOf, ratioOf } from '../rounds.ts';
import type { Sample } from '../sample.ts';
import { signatureMs } from '../signature.ts';
import { spreadOf } from '../statistics.ts';
import { type Result, sumOf } from './handshakes-result.ts';

export function cpuTable(results: readonly Result[]): Table {
  return {
    columns: [
      'edge CPU, ms',
      'native',
      'remote',
      'ratio',
      'key server',
      'clients',
      'sum, native → remote',
      'each edge core, /s',
      'busiest client, of a core',
    ],
    rows: results.map((result) => {
      const { native, remote } = result.batch;
      const utilisation = (samples: readonly Sample[]) => share(medianOf(samples, 'clientUtilisation'));
      const rate = (samples: readonly Sample[]) => perSecond(1000 / medianOf(samples, 'edgeCpuMs'));
      return [
        nameOf(result),
        spread(figuresIn(native, 'edgeCpuMs')),
        spread(figuresIn(remote, 'edgeCpuMs')),
        times(ratioOf(remote, native)),
        spread(figuresIn(remote, 'keyServerCpuMs')),
        spread(figuresIn(remote, 'clientCpuMs')),
        `${number(sumOf(native, true))} → ${number(sumOf(remote, false))}`,
        `${rate(native)} → ${rate(remote)}`,
        `${utilisation(native)} → ${utilisation(remote)}`,
      ];
    }),
  };
}

export function aloneTable(results: readonly Result[]): Table {
  const latency = (samples: readonly Sample[], figure: Figure) => spread(figuresIn(samples, figure));
  return {
    columns: [
      'one at a time, ms',
      'native, median',
      'remote, median',
      'native, p99',
      'remote, p99',
      'edge CPU ratio',
    ],
    rows: results.map((result) => {
      const { native, remote } = result.alone;
      return [
        nameOf(result),
        latency(native, 'medianMs'),
        latency(remote, 'medianMs'),
        latency(native, 'p99Ms'),
        latency(remote, 'p99Ms'),
        times(ratioOf(remote, native)),
      ];
    }),
  };
}

function rangeOf(values: readonly number[]): readonly [number, number] {
  const { least, most } = spreadOf(values);
  return [least, most];
}

export function ratesPlot(results: readonly Result[]): Plot {
  const bar = (label: string, samples: readonly Sample[]) => ({
    label,
    spread: rangeOf(figuresIn(samples, 'edgeCpuMs').map((ms) => 1000 / ms)),
    parts: [{ name: label, value: 1000 / medianOf(samples, 'edgeCpuMs') }],
  });
  return {
    kind: 'bars',
    title: 'Full handshakes for each second of an edge core',
    unit: '/s',
    groups: results.map((result) => ({
      label: nameOf(result),
      bars: [bar('native', result.batch.native), bar('remote', result.batch.remote)],
    })),
  };
}

export function splitPlot(results: readonly Result[]): Plot {
  return {
    kind: 'bars',
    title: 'Where the CPU time of a full handshake goes',
    unit: 'ms',
    groups: results.map((result) => {
      const native = medianOf(result.batch.native, 'edgeCpuMs');
      const keyServer = medianOf(result.batch.remote, 'keyServerCpuMs');
      const signature = Math.min(signatureMs(result.signature), native);
      const natively = Number.isFinite(signature)
        ? [
            { name: 'edge', value: native - signature },
            { name: 'signature, on the edge', value: signature },
          ]
        : [{ name: 'edge', value: native }];
      const remote = [{ name: 'edge', value: medianOf(result.batch.remote, 'edgeCpuMs') }];
      if (Number.isFinite(keyServer)) remote.push({ name: 'key server', value: keyServer });
      return {
        label: nameOf(result),
        bars: [
          { label: 'native', parts: natively },
          { label: 'remote', parts: remote },
        ],
      };
    }),
  };
}
