/** Clients that say hello and nothing more: they cost their side nothing, so thousands are made by one process. */
import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import tls, { type ConnectionOptions } from 'node:tls';

/** The first message of a client, as it is on the wire; a server takes it any number of times. */
export async function clientHello(options: ConnectionOptions = {}): Promise<Buffer> {
  const listener = net.createServer();
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const client = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ...options });
  client.on('error', () => undefined);
  const [socket] = (await once(listener, 'connection')) as [Socket];
  const [hello] = (await once(socket, 'data')) as [Buffer];
  client.destroy();
  socket.destroy();
  listener.close();
  return hello;
}

/** How many connect at once: the listen queue is not endless. */
const AT_ONCE = 250;

/** @param words what each says at once; `undefined`: nothing */
export async function halfOpen(port: number, count: number, words: Buffer | undefined): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const group = Array.from({ length: Math.min(AT_ONCE, count - sockets.length) }, () => {
      const socket = net.connect(port, '127.0.0.1');
      socket.on('error', () => undefined).resume();
      if (words !== undefined) socket.write(words);
      return socket;
    });
    await Promise.all(group.map((socket) => once(socket, 'connect')));
    sockets.push(...group);
  }
  return sockets;
}
