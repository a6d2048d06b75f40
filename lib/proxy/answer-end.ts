/** Whether the backend has ended an answer over HTTP/2, or it has merely ended. */
import type { ClientHttp2Stream } from 'node:http2';

/**
 * Node.js (20 to 26) emits `end` without an error also for a stream that is reset with NO_ERROR or CANCEL, and for those of a connection
 * that ends: its source says so when the stream is closed, and for END_STREAM before.
 *
 * @param ended END_STREAM has come
 */
export function onAnswerEnd(stream: ClientHttp2Stream, ended: () => void): void {
  const push = stream.push;
  stream.push = (chunk, encoding) => {
    if (chunk !== null || stream.closed) return push.call(stream, chunk, encoding);
    ended();
    push.call(stream, chunk);
    // Whatever waits for a slow client: the backend may close its connection now, and that would destroy it.
    if (stream.isPaused()) stream.resume();
    return false;
  };
}
