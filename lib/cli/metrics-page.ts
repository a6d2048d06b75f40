/** `--metrics`: for Prometheus, over plain HTTP, on the loopback unless told otherwise. */
import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import { explainListening, parseListen } from './command.ts';
import type { Print } from './event-lines.ts';
import { oneRequestServer } from './one-request-http.ts';
import { PageForAll } from './page-for-all.ts';

const LOOPBACK = '127.0.0.1';

/** What a page of metrics shows. */
export interface MetricsSource {
  /** In the text format of Prometheus. */
  render(): Promise<string>;
  readonly contentType: string;
  close(): void;
}

const NO_PAGE = { contentType: 'text/plain', body: Buffer.alloc(0) };

function metricsPage(metrics: MetricsSource): Server {
  const page = new PageForAll(async () => Buffer.from(await metrics.render()));
  return oneRequestServer(async (path) => {
    if (path !== '/metrics') return { status: '404 Not Found', ...NO_PAGE };
    try {
      return { status: '200 OK', contentType: metrics.contentType, body: await page.next() };
    } catch {
      return { status: '500 Internal Server Error', ...NO_PAGE };
    }
  });
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
  const sockets = new Set<Socket>();
  page.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
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
    for (const socket of sockets) socket.destroy();
  };
}
