/** What happens to a server, or to what it is sent, between its own flight and its client's next one. */
import net from 'node:net';
import tls, { type TLSSocket, type TlsOptions } from 'node:tls';
import { close, listen } from './connections.ts';

/** A link to a server. @param before is called with each flight of the client's, counted from 1, before the server has it */
export async function linkTo(
  port: number,
  before: (flight: number, data: Buffer, onward: net.Socket) => void,
): Promise<net.Server> {
  const link = net.createServer((accepted) => {
    const onward = net.connect(port, '127.0.0.1');
    let flights = 0;
    accepted.on('data', (data: Buffer) => {
      flights += 1;
      before(flights, data, onward);
      onward.write(data);
    });
    onward.pipe(accepted);
    accepted.on('close', () => onward.destroy()).on('error', () => {});
    onward.on('close', () => accepted.destroySoon()).on('error', () => {});
  });
  await listen(link as tls.Server);
  return link;
}

/** TLS 1.2, whose server needs its key when the client's second flight has come. */
export const RSA_EXCHANGE = { ciphers: 'AES128-GCM-SHA256', maxVersion: 'TLSv1.2' } as const;

/**
 * A server's TLSSocket is given another key between its flight and the client's key exchange.
 *
 * @param late it asks for a context by name first, and gets none
 * @returns what both ends have to tell
 */
export async function giveBetweenFlights(
  ca: string,
  own: tls.SecureContext,
  given: tls.SecureContext,
  late = true,
): Promise<unknown[]> {
  const log: unknown[] = [];
  let accepted: TLSSocket | undefined;
  const raw = net.createServer((socket) => {
    const SNICallback: TlsOptions['SNICallback'] = (name, done) => {
      log.push(name);
      setImmediate(done, null);
    };
    const choice = late ? { SNICallback } : {};
    accepted = new tls.TLSSocket(socket, { isServer: true, secureContext: own, ...choice });
    accepted.on('error', (error) => log.push(error)).end('well');
  });
  const link = await linkTo(await listen(raw as tls.Server), (flight) => {
    if (flight !== 2) return;
    try {
      accepted?.setKeyCert(given);
    } catch (error) {
      log.push((error as NodeJS.ErrnoException).code);
    }
  });
  const { port } = link.address() as net.AddressInfo;
  const client = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca });
  client.on('error', (error) => log.push(error)).on('data', (data) => log.push(String(data)));
  await new Promise((resolve) => client.on('close', resolve));
  await close(link as tls.Server);
  await close(raw as tls.Server);
  return log;
}
