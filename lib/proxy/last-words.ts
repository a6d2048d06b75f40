/** The end of a connection that has been told its last: there is nothing more to hear from its client, or to wait for. */
import type { Socket } from 'node:net';

/**
 * Closes a connection when what was written to it has left, whatever its client does then, and within so long if it does not
 * read.
 */
export function closeAfterWords(client: Socket, idleTimeoutMs: number): void {
  if (client.destroyed) return;
  const alarm = setTimeout(() => client.destroy(), idleTimeoutMs);
  client.on('close', () => clearTimeout(alarm));
  // What it sends nobody wants, but closing on what has not been read resets it, with what it was told (RFC 9112 §9.6).
  client.resume();
  client.destroySoon();
}
