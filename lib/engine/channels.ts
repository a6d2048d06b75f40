/**
 * What the engine tells whoever listens, through node:diagnostics_channel. Messages hold no secret: no message to be
 * signed, no signature, no premaster.
 */
import { channel } from 'node:diagnostics_channel';
import type { KeylessError } from '../errors.ts';
import type { Operation } from '../keys/private-key.ts';

/** Message of `keyless-tls:operation:start`. */
export interface OperationStarted {
  readonly operation: Operation;
}

/** Message of `keyless-tls:operation:end`. */
export interface OperationEnded {
  readonly operation: Operation;
  /** Milliseconds from the start. */
  readonly durationMs: number;
  /** `undefined`: it succeeded. */
  readonly error: KeylessError | undefined;
}

/** Message of `keyless-tls:handshake:refused`: too many were waiting. */
export interface HandshakeRefused {
  readonly paused: number;
  readonly queued: number;
}

export const operationStart = channel('keyless-tls:operation:start');
export const operationEnd = channel('keyless-tls:operation:end');
export const handshakeRefused = channel('keyless-tls:handshake:refused');
