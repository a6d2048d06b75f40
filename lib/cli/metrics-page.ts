/** `--metrics`: for Prometheus, over plain HTTP, on the loopback unless told otherwise. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { explainListening, parseListen } from './command.ts';
import type { Print } from './event-lines.ts';

const LOOPBACK = '127.0.0.1';

/** What a page of metrics shows. */
export interface MetricsSource {
  /** In the text format of Prometheus. */
  render(): Promise<string>;
  readonly contentType: string;
  close(): void;
}

/** Places, and the milliseconds for which somebody who asks for nothing has one: Node looks once in that interval. */
const MAX_CONNECTIONS = 16;
const TIMES = { requestTimeout: 5000, connectionsCheckingInterval: 1000 };

function metricsPage(metrics: MetricsSource): Server {
  const server = createServer(TIMES, (request, response) => {
    if (request.url !== '/metrics' || request.method !== 'GET') {
      response.writeHead(404).end();
      return;
    }
    metrics.render().then(
      (text) => response.writeHead(200, { 'content-type': metrics.contentType }).end(text),
      () => response.writeHead(500).end(),
    );
  });
  server.maxConnections = MAX_CONNECTIONS;
  return server;
}

/** @param command whose option it is, @param text `port` or `host:port`; @returns ends it */
export async function startMetrics(
  command: string,
  text: string,
  metrics: MetricsSource,
  print: Print,
): Promise<() => void> {
  const { host, port } = parseListen(command, text, LOOPBACK);
  const page = metricsPage(metrics).listen(port, host);
  try {
    await once(page, 'listening');
  } catch (error) {
    throw explainListening(error, `${host}:${port}`, '--metrics');
  }
  const address = page.address() as AddressInfo;
  print('metrics', { address: address.address, port: address.port });
  return () => {
    metrics.close();
    page.close();
    page.closeAllConnections();
  };
}
