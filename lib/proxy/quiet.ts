/**
 * A socket's `error` without a listener ends the process. Those who use one tell of its errors, but not for its whole
 * life: node:http lets go of a connection when an answer has ended, while what has destroyed it is still to be told.
 */
import type { Duplex } from 'node:stream';

const heard = () => undefined;

/** From now on, what nobody else hears of is no error of the process; a second time changes nothing. */
export function quiet<Stream extends Duplex>(stream: Stream): Stream {
  return stream.off('error', heard).on('error', heard);
}
