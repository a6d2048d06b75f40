/**
 * What the key server tells whoever listens, through node:diagnostics_channel. Messages hold no secret, no digest and no
 * ciphertext; text of peers is escaped.
 */
import { channel } from 'node:diagnostics_channel';
import type { RecognisedContext } from '../protocol/handshake-message.ts';
import type { WireErrorCode } from '../protocol/opcodes.ts';
import type { Refusal } from './refusals.ts';

/** Who is connected. */
export interface Peer {
  /** IP address and port. */
  readonly address: string;
  /** The subject of its certificate, escaped. */
  readonly subject: string;
  /** What the policy calls it; `any` where there is no policy. */
  readonly client: string;
  /** SHA-256 fingerprint of its certificate. */
  readonly fingerprint: string;
  /** `ours`: ALPN `keyless-tls/1`; `field`: no ALPN. */
  readonly profile: 'ours' | 'field';
}

/** Message of `keyless-tls:server:connection`. */
export interface ServerConnection {
  readonly peer: Peer;
}

/** Message of `keyless-tls:server:connection:end`. */
export interface ServerConnectionEnd {
  readonly peer: Peer;
  /** `undefined`: an orderly end. */
  readonly error: Error | undefined;
}

/**
 * Why a connection was not taken: there are too many; no TLS, or not in time; a certificate that does not count; a client that the
 * policy does not name, or that was revoked; a profile that needs another version of TLS.
 */
export type RefusedConnection = 'too-many' | 'tls' | 'certificate' | 'not-served' | 'protocol';

/** Message of `keyless-tls:server:connection:refused`: no TLS, no certificate, another CA, too slow. */
export interface ServerConnectionRefused {
  readonly address: string;
  readonly reason: RefusedConnection;
  readonly error: Error;
}

/** Message of `keyless-tls:server:operation`: an answered request. */
export interface ServerOperation {
  readonly peer: Peer;
  readonly kind: 'sign' | 'premaster' | 'raw-decrypt' | 'ping' | 'capabilities' | 'ticket-keys' | 'invalid';
  /** `rsa-pss sha256`, `ecdsa sha384`, `ed25519`; `undefined`: no signature. */
  readonly method: string | undefined;
  /** 40 hexadecimal digits; `undefined`: the request names no key by it, and none was found. */
  readonly keyId: string | undefined;
  /** Whether there is such a key: otherwise the id is a peer's word. */
  readonly keyFound: boolean;
  /** What the message is, or that there is only its digest; `undefined`: not recognised, or no signature. */
  readonly context: RecognisedContext | 'digest' | undefined;
  /** Escaped. */
  readonly servername: string | undefined;
  /** It has asked again for what was signed for it, or was being signed: it has the same outcome, and nothing was signed for it. */
  readonly repeats: boolean;
  /** Why it was not performed; `undefined`: it succeeded. */
  readonly refusal: Refusal | undefined;
  /** What the peer was told; `undefined`: it succeeded. */
  readonly errorCode: WireErrorCode | undefined;
  /**
   * What the signature stands for, in hexadecimal: TLS 1.3's transcript hash (32 or 48 bytes), TLS 1.2's client and server
   * randoms (64 bytes), a blind digest itself. Both sides of the handshake can tell it from their own records.
   * `undefined`: not recognised.
   */
  readonly transcript: string | undefined;
  readonly durationMs: number;
}

/** Message of `keyless-tls:server:answers`: answers are about to leave. What must be kept of them first is kept now. */
export type ServerAnswers = Readonly<Record<string, never>>;

/** Message of `keyless-tls:server:key-failed`: a key that could not sign what it was asked to. */
export interface ServerKeyFailed {
  /** 40 hexadecimal digits. */
  readonly keyId: string;
  readonly label: string;
  /** What the store said: for the operator, and for no peer. */
  readonly error: unknown;
}

/**
 * Message of `keyless-tls:server:replay-window`: a client has had so much signed that its messages are not remembered for as
 * long as they should be. Told a few times in a window.
 */
export interface ServerReplayWindow {
  /** SHA-256 fingerprint of its certificate. */
  readonly fingerprint: string;
  /** How long they are. */
  readonly windowMs: number;
}

export const serverConnection = channel('keyless-tls:server:connection');
export const serverConnectionEnd = channel('keyless-tls:server:connection:end');
export const serverConnectionRefused = channel('keyless-tls:server:connection:refused');
export const serverOperation = channel('keyless-tls:server:operation');
export const serverAnswers = channel('keyless-tls:server:answers');
export const serverKeyFailed = channel('keyless-tls:server:key-failed');
export const serverReplayWindow = channel('keyless-tls:server:replay-window');
