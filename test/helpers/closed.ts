/** The end of a socket, a stream or a session. */
import type { EventEmitter } from 'node:events';

/**
 * Resolves at 'close', whatever error comes before it, as once() does not: a peer that is closed with unread data, or written to
 * afterwards, answers with a reset, and which of the two it is depends on the moment.
 */
export function closed(emitter: EventEmitter): Promise<void> {
  emitter.on('error', () => undefined);
  return new Promise((resolve) => emitter.once('close', () => resolve()));
}
