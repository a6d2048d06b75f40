/** The limits of a key server, each a whole number that has a default. */
import { KeylessError } from '../errors.ts';

export interface KeyServerNumbers {
  readonly handshakeTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly closeTimeoutMs: number;
  readonly maxConnections: number;
  readonly maxConnectionsPerClient: number;
  readonly maxInFlight: number;
  readonly maxInFlightPerClient: number;
  readonly maxHandshakes: number;
  readonly replayCapacity: number;
  readonly replayWindowMs: number;
}

type NumberOptions = { readonly [name in keyof KeyServerNumbers]?: number | undefined };

const DEFAULT_IN_FLIGHT = 128;
const CONNECTIONS_IN_FLIGHT = 8;

function defaultsOf({ maxInFlight = DEFAULT_IN_FLIGHT }: NumberOptions): KeyServerNumbers {
  return {
    handshakeTimeoutMs: 5000,
    idleTimeoutMs: 30_000,
    closeTimeoutMs: 5000,
    maxConnections: 10_000,
    maxConnectionsPerClient: 128,
    maxInFlight,
    maxInFlightPerClient: CONNECTIONS_IN_FLIGHT * maxInFlight,
    maxHandshakes: 512,
    replayCapacity: 1_572_864,
    replayWindowMs: 600_000,
  };
}

/** What may be switched off. */
const LEAST: Partial<KeyServerNumbers> = { replayWindowMs: 0 };

const MAX_INTEGER = 2_147_483_647;

/** @throws ERR_KEYLESS_INVALID_ARGUMENT for what is no whole number from 1 on, or from 0 where that switches it off */
export function numbersOf(options: NumberOptions): KeyServerNumbers {
  const numbers = { ...defaultsOf(options) };
  for (const name of Object.keys(numbers) as (keyof KeyServerNumbers)[]) {
    const value = options[name] ?? numbers[name];
    const { [name]: least = 1 } = LEAST;
    if (!Number.isInteger(value) || value < least || value > MAX_INTEGER) {
      throw new KeylessError(
        'ERR_KEYLESS_INVALID_ARGUMENT',
        `"${name}" must be a whole number from ${least} to ${MAX_INTEGER}, not ${String(value)}.`,
      );
    }
    numbers[name] = value;
  }
  return numbers;
}
