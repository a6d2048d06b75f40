/** An edge that is as rude as a test wants it: sends any bytes to a key server and collects what comes back. */
import { once } from 'node:events';
import tls from 'node:tls';
import { type Answer, decodeAnswer } from '../../lib/protocol/answers.ts';
import { FrameDecoder } from '../../lib/protocol/frame-decoder.ts';
import { encodeFrame } from '../../lib/protocol/frame-encoder.ts';
import { ALPN_PROTOCOL } from '../../lib/protocol/opcodes.ts';
import type { Items } from '../../lib/protocol/tags.ts';

export class WirePeer {
  readonly socket: tls.TLSSocket;
  readonly answers = new Map<number, Answer>();
  /** Sizes of what came, a chunk each. */
  readonly chunks: number[] = [];
  readonly closed: Promise<unknown>;
  readonly #decoder = new FrameDecoder();
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #nextId = 1;

  constructor(socket: tls.TLSSocket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => socket.once('close', resolve));
  }

  /** @returns the id under which it was sent */
  send(items: Items, id = this.#nextId++): number {
    this.socket.write(encodeFrame(id, items));
    return id;
  }

  /** The answer to the id, now or when it comes; fails if the connection ends before. */
  answer(id: number): Promise<Answer> {
    const answer = this.answers.get(id);
    if (answer !== undefined) return Promise.resolve(answer);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, resolve);
      this.closed.then(() => reject(new Error(`closed without an answer to ${id}`)));
    });
  }

  ask(items: Items): Promise<Answer> {
    return this.answer(this.send(items));
  }

  close(): void {
    this.socket.destroy();
  }

  #read(chunk: Buffer): void {
    this.chunks.push(chunk.length);
    this.#decoder.push(chunk);
    for (let frame = this.#decoder.next(); frame !== undefined; frame = this.#decoder.next()) {
      const answer = decodeAnswer(frame.items)!;
      this.answers.set(frame.id, answer);
      this.#waiting.get(frame.id)?.(answer);
      this.#waiting.delete(frame.id);
    }
  }
}

type Credentials = { readonly cert?: string; readonly key?: string; readonly ca: string };

/**
 * @param profile `ours`: with ALPN; `field`: without, over TLS 1.2
 * @throws what tls.connect emits as `error`
 */
export async function connectPeer(
  port: number,
  credentials: Credentials,
  profile: 'ours' | 'field' = 'ours',
  options: tls.ConnectionOptions = {},
): Promise<WirePeer> {
  const words = profile === 'ours' ? { ALPNProtocols: [ALPN_PROTOCOL] } : { maxVersion: 'TLSv1.2' as const };
  const socket = tls.connect({ host: '127.0.0.1', port, ...credentials, ...words, ...options });
  await once(socket, 'secureConnect');
  return new WirePeer(socket);
}
