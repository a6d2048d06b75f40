/**
 * What a key server tells Prometheus. Labels are bounded: clients by the names of the policy, keys by the ids of keys that
 * there are, reasons by our own words; never what a peer says. Beyond 500 of a kind the rest is `other`.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Counter, Gauge, Registry } from 'prom-client';
import {
  type ServerConnectionRefused,
  type ServerOperation,
  serverConnectionRefused,
  serverOperation,
} from './channels.ts';
import type { KeyServer } from './key-server.ts';
import { metricsText } from './metrics-text.ts';
import { operationMetrics } from './operation-metrics.ts';

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
    'Requests that wait for a signing thread.',
    () => server.stats().waiting,
  );
  gauge(
    'keyless_tls_server_replay_window_seconds',
    'How long a message is remembered that was signed, so that it is not signed again.',
    () => server.stats().replayWindowMs / 1000,
  );
  gauge('keyless_tls_server_resident_bytes', 'Resident memory of the process.', () =>
    process.memoryUsage.rss(),
  );
}

/** @param server whose operations are counted; there should be one in the process */
export function serverMetrics(server: KeyServer): ServerMetrics {
  const registry = new Registry();
  makeGauges(server, registry);
  const { families, count } = operationMetrics();
  const refused = new Counter({
    name: 'keyless_tls_server_connections_refused_total',
    help: 'Connections that were not taken, by reason.',
    labelNames: ['reason'],
    registers: [registry],
  });
  const listeners = [
    [serverOperation.name, (message: unknown) => count(message as ServerOperation)],
    [
      serverConnectionRefused.name,
      (message: unknown) => refused.inc({ reason: (message as ServerConnectionRefused).reason }),
    ],
  ] as const;
  for (const [name, listener] of listeners) subscribe(name, listener);
  return {
    render: async () => (await registry.metrics()) + (await metricsText(families)),
    contentType: registry.contentType,
    close() {
      for (const [name, listener] of listeners) unsubscribe(name, listener);
    },
  };
}
