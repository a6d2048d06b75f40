/** One transfer of the proxies' bench. */
import { once } from 'node:events';
import tls from 'node:tls';

/** Reads so many bytes from a server that has as many. @throws (rejects) Error: they did not come */
export async function download(port: number, bytes: number): Promise<void> {
  const socket = tls.connect({ port, servername: 'localhost', rejectUnauthorized: false });
  let got = 0;
  socket.on('data', (chunk: Buffer) => {
    got += chunk.length;
    if (got >= bytes) socket.destroy();
  });
  await once(socket, 'close');
  if (got < bytes) throw new Error(`A transfer ended after ${got} of ${bytes} bytes.`);
}
