/**
 * What a key server tells Prometheus. Labels are bounded: clients and keys by name only where the policy and the store
 * know them.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { type ServerOperation, serverOperation } from './channels.ts';
import type { KeyServer } from './key-server.ts';

const SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5];

export interface ServerMetrics {
  /** In the text format of Prometheus. */
  render(): Promise<string>;
  readonly contentType: string;
  close(): void;
}

function makeGauges(server: KeyServer, registry: Registry): void {
  const gauge = (name: string, help: string, value: () => number) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(value());
      },
    });
  gauge('keyless_tls_server_connections', 'Edges connected.', () => server.stats().connections);
  gauge('keyless_tls_server_in_flight', 'Requests being answered.', () => server.stats().inFlight);
  gauge(
    'keyless_tls_server_waiting',
    'Requests that wait for the thread pool.',
    () => server.stats().waiting,
  );
  gauge(
    'keyless_tls_server_connections_refused',
    'Connections turned away since the start.',
    () => server.stats().refused,
  );
  gauge('keyless_tls_server_resident_bytes', 'Resident memory of the process.', () =>
    process.memoryUsage.rss(),
  );
}

/** @param server whose operations are counted; there should be one in the process */
export function serverMetrics(server: KeyServer): ServerMetrics {
  const registry = new Registry();
  makeGauges(server, registry);
  const registers = [registry];
  const operations = new Counter({
    name: 'keyless_tls_server_operations_total',
    help: 'Requests answered, by client, kind and result (ok, or the reason of the refusal).',
    labelNames: ['client', 'kind', 'result'],
    registers,
  });
  const perKey = new Counter({
    name: 'keyless_tls_server_key_operations_total',
    help: 'Operations performed with each key.',
    labelNames: ['key'],
    registers,
  });
  const seconds = new Histogram({
    name: 'keyless_tls_server_operation_seconds',
    help: 'From a request to its answer.',
    labelNames: ['kind'],
    buckets: SECONDS,
    registers,
  });
  const listener = (message: unknown) => {
    const { peer, kind, keyId, refusal, durationMs } = message as ServerOperation;
    operations.inc({ client: peer.client, kind, result: refusal ?? 'ok' });
    seconds.observe({ kind }, durationMs / 1000);
    if (refusal === undefined && keyId !== undefined) perKey.inc({ key: keyId });
  };
  subscribe(serverOperation.name, listener);
  return {
    render: () => registry.metrics(),
    contentType: registry.contentType,
    close: () => void unsubscribe(serverOperation.name, listener),
  };
}
