/** What the client of key servers tells whoever listens, through node:diagnostics_channel. No secrets, no messages. */
import { channel } from 'node:diagnostics_channel';
import type { KeylessError } from '../errors.ts';

/** Message of `keyless-tls:client:connection:ready`. */
export interface ClientConnectionReady {
  /** The key server as it was configured. */
  readonly server: string;
  /** `ours`: ALPN `keyless-tls/1`; `field`: the published protocol and nothing more. */
  readonly profile: 'ours' | 'field';
}

/** Message of `keyless-tls:client:connection:closed`; an attempt that failed has no `ready` before it. */
export interface ClientConnectionClosed {
  readonly server: string;
  readonly error: KeylessError;
}

/** Message of `keyless-tls:client:operation`: a request and its end. */
export interface ClientOperation {
  /** Who answered last; `undefined`: nobody was asked. */
  readonly server: string | undefined;
  readonly kind: 'sign' | 'decrypt' | 'ping' | 'ticket-keys';
  /** How often it was sent: more than once if connections died. */
  readonly attempts: number;
  readonly durationMs: number;
  /** `undefined`: it succeeded. */
  readonly error: KeylessError | undefined;
}

/** Message of `keyless-tls:client:breaker`: a key server is left alone, tried carefully, or trusted again. */
export interface ClientBreaker {
  readonly server: string;
  readonly state: 'closed' | 'open' | 'half-open';
}

/** Message of `keyless-tls:client:hedge`: an operation took long, another key server is asked too. */
export interface ClientHedge {
  readonly slow: string;
  readonly other: string;
  /** Milliseconds that the first was waited for. */
  readonly waitedMs: number;
}

/** Message of `keyless-tls:client:servers`: what the SRV record says has changed, or cannot be had. */
export interface ClientServers {
  readonly servers: readonly string[];
  /** `undefined`: it was resolved. */
  readonly error: KeylessError | undefined;
}

export const clientBreaker = channel('keyless-tls:client:breaker');
export const clientHedge = channel('keyless-tls:client:hedge');
export const clientServers = channel('keyless-tls:client:servers');
export const clientConnectionReady = channel('keyless-tls:client:connection:ready');
export const clientConnectionClosed = channel('keyless-tls:client:connection:closed');
export const clientOperation = channel('keyless-tls:client:operation');
