/**
 * HTTP/1.1 (RFC 9112) for a page that strangers may ask for: one request of a connection, without a body, and an answer that ends it.
 * What a client sends behind it is not looked at. Node's own server reads every request of a chunk, two thousand, before it looks at
 * whether anybody reads the answers (20 to 26).
 */
import { createServer, type Server, type Socket } from 'node:net';
import { HalfOpen } from '../server/half-open.ts';

export interface PageAnswer {
  readonly status: '200 OK' | '404 Not Found' | '500 Internal Server Error';
  readonly contentType: string;
  readonly body: Buffer;
}

/** Connections at once; where one more comes, the oldest of the address that has the most makes way. */
const MAX_CONNECTIONS = 16;
const MAX_HEAD_BYTES = 16_384;
/** To ask, from the connection on; and again to read the answer. */
const PATIENCE_MS = 5000;

/** @param answer must not reject; it gets the path as it was sent, `undefined` for another method than GET and HEAD */
export function oneRequestServer(answer: (path: string | undefined) => Promise<PageAnswer>): Server {
  const places = new HalfOpen(MAX_CONNECTIONS);
  return createServer({ allowHalfOpen: true }, (socket) => {
    places.add(socket);
    const end = () => socket.destroy();
    const hasAsked = endInTime(socket);
    readHead(socket.on('error', end).on('end', end), async (head) => {
      socket.off('end', end);
      hasAsked();
      const request = requestOf(head);
      const page = await answer(request && pathOf(request));
      if (!socket.writable) return;
      endInTime(socket);
      socket.end(bytesOf(page, request), end);
    });
  });
}

/** @returns takes the limit away */
function endInTime(socket: Socket): () => void {
  const timer = setTimeout(() => socket.destroy(), PATIENCE_MS);
  const stop = () => clearTimeout(timer);
  socket.once('close', stop);
  return stop;
}

/** @param use called once, when the head of the first request has come; one more chunk at most is read after it */
function readHead(socket: Socket, use: (head: string) => void): void {
  let head = '';
  socket.setEncoding('latin1').on('data', function read(chunk: string) {
    head += chunk;
    if (head.includes('\r\n\r\n')) {
      socket.off('data', read).pause();
      use(head);
    } else if (head.length > MAX_HEAD_BYTES) socket.destroy();
  });
}

interface Request {
  readonly method: 'GET' | 'HEAD';
  readonly target: string;
}

function requestOf(head: string): Request | undefined {
  const [, method, target] = /^(GET|HEAD) (\S+) HTTP\/1\.\d\r\n/.exec(head) ?? [];
  return target === undefined ? undefined : { method: method as Request['method'], target };
}

/** As a proxy is asked, a server has to understand it, too (RFC 9112 §3.2.2). What a target says behind the path is for pages that have a choice. */
function pathOf({ target }: Request): string {
  return target.replace(/^https?:\/\/[^/?]*/i, '').replace(/\?.*$/, '');
}

function bytesOf({ status, contentType, body }: PageAnswer, request: Request | undefined): Buffer {
  const head = [
    `HTTP/1.1 ${status}`,
    `content-type: ${contentType}`,
    `content-length: ${body.length}`,
    `date: ${new Date().toUTCString()}`,
    'connection: close',
  ];
  const content = request?.method === 'HEAD' ? [] : [body];
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), ...content]);
}
