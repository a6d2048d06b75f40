/**
 * `keyless-tls/metrics`: what an edge tells Prometheus of its key servers. Read from `keys.stats()` when it is asked for:
 * operations cost nothing more. Apart from index.ts, so that only those load prom-client who want it.
 */
import { Counter, Gauge, type Registry, register } from 'prom-client';
import type { KeyServersStats, ServerStats } from './keys/key-servers.ts';

export { handshakeMetrics } from './handshake-metrics.ts';

/** Labels and their value. */
type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

interface Metric {
  /** Without `keyless_tls_edge_`. */
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  /** What prom-client makes of several workers' values; default: their sum. */
  readonly aggregator?: 'max';
  samples(stats: KeyServersStats): readonly Sample[];
}

function forEachServer(value: (server: ServerStats) => number): Metric['samples'] {
  return ({ servers }) => servers.map((server) => [{ server: server.server }, value(server)]);
}

const GAUGES: readonly Metric[] = [
  {
    name: 'key_server_connections',
    help: 'Connections that are ready; 0: the key server is not there.',
    labels: ['server'],
    samples: forEachServer(({ ready }) => ready),
  },
  {
    name: 'key_server_in_flight',
    help: 'Operations that wait for an answer.',
    labels: ['server'],
    samples: forEachServer(({ inFlight }) => inFlight),
  },
  {
    name: 'key_server_unanswered',
    help: 'Requests on its connections that nobody waits for any more, and that it has not answered: grows where it loses some.',
    labels: ['server'],
    samples: forEachServer(({ unanswered }) => unanswered),
  },
  {
    name: 'key_server_breaker_open',
    help: '1: it failed too often and is left alone; 0.5: it is being tried; 0: it is trusted.',
    labels: ['server'],
    aggregator: 'max',
    samples: forEachServer(({ breaker }) => ({ open: 1, 'half-open': 0.5, closed: 0 })[breaker]),
  },
  {
    name: 'key_server_latency_seconds',
    help: 'From request to answer, also where another came first, or to a time-out longer than usual, over the last 10 to 20 s.',
    labels: ['server', 'quantile'],
    aggregator: 'max',
    samples: ({ servers }) =>
      servers.flatMap(({ server, latencyMs }) =>
        latencyMs === undefined
          ? []
          : [
              [{ server, quantile: '0.5' }, latencyMs.p50 / 1000] as const,
              [{ server, quantile: '0.95' }, latencyMs.p95 / 1000] as const,
              [{ server, quantile: '0.99' }, latencyMs.p99 / 1000] as const,
            ],
      ),
  },
  {
    name: 'operations_waiting',
    help: 'Operations that wait for a key server to be there, or to have room.',
    labels: [],
    samples: ({ waiting }) => [[{}, waiting]],
  },
];

const COUNTERS: readonly Metric[] = [
  {
    name: 'operations_total',
    help: 'Operations that ended, by result.',
    labels: ['result'],
    samples: ({ succeeded, failed, cancelled }) => [
      [{ result: 'ok' }, succeeded],
      [{ result: 'failed' }, failed],
      [{ result: 'cancelled' }, cancelled],
    ],
  },
  {
    name: 'operations_retried_total',
    help: 'Operations sent again because a connection died, or a key server failed or refused them.',
    labels: [],
    samples: ({ retried }) => [[{}, retried]],
  },
  {
    name: 'operations_hedged_total',
    help: 'Operations sent to a second key server because the first took long.',
    labels: [],
    samples: ({ hedged }) => [[{}, hedged]],
  },
  {
    name: 'operations_shed_total',
    help: 'Operations that failed because too many waited.',
    labels: [],
    samples: ({ shed }) => [[{}, shed]],
  },
  {
    name: 'key_server_answers_total',
    help: 'Operations that a key server answered with a result.',
    labels: ['server'],
    samples: forEachServer(({ answered }) => answered),
  },
  {
    name: 'key_server_errors_total',
    help: 'Operations that it did not, by the code of the error; each attempt counts.',
    labels: ['server', 'code'],
    samples: ({ servers }) =>
      servers.flatMap(({ server, errors }) =>
        Object.entries(errors).map(([code, count]) => [{ server, code }, count] as const),
      ),
  },
  {
    name: 'key_server_hedges_total',
    help: 'Second requests to other key servers, because this one took long.',
    labels: ['server'],
    samples: forEachServer(({ hedges }) => hedges),
  },
  {
    name: 'key_server_connections_total',
    help: 'Connections that became ready.',
    labels: ['server'],
    samples: forEachServer(({ connections }) => connections),
  },
  {
    name: 'key_server_connection_failures_total',
    help: 'Attempts and connections that failed.',
    labels: ['server'],
    samples: forEachServer(({ failures }) => failures),
  },
  {
    name: 'key_server_late_answers_total',
    help: 'Answers that nobody waited for any more.',
    labels: ['server'],
    samples: forEachServer(({ lateAnswers }) => lateAnswers),
  },
  {
    name: 'key_server_unknown_answers_total',
    help: 'Answers to nothing that was asked: a fault of the key server.',
    labels: ['server'],
    samples: forEachServer(({ unknownAnswers }) => unknownAnswers),
  },
];

const PREFIX = 'keyless_tls_edge_';

/** What {@link edgeMetrics} reads: a PrivateKey of `connectKeyServers`. */
export interface EdgeMetricsSource {
  stats(): KeyServersStats;
}

function addGauge(metric: Metric, keys: EdgeMetricsSource, registry: Registry): void {
  new Gauge({
    name: PREFIX + metric.name,
    help: metric.help,
    labelNames: metric.labels,
    aggregator: metric.aggregator ?? 'sum',
    registers: [registry],
    collect() {
      // Key servers come and go.
      this.reset();
      for (const [labels, value] of metric.samples(keys.stats())) this.set(labels, value);
    },
  });
}

function addCounter(metric: Metric, keys: EdgeMetricsSource, registry: Registry): void {
  new Counter({
    name: PREFIX + metric.name,
    help: metric.help,
    labelNames: metric.labels,
    registers: [registry],
    collect() {
      this.reset();
      for (const [labels, value] of metric.samples(keys.stats())) this.inc(labels, value);
    },
  });
}

/**
 * Adds the metrics of one edge to a registry of prom-client.
 *
 * @param keys what `connectKeyServers` returned
 * @param registry default prom-client's own; one registry takes one edge
 * @returns takes them out again
 */
export function edgeMetrics(keys: EdgeMetricsSource, registry: Registry = register): { close(): void } {
  for (const metric of GAUGES) addGauge(metric, keys, registry);
  for (const metric of COUNTERS) addCounter(metric, keys, registry);
  return {
    close() {
      for (const { name } of [...GAUGES, ...COUNTERS]) registry.removeSingleMetric(PREFIX + name);
    },
  };
}
