/** A refusal of an upgrade (RFC 9110 §7.8) on its way to the client: the backend's answer, and the end of the connection. */
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { BackendTimeout } from './failure.ts';
import { endToEndRaw } from './headers.ts';
import { closeAfterWords } from './last-words.ts';
import { type StallLimits, StallWatch } from './stall-watch.ts';

/** A head as it is sent; the phrase is that of the status, whatever the backend's is. @param fields names and values in turn */
export function headText(status: number, fields: readonly string[]): string {
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`;
  for (let index = 0; index < fields.length; index += 2) text += `${fields[index]}: ${fields[index + 1]}\r\n`;
  return `${text}\r\n`;
}

/** Of the proxy itself: a status, and no detail. */
export function refuse(client: Socket, status: number, idleTimeoutMs: number): void {
  if (client.writable) client.write(headText(status, ['Content-Length', '0', 'Connection', 'close']));
  closeAfterWords(client, idleTimeoutMs);
}

export interface PassedRefusal {
  readonly bytes: number;
  readonly error: Error | undefined;
}

/** Resolves when the backend's part is done, or the client has gone; never rejects. What breaks off breaks off the client's. */
export function passRefusal(
  message: IncomingMessage,
  client: Socket,
  limits: StallLimits,
): Promise<PassedRefusal> {
  return new Promise((resolve) => {
    let bytes = 0;
    const done = (error: Error | undefined) => {
      watch.end();
      resolve({ bytes, error });
    };
    const breakOff = (error: Error | undefined) => {
      done(error);
      message.destroy();
      client.destroy();
    };
    const watch = new StallWatch(
      limits,
      () => client.writableNeedDrain,
      (ofClient) => breakOff(ofClient ? undefined : new BackendTimeout()),
    );
    const fields = endToEndRaw(message.rawHeaders, message.headers);
    client.write(headText(message.statusCode!, [...fields, 'Connection', 'close']), 'latin1');
    client.on('drain', () => watch.touch());
    const gone = () => breakOff(undefined);
    for (const event of ['end', 'close']) client.on(event, gone);
    message.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      watch.touch();
    });
    message.on('end', () => {
      done(undefined);
      client.off('end', gone);
      closeAfterWords(client, limits.clientMs);
    });
    message.on('error', breakOff);
    message.pipe(client, { end: false });
    // It is read from, so that it is noticed when it goes.
    client.resume();
  });
}
