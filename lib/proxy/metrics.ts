/** What a proxy tells Prometheus. Hosts are those of its folder; nothing a client sends becomes a label. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { ProxyStats, RequestRecord, StreamRecord } from './events.ts';

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60];

export interface ProxyMetrics {
  observe(record: RequestRecord | StreamRecord): void;
}

function addGauges(stats: ProxyStats, open: () => number, registry: Registry): void {
  const gauge = (name: string, help: string, value: () => number) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(value());
      },
    });
  gauge('keyless_tls_proxy_connections', 'Connections that are open.', open);
  gauge(
    'keyless_tls_proxy_connections_refused',
    'Turned away since the start: no TLS, no host.',
    () => stats.refused,
  );
  gauge('keyless_tls_proxy_connections_accepted', 'Through TLS since the start.', () => stats.accepted);
  gauge('keyless_tls_proxy_resident_bytes', 'Resident memory of the process.', () =>
    process.memoryUsage.rss(),
  );
}

/** @param open connections, now */
export function proxyMetrics(stats: ProxyStats, open: () => number, registry: Registry): ProxyMetrics {
  addGauges(stats, open, registry);
  const registers = [registry];
  const requests = new Counter({
    name: 'keyless_tls_proxy_requests_total',
    help: 'Requests of HTTP answered, by host and first digit of the status.',
    labelNames: ['host', 'status'],
    registers,
  });
  const failures = new Counter({
    name: 'keyless_tls_proxy_backend_errors_total',
    help: 'Requests and connections whose backend was not there, too slow, or broke off.',
    labelNames: ['host'],
    registers,
  });
  const bytes = new Counter({
    name: 'keyless_tls_proxy_bytes_total',
    help: 'Bytes of answers, and of connections that are passed on as bytes.',
    labelNames: ['host', 'direction'],
    registers,
  });
  const seconds = new Histogram({
    name: 'keyless_tls_proxy_request_seconds',
    help: 'From a request to the end of its answer.',
    labelNames: ['host'],
    buckets: SECONDS,
    registers,
  });
  return {
    observe(record) {
      const { host } = record;
      if (record.error !== undefined) failures.inc({ host });
      if (record.kind === 'tcp') {
        bytes.inc({ host, direction: 'in' }, record.bytesIn);
        bytes.inc({ host, direction: 'out' }, record.bytesOut);
        return;
      }
      requests.inc({ host, status: `${Math.floor(record.status / 100)}xx` });
      bytes.inc({ host, direction: 'out' }, record.bytes);
      // One that could not be read has taken no time.
      if (record.kind === 'http' && record.method !== undefined)
        seconds.observe({ host }, record.durationMs / 1000);
    },
  };
}
