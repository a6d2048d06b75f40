/**
 * What asking a key server costs whoever does it with Node.js: a request's bytes written to a TLS socket, an answer's read from
 * one, those of a turn together, and nothing else. The request is a ping: as long as any other, and answered as long.
 */
import { once } from 'node:events';
import tls from 'node:tls';
import { encodeFrame } from '../../protocol/frame-encoder.ts';
import { ALPN_PROTOCOL } from '../../protocol/opcodes.ts';
import { pingRequest } from '../../protocol/request-encoder.ts';
import type { EdgePlan } from './edge-process.ts';

const REQUEST = encodeFrame(1, pingRequest());
/** More than there are in a turn. */
const MOST = 64;
const REQUESTS = Buffer.concat(Array<Buffer>(MOST).fill(REQUEST));

export class BareAsker {
  readonly #socket: tls.TLSSocket;
  #waiting = 0;
  #answeredBytes = 0;

  private constructor(socket: tls.TLSSocket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => (this.#answeredBytes += chunk.length));
  }

  static async open(options: NonNullable<EdgePlan['keyServer']>): Promise<BareAsker> {
    const socket = tls.connect({ ...options, host: '127.0.0.1', ALPNProtocols: [ALPN_PROTOCOL] });
    socket.setNoDelay(true);
    await once(socket, 'secureConnect');
    return new BareAsker(socket);
  }

  /** Requests that were answered. */
  get answered(): number {
    return Math.floor(this.#answeredBytes / REQUEST.length);
  }

  ask(): void {
    this.#waiting += 1;
    if (this.#waiting === 1) setImmediate(() => this.#flush());
  }

  #flush(): void {
    for (; this.#waiting > MOST; this.#waiting -= MOST) this.#socket.write(REQUESTS);
    this.#socket.write(REQUESTS.subarray(0, this.#waiting * REQUEST.length));
    this.#waiting = 0;
  }
}
