/** A connection that ends with a status of the proxy's own, where node:http has no answer to write it with. */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { closeAfterWords } from './last-words.ts';

/** A head as it is sent; the phrase is that of the status, whatever the backend's is. @param fields names and values in turn */
export function headText(status: number, fields: readonly string[]): string {
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`;
  for (let index = 0; index < fields.length; index += 2) text += `${fields[index]}: ${fields[index + 1]}\r\n`;
  return `${text}\r\n`;
}

/** A status, and no detail. */
export function refuse(client: Socket, status: number, idleTimeoutMs: number): void {
  if (client.writable) client.write(headText(status, ['Content-Length', '0', 'Connection', 'close']));
  closeAfterWords(client, idleTimeoutMs);
}
