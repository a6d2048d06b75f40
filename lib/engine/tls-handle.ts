/**
 * The parts of Node's TLSSocket and of its native handle (TLSWrap) that the engine touches: the one place that names
 * them. They are not documented by Node; test/tls/node-internals.test.ts and node-callbacks.test.ts hold each of them on
 * every Node version we support.
 */
import type { EventEmitter } from 'node:events';
import type { Server, TLSSocket } from 'node:tls';

/** What Node's own parser makes of a ClientHello. */
export interface ParsedHello {
  readonly sessionId: Buffer;
  readonly servername?: string;
  readonly tlsTicket: boolean;
}

/** The native handle below that stands for a stream of the user's (JSStream), as lib/internal/js_stream_socket.js uses it. */
export interface JsStreamHandle {
  /** The stream has ended. */
  emitEOF(): void;
  /** There is data. */
  readBuffer(chunk: Uint8Array): void;
}

/** Node's native TLSWrap object, as lib/_tls_wrap.js uses it. */
export interface TlsHandle {
  destroySSL(): void;
  /** @param callback is called when the handle has gone, after destroySSL where Node calls that */
  close(callback?: () => void): void;
  /** Cycles the TLSWrap: flushes, reads and writes what OpenSSL has. Despite its name it does nothing else. */
  newSessionDone(): void;
  certCbDone(): void;
  enableALPNCb(): void;
  /** `TLSv1.3` and so on: which it is to be, once OpenSSL has read the ClientHello. */
  getProtocol(): string;
  enablePskCallback(): void;
  readStart(): void;
  readStop(): void;
  /** What Node's net.Socket has decided. */
  reading: boolean;
  onerror: (error: Error) => void;
  /** A server's: the client has taken what the server had to say. */
  onhandshakedone: () => void;
  onnewsession: (...values: unknown[]) => unknown;
  onkeylog: (line: Buffer) => unknown;
  /** A server's: asks its `resumeSession` listeners; called only if it has some. */
  onclienthello: (hello: ParsedHello) => unknown;
  /** Node's wrapper of the user's ALPNCallback: takes a ProtocolNameList, returns an offset in it or undefined. */
  ALPNCallback?: (offer: Buffer) => number | undefined;
  /** The native context an SNICallback has chosen. */
  sni_context?: unknown;
  _secureContext?: { context?: unknown };
  /** The native handle below. One of a user's stream does not say whether it holds the process. */
  _parent?: { hasRef?(): boolean; readonly fd?: number; _parent?: unknown } & Partial<JsStreamHandle>;
  /** The socket whose handle is the one below; it may be nobody's. */
  _parentWrap?: SocketBelow | null;
}

/** That of a TLS socket stands on another again. */
export interface SocketBelow {
  /** `null` from its destroy() on. */
  readonly _handle: Pick<TlsHandle, '_parentWrap'> | null;
  destroy(error?: Error): unknown;
}

/** @returns what stands for the stream of the user's below; `undefined`: there is a socket of Node's */
export function streamBelow({ _parent }: TlsHandle): JsStreamHandle | undefined {
  return _parent?.emitEOF === undefined ? undefined : (_parent as JsStreamHandle);
}

/** Whether a socket below, however deep (TLS in TLS), has been destroyed, which is told in a later turn only. */
export function isGoneBelow({ _parentWrap }: Pick<TlsHandle, '_parentWrap'>): boolean {
  if (!_parentWrap) return false;
  const { _handle } = _parentWrap;
  return _handle === null || isGoneBelow(_handle);
}

/** @returns the connection's; -1: what is below is no connection, but TLS again, or a stream of the user's */
export function descriptorBelow({ _parent }: TlsHandle): number {
  return _parent?._parent === undefined ? (_parent?.fd ?? -1) : -1;
}

/** The fields of a TLSSocket that lib/_tls_wrap.js keeps. */
export interface TlsSocketInternals {
  _handle: TlsHandle | null;
  _tlsOptions: { isServer?: boolean; handshakeTimeout?: number; pskCallback?: unknown };
  /** Set where a context is to be chosen by name. */
  _SNICallback: unknown;
  server?: EventEmitter;
}

/** The fields of a tls.Server that lib/_tls_wrap.js keeps; `setSecureContext` replaces them. */
export interface TlsServerInternals {
  _sharedCreds?: {
    context?: {
      setSessionIdContext(context: string): void;
    };
  };
  ca?: unknown;
  requestCert?: boolean;
  rejectUnauthorized?: boolean;
  /** Seconds. */
  sessionTimeout?: number;
}

/** @returns the server's fields that its public type does not show */
export function serverInternals(server: Server): TlsServerInternals {
  return server as unknown as TlsServerInternals;
}

/** Whether the server lets in clients by a key that both know, in the place of certificates. Node has that under a symbol of its own. */
export function hasPskCallback(server: Server): boolean {
  const name = Object.getOwnPropertySymbols(server).find(({ description }) => description === 'pskcallback');
  return name !== undefined && Boolean(Reflect.get(server, name));
}

/** @returns the socket's fields that its public type does not show */
export function internals(socket: TLSSocket): TlsSocketInternals {
  return socket as unknown as TlsSocketInternals;
}

/** Puts something of ours on a handle where whoever lists or inspects it sees what there is natively. */
export function standIn<T extends object, Name extends keyof T>(handle: T, name: Name, value: T[Name]): void {
  Object.defineProperty(handle, name, { value, configurable: true, enumerable: false, writable: true });
}
