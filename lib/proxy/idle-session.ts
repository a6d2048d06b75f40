/** A connection of HTTP/2 is idle without a request, whatever else its client sends: a PING costs nothing. */
import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';

/**
 * Ends the session when it has been idle for so long, and its connection if the client has not ended it after that time again. A stream that was reset, or
 * whose whole answer nobody takes in that time, is under way no more: Node.js closes it when its client has read so, which may be never.
 */
export function endWhenIdle(session: ServerHttp2Session, socket: Duplex, idleTimeoutMs: number): void {
  const open = new Set<ServerHttp2Stream>();
  /** Of these: whose answers were whole when it was looked at them last. */
  let ended = new Set<ServerHttp2Stream>();
  const alarm = setTimeout(() => {
    const isOver = (stream: ServerHttp2Stream) => stream.closed || ended.has(stream);
    const isIdle = [...open].every(isOver);
    ended = new Set([...open].filter((stream) => stream.writableEnded));
    if (isIdle) {
      if (session.destroyed) socket.destroy();
      else session.destroy();
    }
    alarm.refresh();
  }, idleTimeoutMs);
  socket.on('close', () => clearTimeout(alarm));
  session.on('stream', (stream) => {
    open.add(stream);
    stream.on('close', () => {
      open.delete(stream);
      if (open.size === 0 && !socket.destroyed) alarm.refresh();
    });
  });
}
