/**
 * What a key server tells Prometheus. Labels are bounded: clients by the names of the policy, keys by the ids of keys that
 * there are, reasons by our own words; never what a peer says. Beyond {@link MAX_NAMES} of a kind the rest is `other`.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import {
  type ServerConnectionRefused,
  type ServerOperation,
  serverConnectionRefused,
  serverOperation,
} from './channels.ts';
import type { KeyServer } from './key-server.ts';

const SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5];
/** A series is about 200 bytes here, and again in each answer. */
const MAX_NAMES = 500;

export interface ServerMetrics {
  /** In the text format of Prometheus. */
  render(): Promise<string>;
  readonly contentType: string;
  close(): void;
}

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

/** @returns counts an operation */
function operationMetrics(registry: Registry): (operation: ServerOperation) => void {
  const registers = [registry];
  const counter = (name: string, help: string, labelNames: string[]) =>
    new Counter({ name, help, labelNames, registers });
  const histogram = (name: string, help: string, labelName: string) =>
    new Histogram({ name, help, labelNames: [labelName], buckets: SECONDS, registers });
  const operations = counter(
    'keyless_tls_server_operations_total',
    'Requests answered, by client, kind and result (ok, or the reason of the refusal).',
    ['client', 'kind', 'result'],
  );
  const perKey = counter(
    'keyless_tls_server_key_operations_total',
    'Requests that came to a key, by key and result.',
    ['key', 'result'],
  );
  const help = 'From a request to its answer.';
  const seconds = histogram('keyless_tls_server_operation_seconds', help, 'kind');
  const clientSeconds = histogram('keyless_tls_server_client_operation_seconds', help, 'client');
  const keySeconds = histogram('keyless_tls_server_key_operation_seconds', help, 'key');
  const [clients, keys] = [new LabelNames(), new LabelNames()];
  return ({ peer, kind, keyId, keyFound, refusal = 'ok', durationMs }) => {
    const client = clients.of(peer.client);
    operations.inc({ client, kind, result: refusal });
    seconds.observe({ kind }, durationMs / 1000);
    if (!keyFound) return;
    const key = keys.of(keyId!);
    perKey.inc({ key, result: refusal });
    clientSeconds.observe({ client }, durationMs / 1000);
    keySeconds.observe({ key }, durationMs / 1000);
  };
}

/** @param server whose operations are counted; there should be one in the process */
export function serverMetrics(server: KeyServer): ServerMetrics {
  const registry = new Registry();
  makeGauges(server, registry);
  const count = operationMetrics(registry);
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
    render: () => registry.metrics(),
    contentType: registry.contentType,
    close() {
      for (const [name, listener] of listeners) unsubscribe(name, listener);
    },
  };
}
