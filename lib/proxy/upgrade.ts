/** A connection that changes to another protocol (RFC 9110 §7.8), WebSocket above all: after the heads, bytes both ways. */
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import type { Backend } from './backend.ts';
import { BackendTimeout, CLIENT_GONE, ClientGone, statusOf } from './failure.ts';
import { pump } from './pump.ts';
import { readAhead } from './read-ahead.ts';
import { headText, passRefusal, refuse } from './refused-upgrade.ts';
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

/** Resolves when both directions have ended, or the backend would not change; never rejects. */
export function upgrade(
  request: IncomingMessage,
  client: Socket,
  head: Buffer,
  { backend, target, headers, timeoutMs, idleTimeoutMs }: UpgradeOptions,
): Promise<UpgradeResult> {
  return new Promise((resolve) => {
    // In HTTP/1.0 the field says nothing (RFC 9110 §7.8): then the connection ends behind the answer.
    const wish =
      request.httpVersion === '1.0' ? {} : { connection: 'Upgrade', upgrade: request.headers.upgrade };
    const asked = { ...headers, ...wish };
    const outgoing = startHttp1(
      backend,
      { method: request.method!, target, headers: asked, hasBody: false, takesTrailers: false },
      false,
    );
    const sentAhead = readAhead(client, head);
    /** @returns what the client has sent ahead */
    const answered = () => {
      clearTimeout(alarm);
      for (const event of ENDS) client.off(event, gone);
      return sentAhead();
    };
    const fail = (error: Error) => {
      answered();
      if (error instanceof ClientGone) {
        client.destroy();
        resolve({ status: CLIENT_GONE, bytes: 0, error: undefined });
        return;
      }
      refuse(client, statusOf(error), idleTimeoutMs);
      resolve({ status: statusOf(error), bytes: 0, error });
    };
    const alarm = setTimeout(() => outgoing.destroy(new BackendTimeout()), timeoutMs);
    // The time-out of kept connections is not that of what they become.
    client.setTimeout(0);
    // One that ends its side has no use for what it asked for either.
    const gone = () => outgoing.destroy(new ClientGone());
    for (const event of ENDS) client.on(event, gone);
    outgoing.on('error', fail);
    outgoing.on('response', (message) => {
      const fault = faultIn(message);
      if (fault !== undefined) {
        outgoing.destroy();
        fail(fault);
        return;
      }
      answered();
      passRefusal(message, client, { backendMs: timeoutMs, clientMs: idleTimeoutMs }).then((passed) =>
        resolve({ status: message.statusCode!, ...passed }),
      );
    });
    outgoing.on('upgrade', (message, socket, backendHead) => {
      if (asked.upgrade === undefined) {
        socket.destroy();
        fail(new Error('an upgrade that nobody asked for'));
        return;
      }
      const ahead = answered();
      client.write(headText(101, message.rawHeaders), 'latin1');
      if (backendHead.length > 0) client.write(backendHead);
      if (ahead.length > 0) socket.write(ahead);
      pump(client, socket, idleTimeoutMs).then(({ bytesOut, error }) =>
        resolve({ status: 101, bytes: bytesOut, error }),
      );
    });
    outgoing.end();
  });
}
