/**
 * A client that waits for a backend's answer is read from, so that it is noticed when it goes; what it sends ahead of the
 * answer is kept for the backend.
 */
import type { Duplex } from 'node:stream';

/** Who sends more without having been answered is no longer read from, and then waits as long as the backend has time. */
const MOST_AHEAD_BYTES = 65_536;

/**
 * @param head what has been read already
 * @returns takes everything that has come, and leaves the client to be read from by others
 */
export function readAhead(client: Duplex, head: Buffer): () => Buffer {
  const chunks = [head];
  let size = head.length;
  const keep = (chunk: Buffer) => {
    chunks.push(chunk);
    size += chunk.length;
    if (size >= MOST_AHEAD_BYTES) client.pause();
  };
  client.on('data', keep);
  return () => {
    client.off('data', keep).pause();
    return Buffer.concat(chunks);
  };
}
