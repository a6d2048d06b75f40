/** The answer to the custom function `capabilities`: JSON, so that a peer may say more than this one knows. */
import { KeylessError } from '../errors.ts';
import { MAX_BODY_BYTES } from './frame-encoder.ts';

/** What a key server says about itself. Unknown members are ignored, absent ones are empty. */
export interface Capabilities {
  /** Versions of the ALPN protocol, `1` for `keyless-tls/1`. */
  readonly versions: readonly number[];
  /** Signature schemes that the server signs with, some key permitting. */
  readonly schemes: readonly string[];
  /** Custom functions. */
  readonly functions: readonly string[];
  /** Forms of message that the server signs by default: `tls13-server`, … */
  readonly contexts: readonly string[];
  readonly limits: {
    /** Requests on one connection before the server stops reading. */
    readonly inFlight: number;
    readonly bodyBytes: number;
  };
  /** The server's clock, milliseconds since 1970; `undefined`: not said. */
  readonly time?: number | undefined;
}

export function encodeCapabilities(capabilities: Capabilities): Buffer {
  return Buffer.from(JSON.stringify(capabilities), 'utf8');
}

function listOf<T>(value: unknown, is: (item: unknown) => item is T): readonly T[] {
  return Array.isArray(value) ? value.filter(is) : [];
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function parse(payload: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(payload).toString('utf8'));
  } catch (cause) {
    throw new KeylessError('ERR_KEYLESS_PROTOCOL', 'The capabilities of the key server are not JSON.', {
      cause,
    });
  }
}

/** @throws ERR_KEYLESS_PROTOCOL if it is not JSON */
export function decodeCapabilities(payload: Uint8Array): Capabilities {
  const said = objectOf(parse(payload));
  const limits = objectOf(said.limits);
  return {
    versions: listOf(said.versions, isCount),
    schemes: listOf(said.schemes, isText),
    functions: listOf(said.functions, isText),
    contexts: listOf(said.contexts, isText),
    limits: {
      inFlight: isCount(limits.inFlight) ? limits.inFlight : 1,
      bodyBytes: isCount(limits.bodyBytes) ? limits.bodyBytes : MAX_BODY_BYTES,
    },
    ...(isCount(said.time) ? { time: said.time } : {}),
  };
}
