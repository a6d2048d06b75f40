/**
 * Operations, counted for Prometheus in plain numbers: prom-client looks its labels up by text for each, which costs ten times as much,
 * and makes a page of all clients and keys in one piece of 100 ms.
 */
import type { ServerOperation } from './channels.ts';
import { labelText, type MetricFamily } from './metrics-text.ts';
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

function counter(name: string, help: string, labelNames: readonly string[], all: Tally): MetricFamily {
  return {
    ...{ name, help, type: 'counter' },
    *series() {
      for (const [labels, count] of all.counts())
        if (count > 0) yield [`${name}{${labelText(labelNames, labels)}} ${count}`];
    },
  };
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

  /** Each bucket with all below it. @param labels as text */
  lines(name: string, labels: string): string[] {
    let count = 0;
    const buckets = [...SECONDS, '+Inf'].map((le, at) => {
      count += this.#counts[at]!;
      return `${name}_bucket{le="${le}",${labels}} ${count}`;
    });
    return [...buckets, `${name}_sum{${labels}} ${this.#sum}`, `${name}_count{${labels}} ${count}`];
  }
}

class Histograms implements MetricFamily {
  readonly type = 'histogram';
  readonly help = 'From a request to its answer.';
  readonly name: string;
  readonly #label: string;
  readonly #series = new Map<string, Durations>();

  constructor(name: string, label: string) {
    this.name = name;
    this.#label = label;
  }

  of(label: string): Durations {
    let series = this.#series.get(label);
    if (series === undefined) {
      series = new Durations();
      this.#series.set(label, series);
    }
    return series;
  }

  *series(): IterableIterator<readonly string[]> {
    for (const [value, durations] of this.#series)
      yield durations.lines(this.name, labelText([this.#label], [value]));
  }
}

export interface OperationMetrics {
  readonly families: readonly MetricFamily[];
  count(operation: ServerOperation): void;
}

export function operationMetrics(): OperationMetrics {
  const [operations, perKey] = [new Tally(), new Tally()];
  const ofKinds = new Histograms('keyless_tls_server_operation_seconds', 'kind');
  const ofClients = new Histograms('keyless_tls_server_client_operation_seconds', 'client');
  const ofKeys = new Histograms('keyless_tls_server_key_operation_seconds', 'key');
  const families = [
    counter(
      'keyless_tls_server_operations_total',
      'Requests answered, by client, kind and result (ok, repeated, or the reason of the refusal).',
      ['client', 'kind', 'result'],
      operations,
    ),
    counter(
      'keyless_tls_server_key_operations_total',
      'Requests that came to a key, by key and result.',
      ['key', 'result'],
      perKey,
    ),
    ...[ofKinds, ofClients, ofKeys],
  ];
  const [clients, keys] = [new LabelNames(), new LabelNames()];
  const count = (operation: ServerOperation) => {
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
  return { families, count };
}
