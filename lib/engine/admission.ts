/**
 * How many handshakes of servers may stand paused at once. Each holds a job's stack, and whoever can open connections can make
 * them; beyond the limit they wait without a job, beyond twice the limit they are refused.
 */
import { KeylessError } from '../errors.ts';
import { setImmediate } from '../timers.ts';
import { handshakeRefused } from './channels.ts';

/** A handshake that may be driven now or must wait. */
export interface Admittable {
  /** Go on: it is your turn. */
  admit(): void;
  /** There is no room. */
  refuse(error: KeylessError): void;
}

const DEFAULT_MAX_PAUSED = 10_000;
const MAX_PAUSED = 1_000_000;

let maxPaused = DEFAULT_MAX_PAUSED;
let admitted = 0;
let refused = 0;
/** In order of arrival; what has died meanwhile is taken out by {@link withdraw}. */
const waiting = new Set<Admittable>();
let isAdmitting = false;

/** Process-wide settings of the engine. */
export interface EngineSettings {
  /**
   * Handshakes of this thread's servers that may be paused at once, 1 to 1,000,000; default 10,000. As many again wait in a
   * queue; more are refused with ERR_KEYLESS_TOO_MANY_HANDSHAKES. Those of clients are not counted, and wait for nobody.
   */
  readonly maxPausedHandshakes?: number | undefined;
}

/**
 * Changes settings of this thread's engine; what is `undefined` stays as it is. Where there is room now, whoever waits
 * goes on at once.
 *
 * @throws KeylessError ERR_KEYLESS_INVALID_ARGUMENT
 */
export function configureEngine(settings: EngineSettings): void {
  if (typeof settings !== 'object' || settings === null) {
    throw new KeylessError('ERR_KEYLESS_INVALID_ARGUMENT', 'The settings must be an object.');
  }
  const { maxPausedHandshakes: limit } = settings;
  if (limit === undefined) return;
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_PAUSED) {
    throw new KeylessError(
      'ERR_KEYLESS_INVALID_ARGUMENT',
      `"maxPausedHandshakes" must be an integer from 1 to ${MAX_PAUSED}.`,
    );
  }
  maxPaused = limit;
  admitWaiting();
}

/** Lets a parked handshake go on, now or when another has finished, or refuses it. */
export function enter(handshake: Admittable): void {
  if (admitted < maxPaused) {
    admitted += 1;
    handshake.admit();
    return;
  }
  if (waiting.size < maxPaused) {
    waiting.add(handshake);
    return;
  }
  refused += 1;
  if (handshakeRefused.hasSubscribers) handshakeRefused.publish({ paused: admitted, queued: waiting.size });
  handshake.refuse(
    new KeylessError(
      'ERR_KEYLESS_TOO_MANY_HANDSHAKES',
      `${admitted} handshakes are paused and ${waiting.size} wait: the key servers do not keep up. Add key servers, ` +
        'or raise maxPausedHandshakes (about 80 KB of memory each, with its connection).',
    ),
  );
}

/** A handshake that was admitted needs no job any more: the next one may have its place. */
export function leave(): void {
  admitted -= 1;
  admitWaiting();
}

/**
 * Not by recursion: a handshake whose key fails or answers at once leaves inside its own admit(), and with a long queue
 * that would be deeper than the stack. What one throws (a user's event handler does) must not hold the others back.
 */
function admitWaiting(): void {
  if (isAdmitting) return;
  isAdmitting = true;
  try {
    for (const next of waiting) {
      if (admitted >= maxPaused) return;
      waiting.delete(next);
      admitted += 1;
      next.admit();
    }
  } catch (error) {
    setImmediate(admitWaiting);
    throw error;
  } finally {
    isAdmitting = false;
  }
}

/** A handshake that waits has died. @returns whether it was waiting */
export function withdraw(handshake: Admittable): boolean {
  return waiting.delete(handshake);
}

/** Counters for {@link engineStats}. */
export function admissionStats(): { admitted: number; queued: number; refused: number } {
  return { admitted, queued: waiting.size, refused };
}
