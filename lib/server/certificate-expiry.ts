/** A connection that was let in with a certificate ends when the certificate does. */
import type { X509Certificate } from 'node:crypto';
import type { Alarm, Clock } from '../clock.ts';

/** Timers count no further. */
const MAX_WAIT_MS = 2_147_483_647;

/**
 * @param leftMs milliseconds that the certificate is still valid: the wall clock is asked once, so that its jumps end nothing
 * @returns cancels it
 */
export function whenExpired(leftMs: number, clock: Clock, onExpired: () => void): () => void {
  const expiresAt = clock.now() + leftMs;
  let alarm: Alarm;
  const wait = () => {
    const left = expiresAt - clock.now();
    alarm = clock.after(Math.min(Math.max(left, 0), MAX_WAIT_MS), left > MAX_WAIT_MS ? wait : onExpired);
  };
  wait();
  return () => alarm.cancel();
}

/**
 * @param path a client's certificate and, behind each, that of its issuer
 * @returns milliseconds since 1970, when the first of them ends. One that has ended is none by which the client was let in: where Node.js does
 * not load the addon, a client can send others of the same name
 */
export function endOf(path: readonly X509Certificate[], now: number): number {
  const ends = path.map(({ validTo }) => Date.parse(validTo));
  return Math.min(...ends.filter((end, at) => at === 0 || end > now));
}
