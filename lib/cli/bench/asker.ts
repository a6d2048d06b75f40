/** An edge that asks a key server for signatures and does nothing else. */
import { randomFillSync, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import tls from 'node:tls';
import { KeylessError } from '../../errors.ts';
import { decodeAnswer } from '../../protocol/answers.ts';
import { FrameDecoder } from '../../protocol/frame-decoder.ts';
import { encodeFrame } from '../../protocol/frame-encoder.ts';
import { subjectKeyId } from '../../protocol/key-id.ts';
import { signRequest } from '../../protocol/request-encoder.ts';
import { watchStandstill } from '../standstill.ts';
import { SCHEMES, type Site } from './sites.ts';

const ALPN = 'keyless-tls/1';
/** RFC 8446 §4.4.3; the hash follows, other bytes in each request. */
const PREFIX = Buffer.concat([Buffer.alloc(64, 0x20), Buffer.from('TLS 1.3, server CertificateVerify\0')]);
const HASH_BYTES = 32;
const MAX_LATENCIES = 200_000;

export interface AskerOptions {
  readonly port: number;
  /** Of an edge; PEM. */
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
  readonly site: Site;
  /** The site's certificate, PEM. */
  readonly siteCert: string;
  /** Requests in the air. */
  readonly window: number;
}

const standsStill = (seconds: number) =>
  new KeylessError(
    'ERR_KEYLESS_CONNECTION',
    `The key server has not answered for ${seconds} s: it stands still.`,
  );

/** States: connected -> running <-> stopped -> closed, by either side. */
export class Asker {
  readonly #socket: tls.TLSSocket;
  readonly #decoder = new FrameDecoder();
  readonly #options: AskerOptions;
  readonly #keyId: Uint8Array;
  readonly #sentAt = new Map<number, number>();
  readonly #message = Buffer.concat([PREFIX, Buffer.alloc(HASH_BYTES)]);
  #id = 0;
  #running = false;
  #idle: () => void = () => undefined;
  #isClosed = false;
  /** Refusals among them. */
  answered = 0;
  /** Refusals. */
  failed = 0;
  /** Milliseconds; the caller may empty it. */
  latencies: number[] = [];

  private constructor(socket: tls.TLSSocket, options: AskerOptions) {
    this.#socket = socket;
    this.#options = options;
    const { publicKey } = new X509Certificate(options.siteCert);
    this.#keyId = subjectKeyId(publicKey.export({ type: 'spki', format: 'der' }));
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    // What it was about is told by the end.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#isClosed = true;
      this.#idle();
    });
  }

  static async connect(options: AskerOptions): Promise<Asker> {
    const { port, cert, key, ca } = options;
    const socket = tls.connect({ port, servername: 'localhost', ALPNProtocols: [ALPN], cert, key, ca });
    socket.setNoDelay(true);
    const heard = watchStandstill(0, (seconds) => socket.destroy(standsStill(seconds)));
    await once(socket, 'secureConnect').finally(heard);
    return new Asker(socket, options);
  }

  start(): void {
    this.#running = true;
    this.#fill();
  }

  /** Resolves when everything is answered. @throws (rejects) KeylessError ERR_KEYLESS_CONNECTION: nothing will be any more */
  async stop(): Promise<void> {
    this.#running = false;
    let stillness: KeylessError | undefined;
    const heard = watchStandstill(0, (seconds) => {
      stillness = standsStill(seconds);
      this.close();
    });
    while (this.#sentAt.size > 0 && !this.#isClosed) {
      await new Promise<void>((resolve) => (this.#idle = resolve));
    }
    heard();
    if (this.#sentAt.size === 0) return;
    const text = `The key server has ended the connection, and has not answered ${this.#sentAt.size} requests.`;
    throw stillness ?? new KeylessError('ERR_KEYLESS_CONNECTION', text);
  }

  close(): void {
    this.#socket.destroy();
  }

  #fill(): void {
    const frames: Buffer[] = [];
    while (this.#running && this.#sentAt.size < this.#options.window) frames.push(this.#frame());
    if (frames.length > 0) this.#socket.write(Buffer.concat(frames));
  }

  #frame(): Buffer {
    this.#id += 1;
    randomFillSync(this.#message, PREFIX.length);
    this.#sentAt.set(this.#id, performance.now());
    const request = signRequest(SCHEMES[this.#options.site], this.#message, { keyId: this.#keyId });
    return encodeFrame(this.#id, request);
  }

  #read(chunk: Buffer): void {
    const now = performance.now();
    this.#decoder.push(chunk);
    for (let frame = this.#decoder.next(); frame !== undefined; frame = this.#decoder.next()) {
      if (this.latencies.length < MAX_LATENCIES) this.latencies.push(now - this.#sentAt.get(frame.id)!);
      this.#sentAt.delete(frame.id);
      this.answered += 1;
      if (decodeAnswer(frame.items)?.kind !== 'result') this.failed += 1;
    }
    if (this.#sentAt.size === 0) this.#idle();
    this.#fill();
  }
}
