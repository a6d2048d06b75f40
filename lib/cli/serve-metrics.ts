/** `keyless-tls serve --metrics`: for Prometheus, over plain HTTP, on the loopback unless told otherwise. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { KeyServer } from '../server/key-server.ts';
import { type ServerMetrics, serverMetrics } from '../server/metrics.ts';
import { explainListening, parseListen } from './command.ts';
import type { Print } from './event-lines.ts';

const LOOPBACK = '127.0.0.1';

function metricsPage(metrics: ServerMetrics): Server {
  const server = createServer((request, response) => {
    if (request.url !== '/metrics' || request.method !== 'GET') {
      response.writeHead(404).end();
      return;
    }
    metrics.render().then(
      (text) => response.writeHead(200, { 'content-type': metrics.contentType }).end(text),
      () => response.writeHead(500).end(),
    );
  });
  server.maxConnections = 16;
  server.requestTimeout = 5000;
  return server;
}

/** @param text `port` or `host:port`; @returns ends it */
export async function startMetrics(text: string, server: KeyServer, print: Print): Promise<() => void> {
  const { host, port } = parseListen('serve', text, LOOPBACK);
  const metrics = serverMetrics(server);
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
