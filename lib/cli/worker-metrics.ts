/**
 * One page of metrics of all workers. A worker that starts, stands still or has just died takes nothing from it but its own numbers: it
 * is waited for so long, and the page says how many are missing.
 */
import cluster, { type Worker } from 'node:cluster';
import { AggregatorRegistry, Gauge, type MetricObject, Registry } from 'prom-client';
import type { Print } from './event-lines.ts';
import type { MetricsSource } from './metrics-page.ts';

/** Prometheus has 10 s for a page; a worker that is not stuck takes milliseconds. */
const ANSWER_MS = 1000;

/** From a worker: from now on it may be asked. Messages that come before anybody listens are lost. */
const SHARES = 'keyless-tls:shares-metrics';
/** To a worker. */
const ASK = 'keyless-tls:metrics';

/** From a worker. */
interface MetricsMessage {
  readonly metrics: MetricObject[];
}

/** In a worker: the first process may ask for its metrics. */
export function shareMetrics(registry: Registry): void {
  const tell = async () => {
    const message: MetricsMessage = { metrics: (await registry.getMetricsAsJSON()) as MetricObject[] };
    // The first process may have gone.
    process.send?.(message, undefined, undefined, () => undefined);
  };
  process.on('message', (message) => {
    if (message === ASK) void tell();
  });
  process.send?.(SHARES);
}

/** What one worker says. It is asked nothing while it owes an answer: what it cannot read would stay in memory. */
class WorkerMetrics {
  readonly #worker: Worker;
  #owes = false;

  constructor(worker: Worker) {
    this.#worker = worker;
    worker.on('message', (message: Partial<MetricsMessage>) => {
      if (message?.metrics !== undefined) this.#owes = false;
    });
  }

  /** @returns `undefined`: it does not answer in time */
  next(): Promise<MetricObject[] | undefined> {
    return new Promise((resolve) => {
      const done = (metrics?: MetricObject[]) => {
        clearTimeout(alarm);
        this.#worker.off('message', hear).off('exit', gone);
        resolve(metrics);
      };
      const hear = ({ metrics }: Partial<MetricsMessage>) => metrics !== undefined && done(metrics);
      const gone = () => done();
      const alarm = setTimeout(gone, ANSWER_MS);
      this.#worker.on('message', hear).on('exit', gone);
      // One that is about to end is heard to end.
      if (!this.#owes) this.#worker.send(ASK, () => undefined);
      this.#owes = true;
    });
  }
}

/** @param count of workers, if all are there */
export function workersMetrics(count: number, print: Print): MetricsSource {
  const workers = new Map<Worker, WorkerMetrics>();
  let late = 0;
  cluster.on('message', (worker, message) => {
    if (message === SHARES) workers.set(worker, new WorkerMetrics(worker));
  });
  cluster.on('exit', (worker) => workers.delete(worker));
  const tellOfLate = (now: number) => {
    if (late === 0 && now > 0)
      print('metrics-problem', { reason: `no answer of ${now} of ${count} workers within ${ANSWER_MS} ms` });
    late = now;
  };
  const render = async () => {
    const asked = [...workers.values()];
    const answers = await Promise.all(asked.map((worker) => worker.next()));
    const heard = answers.filter((metrics) => metrics !== undefined);
    tellOfLate(asked.length - heard.length);
    const registry = AggregatorRegistry.aggregate(heard);
    new Gauge({
      name: 'keyless_tls_proxy_workers_missing',
      help: 'Workers that start, or have not answered in time: what is here is without theirs.',
      registers: [registry],
    }).set(count - heard.length);
    return registry.metrics();
  };
  return { render, contentType: Registry.PROMETHEUS_CONTENT_TYPE, close: () => undefined };
}
