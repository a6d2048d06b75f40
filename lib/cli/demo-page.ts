/** The page of the demo: what the edge serves, with each operation as it happens (server-sent events). */
import { subscribe } from 'node:diagnostics_channel';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { OperationEnded } from '../engine/channels.ts';
import { HTML, SCRIPT, STYLE } from './demo-page-assets.ts';

const HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-store',
} as const;

const FILES: ReadonlyMap<string, readonly [type: string, text: string]> = new Map([
  ['/', ['text/html; charset=utf-8', HTML]],
  ['/demo.css', ['text/css; charset=utf-8', STYLE]],
  ['/demo.js', ['text/javascript; charset=utf-8', SCRIPT]],
]);

const REMEMBERED = 50;
const MAX_READERS = 100;
/** Of a reader that does not read; about 400 operations. */
const MAX_UNREAD_BYTES = 65_536;

interface Line {
  readonly time: string;
  readonly scheme: string;
  readonly servername: string;
  readonly ms: string;
  readonly result: string;
}

function lineOf({ operation, durationMs, error }: OperationEnded): Line {
  return {
    time: new Date().toISOString().slice(11, 23),
    scheme: operation.kind === 'sign' ? operation.scheme : 'RSA key exchange',
    servername: (operation.servername ?? '').slice(0, 64),
    ms: durationMs.toFixed(1),
    result: error?.code ?? 'ok',
  };
}

/** JSON in one line: text of peers can neither end an event nor become markup (the page sets it as text). */
function event(name: string, data: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** What the visitor's own connection negotiated. */
function connectionOf(request: IncomingMessage) {
  const socket = request.socket as TLSSocket;
  return {
    protocol: socket.getProtocol(),
    cipher: socket.getCipher().standardName,
    resumed: socket.isSessionReused(),
  };
}

/** @returns what answers the edge's requests; it listens to the engine from now on */
export function demoPage(): RequestListener {
  const lines: Line[] = [];
  const readers = new Set<ServerResponse>();
  subscribe('keyless-tls:operation:end', (message) => {
    const line = lineOf(message as OperationEnded);
    lines.push(line);
    if (lines.length > REMEMBERED) lines.shift();
    for (const reader of readers) {
      if (reader.writableLength > MAX_UNREAD_BYTES) reader.destroy();
      else reader.write(event('operation', line));
    }
  });
  const stream = (request: IncomingMessage, response: ServerResponse) => {
    if (readers.size >= MAX_READERS) {
      response.writeHead(503, HEADERS).end();
      return;
    }
    response.writeHead(200, { ...HEADERS, 'Content-Type': 'text/event-stream' });
    response.write(
      [
        event('connection', connectionOf(request)),
        ...lines.map((line) => event('operation', line)),
        event('live', {}),
      ].join(''),
    );
    readers.add(response);
    response.on('close', () => readers.delete(response));
  };
  return (request, response) => {
    if (request.url === '/operations') return stream(request, response);
    const file =
      request.method === 'GET' || request.method === 'HEAD' ? FILES.get(request.url ?? '') : undefined;
    if (file === undefined) return void response.writeHead(404, HEADERS).end('Not found\n');
    response.writeHead(200, { ...HEADERS, 'Content-Type': file[0] }).end(file[1]);
  };
}
