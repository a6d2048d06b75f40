/** A client that comes back: with the session it got the last time, or without. */
import { once } from 'node:events';
import tls, { type ConnectionOptions, type SecureVersion } from 'node:tls';

export interface Return {
  readonly port: number;
  readonly ca: string;
  readonly version: SecureVersion;
  /** `undefined`: it was never there. */
  readonly session?: Buffer | undefined;
  /** Said at once. */
  readonly say?: string;
  /** Milliseconds until it loses patience, which is an error; default: never. */
  readonly patienceMs?: number;
  readonly more?: ConnectionOptions;
}

export interface Returned {
  readonly reused: boolean;
  /** The last session that the server gave; `undefined`: none. */
  readonly session: Buffer | undefined;
  /** What the server said. */
  readonly heard: string;
}

/** @returns when the server has ended the connection, and all tickets have come with it */
export async function comeBack({
  port,
  ca,
  version,
  session,
  say,
  patienceMs = 0,
  more,
}: Return): Promise<Returned> {
  const options = { port, ca, host: '127.0.0.1', servername: 'localhost' };
  const socket = tls.connect({
    ...options,
    minVersion: version,
    maxVersion: version,
    ...(session === undefined ? {} : { session }),
    ...more,
  });
  socket.setTimeout(patienceMs, () => socket.destroy(new Error('The server says nothing.')));
  let given: Buffer | undefined;
  socket.on('session', (fresh) => {
    given = fresh;
  });
  await once(socket, 'secureConnect');
  const reused = socket.isSessionReused();
  // Node does not tell of a TLS 1.2 ticket that was renewed; TLS 1.3's come later.
  if (version !== 'TLSv1.3') given = socket.getSession();
  if (say !== undefined) socket.write(say);
  let heard = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    heard += text;
  });
  await once(socket, 'close');
  return { reused, session: given, heard };
}

/** The first visit, and each of those that follow, one after the other. */
export async function firstVisit(goal: Return): Promise<Buffer> {
  const { session } = await comeBack(goal);
  if (session === undefined) throw new Error('the server gave no session');
  return session;
}
