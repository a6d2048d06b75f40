/**
 * Operations, counted for Prometheus in plain numbers: prom-client, which looks its labels up by text for each, is given them when
 * somebody asks. It costs an operation a tenth of what counting there does.
 */
import { Counter, type Histogram, type Registry } from 'prom-client';
import type { ServerOperation } from './channels.ts';
import { resultOf } from './operation-record.ts';

const SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5];
/** A series is about 200 bytes here, and again in each answer. */
const MAX_NAMES = 500;

/** The names that a label has had: policies and directories of keys change while a key server runs. */
class LabelNames {
  readonly #known = new Set<string>();

  of(name: string): string {
    if (this.#known.has(name)) return name;
    if (this.#known.size >= MAX_NAMES) return 'other';
    this.#known.add(name);
    return name;
  }
}

/** Counts by labels: a level for each. */
class Tally {
  readonly #next = new Map<string, Tally>();
  count = 0;

  at(label: string): Tally {
    let next = this.#next.get(label);
    if (next === undefined) {
      next = new Tally();
      this.#next.set(label, next);
    }
    return next;
  }

  /** @param labels of this one */
  *counts(
    labels: readonly string[] = [],
  ): IterableIterator<readonly [labels: readonly string[], count: number]> {
    if (this.#next.size === 0) yield [labels, this.count];
    for (const [label, next] of this.#next) yield* next.counts([...labels, label]);
  }
}

/** @returns what counts, at the values of its labels, in their order */
function tally(registry: Registry, name: string, help: string, labelNames: readonly string[]): Tally {
  const all = new Tally();
  new Counter({
    name,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset();
      for (const [labels, count] of all.counts()) if (count > 0) this.labels(...labels).inc(count);
    },
  });
  return all;
}

/** The last one: more than all of them. */
function bucketOf(seconds: number): number {
  let bucket = 0;
  while (bucket < SECONDS.length && seconds > SECONDS[bucket]!) bucket += 1;
  return bucket;
}

class Durations {
  readonly #counts = new Float64Array(SECONDS.length + 1);
  #sum = 0;

  add(bucket: number, seconds: number): void {
    this.#counts[bucket]! += 1;
    this.#sum += seconds;
  }

  /** As prom-client has a histogram's: each bucket with all below it. */
  values(name: string, labels: Readonly<Record<string, string>>) {
    let count = 0;
    const buckets = [...SECONDS, '+Inf'].map((le, at) => {
      count += this.#counts[at]!;
      return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: count };
    });
    const sums = [
      { metricName: `${name}_sum`, labels, value: this.#sum },
      { metricName: `${name}_count`, labels, value: count },
    ];
    return [...buckets, ...sums];
  }
}

/** What a registry of prom-client (15) asks of a metric, by `name` and `get()`; its own histogram takes values one by one only. */
class Histograms {
  readonly type = 'histogram';
  readonly aggregator = 'sum';
  readonly name: string;
  readonly help: string;
  readonly #label: string;
  readonly #series = new Map<string, Durations>();

  constructor(registry: Registry, name: string, help: string, label: string) {
    this.name = name;
    this.help = help;
    this.#label = label;
    registry.registerMetric(this as unknown as Histogram);
  }

  of(label: string): Durations {
    let series = this.#series.get(label);
    if (series === undefined) {
      series = new Durations();
      this.#series.set(label, series);
    }
    return series;
  }

  async get() {
    const { name, help, type, aggregator } = this;
    const values = [...this.#series].flatMap(([value, series]) =>
      series.values(name, { [this.#label]: value }),
    );
    return { name, help, type, aggregator, values };
  }

  reset(): void {
    this.#series.clear();
  }
}

/** @returns counts an operation */
export function operationMetrics(registry: Registry): (operation: ServerOperation) => void {
  const operations = tally(
    registry,
    'keyless_tls_server_operations_total',
    'Requests answered, by client, kind and result (ok, repeated, or the reason of the refusal).',
    ['client', 'kind', 'result'],
  );
  const perKey = tally(
    registry,
    'keyless_tls_server_key_operations_total',
    'Requests that came to a key, by key and result.',
    ['key', 'result'],
  );
  const histograms = (name: string, label: string) =>
    new Histograms(registry, name, 'From a request to its answer.', label);
  const ofKinds = histograms('keyless_tls_server_operation_seconds', 'kind');
  const ofClients = histograms('keyless_tls_server_client_operation_seconds', 'client');
  const ofKeys = histograms('keyless_tls_server_key_operation_seconds', 'key');
  const [clients, keys] = [new LabelNames(), new LabelNames()];
  return (operation) => {
    const { peer, kind, keyId, keyFound, durationMs } = operation;
    const result = resultOf(operation);
    const client = clients.of(peer.client);
    const seconds = durationMs / 1000;
    const bucket = bucketOf(seconds);
    operations.at(client).at(kind).at(result).count += 1;
    ofKinds.of(kind).add(bucket, seconds);
    if (!keyFound) return;
    const key = keys.of(keyId!);
    perKey.at(key).at(result).count += 1;
    ofClients.of(client).add(bucket, seconds);
    ofKeys.of(key).add(bucket, seconds);
  };
}
