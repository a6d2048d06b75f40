/** The start of listening, before whose end a server may be closed: Node then tells nobody. */
import type { AddressInfo, Server } from 'node:net';

/**
 * @param closing aborted before the server is closed
 * @throws (rejects) what node:net tells, and the reason of `closing`
 */
export function startListening(
  server: Server,
  address: { readonly port: number; readonly host: string },
  closing: AbortSignal,
): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    closing.throwIfAborted();
    const giveUp = () => reject(closing.reason);
    server.once('error', reject);
    server.listen(address, () => {
      server.off('error', reject);
      closing.removeEventListener('abort', giveUp);
      resolve(server.address() as AddressInfo);
    });
    closing.addEventListener('abort', giveUp, { once: true });
  });
}
