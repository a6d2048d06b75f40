/** A connection that changes to another protocol (RFC 9110 §7.8), WebSocket above all: after the heads, bytes both ways. */
import { type IncomingMessage, type OutgoingHttpHeaders, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Backend } from './backend.ts';
import { BackendTimeout, CLIENT_GONE, ClientGone, statusOf } from './failure.ts';
import { endToEndRaw } from './headers.ts';
import { pump } from './pump.ts';
import { readAhead } from './read-ahead.ts';
import { faultIn, startHttp1 } from './send-http1.ts';

export interface UpgradeResult {
  readonly status: number;
  readonly bytes: number;
  readonly error: Error | undefined;
}

export interface UpgradeOptions {
  readonly backend: Backend;
  /** Path and query. */
  readonly target: string;
  /** End-to-end fields for the backend. */
  readonly headers: OutgoingHttpHeaders;
  /** Until the backend has answered. */
  readonly timeoutMs: number;
  /** Without a byte in either direction. */
  readonly idleTimeoutMs: number;
}

const ENDS = ['end', 'error', 'close'] as const;

function headText(status: number, reason: string | undefined, rawHeaders: readonly string[]): string {
  let text = `HTTP/1.1 ${status} ${reason ?? STATUS_CODES[status] ?? ''}\r\n`;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    text += `${rawHeaders[index]}: ${rawHeaders[index + 1]}\r\n`;
  }
  return `${text}\r\n`;
}

/** A refusal in the client's own words: the backend's answer, and the end of the connection. */
function passRefusal(message: IncomingMessage, client: Duplex): void {
  const fields = endToEndRaw(message.rawHeaders, message.headers);
  client.write(
    headText(message.statusCode!, message.statusMessage, [...fields, 'Connection', 'close']),
    'latin1',
  );
  message.pipe(client);
}

/** Resolves when both directions have ended, or the backend would not change; never rejects. */
export function upgrade(
  request: IncomingMessage,
  client: Duplex,
  head: Buffer,
  { backend, target, headers, timeoutMs, idleTimeoutMs }: UpgradeOptions,
): Promise<UpgradeResult> {
  return new Promise((resolve) => {
    const asked = { ...headers, connection: 'Upgrade', upgrade: request.headers.upgrade };
    const outgoing = startHttp1(
      backend,
      { method: request.method!, target, headers: asked, hasBody: false, takesTrailers: false },
      false,
    );
    const sentAhead = readAhead(client, head);
    const fail = (error: Error) => {
      clearTimeout(alarm);
      if (error instanceof ClientGone) {
        client.destroy();
        resolve({ status: CLIENT_GONE, bytes: 0, error: undefined });
        return;
      }
      if (client.writable)
        client.end(headText(statusOf(error), undefined, ['Content-Length', '0', 'Connection', 'close']));
      resolve({ status: statusOf(error), bytes: 0, error });
    };
    const alarm = setTimeout(() => outgoing.destroy(new BackendTimeout()), timeoutMs);
    // The time-out of kept connections is not that of what they become.
    if ('setTimeout' in client) (client as Socket).setTimeout(0);
    // One that ends its side has no use for what it asked for either.
    const gone = () => outgoing.destroy(new ClientGone());
    for (const event of ENDS) client.on(event, gone);
    outgoing.on('error', fail);
    outgoing.on('response', (message) => {
      clearTimeout(alarm);
      const fault = faultIn(message);
      if (fault !== undefined) {
        outgoing.destroy();
        fail(fault);
        return;
      }
      client.off('end', gone);
      passRefusal(message, client);
      message.on('error', () => client.destroy());
      message.on('close', () => resolve({ status: message.statusCode!, bytes: 0, error: undefined }));
    });
    outgoing.on('upgrade', (message, socket, backendHead) => {
      clearTimeout(alarm);
      for (const event of ENDS) client.off(event, gone);
      client.write(headText(101, message.statusMessage, message.rawHeaders), 'latin1');
      if (backendHead.length > 0) client.write(backendHead);
      const ahead = sentAhead();
      if (ahead.length > 0) socket.write(ahead);
      pump(client, socket, idleTimeoutMs).then(({ bytesOut, error }) =>
        resolve({ status: 101, bytes: bytesOut, error }),
      );
    });
    outgoing.end();
  });
}
