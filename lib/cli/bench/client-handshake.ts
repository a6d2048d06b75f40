/** One connection of the benchmark's clients. */
import tls from 'node:tls';
import type { Dial } from './client-plans.ts';

export interface Connected {
  /** When the handshake was through, as performance.now(); `undefined`: it failed. */
  readonly at: number | undefined;
  readonly error?: Error | undefined;
}

export interface Connection {
  /** The handshake is through, or failed. */
  readonly handshake: Promise<Connected>;
  /** The socket is closed. */
  readonly closed: Promise<void>;
}

/** The first is what they agree on; the curves of certificates must be among the groups in TLS 1.2 (RFC 8422 §5.1). */
const GROUPS = 'X25519:P-256:P-384';
const contexts = new Map<string, tls.SecureContext>();

/** Made once: it costs as much as a handshake. */
function contextOf({ version, group = GROUPS }: Dial): tls.SecureContext {
  const name = `${version} ${group}`;
  const known = contexts.get(name);
  if (known !== undefined) return known;
  const made = tls.createSecureContext({ minVersion: version, maxVersion: version, ecdhCurve: group });
  contexts.set(name, made);
  return made;
}

/** @param request what to send; the server's answer is read and thrown away until it ends */
export function dial(plan: Dial, port: number, request: string, session?: Buffer): tls.TLSSocket {
  const socket = tls.connect({
    port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    secureContext: contextOf(plan),
    session,
  });
  socket.once('secureConnect', () => socket.write(request));
  return socket;
}

/** A whole connection: handshake, one byte each way, end. */
export function handshake(plan: Dial, port: number, session?: Buffer): Connection {
  const socket = dial(plan, port, 'x', session);
  socket.resume();
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  const through = new Promise<Connected>((resolve) => {
    socket.once('secureConnect', () => resolve({ at: performance.now() }));
    socket.once('error', (error) => resolve({ at: undefined, error }));
    socket.once('close', () => resolve({ at: undefined }));
  });
  return { handshake: through, closed };
}

/** @returns a session that further connections can resume */
export function sessionFrom(plan: Dial, port: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = dial(plan, port, 'x').resume();
    let session: Buffer | undefined;
    socket.on('session', (data: Buffer) => (session = data));
    socket.on('error', reject);
    socket.on('close', () => {
      if (session === undefined) reject(new Error('The server gave no session.'));
      else resolve(session);
    });
  });
}
