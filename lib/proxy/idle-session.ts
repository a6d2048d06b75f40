/** A connection of HTTP/2 is idle without a request, whatever else its client sends: a PING costs nothing. */
import type { ServerHttp2Session } from 'node:http2';
import type { Duplex } from 'node:stream';

/** Ends the session when it has been idle for so long, and its connection if the client has not ended it after that time again. */
export function endWhenIdle(session: ServerHttp2Session, socket: Duplex, idleTimeoutMs: number): void {
  let streams = 0;
  const alarm = setTimeout(() => {
    if (streams > 0) return;
    if (session.destroyed) socket.destroy();
    else session.destroy();
    alarm.refresh();
  }, idleTimeoutMs);
  socket.on('close', () => clearTimeout(alarm));
  session.on('stream', (stream) => {
    streams += 1;
    stream.on('close', () => {
      streams -= 1;
      if (streams === 0 && !socket.destroyed) alarm.refresh();
    });
  });
}
