/** Clients of the servers that serving.ts makes. */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import tls, { type ConnectionOptions, type TLSSocket } from 'node:tls';
import { describeSocket } from './connections.ts';
import type { Face } from './serving.ts';

/** Where to connect to, and whom to trust. */
export interface Goal {
  readonly port: number;
  readonly ca: string;
}

/** Options of a client. */
export function towards(goal: Goal): ConnectionOptions {
  return { ...goal, host: '127.0.0.1', servername: 'localhost' };
}

/** What a client sees, and who served it. */
export interface Visit {
  readonly who: string;
  readonly story: unknown;
}

/** Says a word on an open connection. */
export async function say(socket: TLSSocket, word: string): Promise<{ who: string; echo: string }> {
  socket.write(word);
  const [who = '', echo = ''] = String((await once(socket, 'data'))[0]).split(' ');
  return { who, echo };
}

/** @returns when a socket has closed, with or without an error, and what happened until then */
export function gone(socket: TLSSocket): Promise<unknown[]> {
  const log: unknown[] = [];
  socket.on('error', (error: NodeJS.ErrnoException) => log.push(error.code ?? error.message));
  socket.on('end', () => log.push('end')).resume();
  return new Promise((resolve) => socket.on('close', () => resolve(log)));
}

/** @param socket connects to a server of tls */
export async function visitTls(socket: TLSSocket): Promise<Visit> {
  await once(socket, 'secureConnect');
  const seen = describeSocket(socket);
  const { who, echo } = await say(socket, 'ping');
  socket.destroy();
  return { who, story: { seen, echo } };
}

async function visitHttps(goal: Goal): Promise<Visit> {
  const request = https.get({ ...towards(goal), path: '/a', agent: false });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const seen = describeSocket(response.socket as TLSSocket);
  const text = Buffer.concat(await response.toArray()).toString();
  return { who: String(response.headers['x-who']), story: { seen, text, status: response.statusCode } };
}

async function visitHttp2(goal: Goal): Promise<Visit> {
  const session = http2.connect(`https://127.0.0.1:${goal.port}`, towards(goal));
  const stream = session.request({ ':path': '/a' });
  const [headers] = await once(stream, 'response');
  const text = Buffer.concat(await stream.toArray()).toString();
  const seen = describeSocket(session.socket as TLSSocket);
  session.close();
  return { who: String(headers['x-who']), story: { seen, text, status: headers[':status'] } };
}

/** One connection and what it sees, by Node's own client. */
export function visit(goal: Goal, face: Face = 'tls'): Promise<Visit> {
  if (face === 'https') return visitHttps(goal);
  return face === 'http2' ? visitHttp2(goal) : visitTls(tls.connect(towards(goal)));
}
