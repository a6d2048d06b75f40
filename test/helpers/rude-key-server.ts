/** A key server that speaks the protocol and misbehaves on command. */
import type { AddressInfo, Socket } from 'node:net';
import tls from 'node:tls';
import { encodePong, encodeResult } from '../../lib/protocol/answers.ts';
import { encodeCapabilities } from '../../lib/protocol/capabilities.ts';
import { type Frame, FrameDecoder } from '../../lib/protocol/frame-decoder.ts';
import { ALPN_PROTOCOL, CustomFunction, Opcode } from '../../lib/protocol/opcodes.ts';
import type { Issued } from './certificates.ts';
import { lastingPort } from './lasting-port.ts';

function capabilities(functions: readonly string[]): Buffer {
  return encodeCapabilities({
    versions: [1],
    schemes: [],
    functions,
    contexts: [],
    limits: { inFlight: 100, bodyBytes: 65_535 },
  });
}

export type OnRequest = (frame: Frame, socket: tls.TLSSocket) => void;

export const pong: OnRequest = ({ id, items }, socket) => void socket.write(encodePong(id, items.payload));

export interface RudeOptions {
  readonly server: Issued;
  readonly ca: string;
  /** Called for what is neither a greeting nor a ping. */
  readonly onRequest: OnRequest;
  /** `field`: no ALPN, TLS 1.2; `mixed`: our ALPN over TLS 1.2, which no key server does. */
  readonly profile?: 'ours' | 'field' | 'mixed';
  /** Default: it answers each ping. */
  readonly onPing?: OnRequest;
  /** Custom functions that it says it has; default none. */
  readonly functions?: readonly string[];
  /** 0: any. */
  readonly port?: number;
}

export class RudeKeyServer {
  readonly sockets = new Set<tls.TLSSocket>();
  /** Below TLS: also those that are not through it. */
  readonly #raw = new Set<Socket>();
  /** Every chunk that came, its bytes. */
  readonly chunks: number[] = [];
  /** Connections, also those that TLS refused. */
  connections = 0;
  /** Says nothing any more, not even to pings. */
  frozen = false;
  readonly #server: tls.Server;
  readonly #onRequest: OnRequest;
  readonly #onPing: OnRequest;
  readonly #capabilities: Buffer;

  constructor({ server, ca, onRequest, onPing = pong, profile = 'ours', functions = [] }: RudeOptions) {
    this.#onRequest = onRequest;
    this.#onPing = onPing;
    this.#capabilities = capabilities(functions);
    this.#server = tls.createServer({
      cert: server.certPem,
      key: server.keyPem,
      ca,
      requestCert: true,
      rejectUnauthorized: true,
      ...(profile === 'field' ? {} : { ALPNProtocols: [ALPN_PROTOCOL] }),
      ...(profile === 'ours' ? {} : { maxVersion: 'TLSv1.2' as const }),
    });
    this.#server.on('connection', (raw: Socket) => {
      this.connections += 1;
      this.#raw.add(raw);
      raw.on('close', () => this.#raw.delete(raw));
    });
    this.#server.on('secureConnection', (socket) => this.#accept(socket));
    this.#server.on('tlsClientError', (_error, socket) => socket.destroy());
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** @param port default: one that it may come back to */
  async listen(port?: number): Promise<void> {
    const given = port ?? (await lastingPort());
    return new Promise((resolve) => this.#server.listen(given, '127.0.0.1', resolve));
  }

  /** Drops the connections, takes new ones. */
  drop(): void {
    for (const socket of this.sockets) socket.destroy();
    for (const socket of this.#raw) socket.destroy();
  }

  close(): Promise<void> {
    this.drop();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #accept(socket: tls.TLSSocket): void {
    const decoder = new FrameDecoder();
    this.sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('data', (chunk: Buffer) => {
      this.chunks.push(chunk.length);
      decoder.push(chunk);
      for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) this.#take(frame, socket);
    });
  }

  #take(frame: Frame, socket: tls.TLSSocket): void {
    const { opcode, functionName } = frame.items;
    if (this.frozen) return;
    if (opcode?.[0] === Opcode.PING) this.#onPing(frame, socket);
    else if (
      functionName !== undefined &&
      Buffer.from(functionName).toString() === CustomFunction.CAPABILITIES
    ) {
      socket.write(encodeResult(frame.id, this.#capabilities));
    } else this.#onRequest(frame, socket);
  }
}

export async function startRudeKeyServer(options: RudeOptions): Promise<RudeKeyServer> {
  const server = new RudeKeyServer(options);
  await server.listen(options.port);
  return server;
}
