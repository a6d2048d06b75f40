/** Whether all of an answer over HTTP/2 has come, or it has merely ended. */
import type { ClientHttp2Stream } from 'node:http2';

/**
 * Node.js (20 to 26) emits `end` without an error also for a stream that is reset with NO_ERROR or CANCEL, and for those of a connection
 * that ends: its source says so when the stream is closed, and for END_STREAM before. Servers of Node.js (24, 26) reset some
 * of many large answers so when they have sent everything: an answer with all bytes of its `Content-Length` has come, unless it has said that
 * trailers follow.
 *
 * @param stream of which nothing has come
 * @returns asked from its `response` on
 */
export function watchEnd(stream: ClientHttp2Stream): () => boolean {
  const { push } = stream;
  let hasEnded = false;
  let bytes = 0;
  let announced = Number.NaN;
  stream.on('response', ({ 'content-length': length, trailer }) => {
    if (trailer === undefined) announced = Number(length ?? Number.NaN);
  });
  const isWhole = () => hasEnded || bytes === announced;
  stream.push = (chunk, encoding) => {
    if (chunk !== null) bytes += chunk.length;
    else hasEnded ||= !stream.closed;
    const wantsMore = push.call(stream, chunk, encoding);
    // Whatever waits for a slow client: the backend may close its connection now, and that would destroy it.
    if (chunk === null && isWhole() && stream.isPaused()) stream.resume();
    return wantsMore;
  };
  return isWhole;
}
