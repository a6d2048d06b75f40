/**
 * The handshakes of this thread's sockets, by number. What waits for its turn or for an operation is held here; the others
 * only by their sockets, so that a socket which is dropped without an end (a stream of the user's under it) goes as it
 * would go natively, and its handshake with it.
 */
import type { SocketHandshake } from './socket-handshake.ts';

const known = new Map<number, WeakRef<SocketHandshake>>();
const waiting = new Map<number, SocketHandshake>();

const FIRST_SWEEP = 1024;
let sweepAt = FIRST_SWEEP;

/** Numbers of sockets that were dropped; each sweep pays for as many sockets as were made since the last one. */
function sweep(): void {
  for (const [id, handshake] of known) if (handshake.deref() === undefined) known.delete(id);
  sweepAt = Math.max(FIRST_SWEEP, known.size * 2);
}

/** @param id what the addon's attachLast() returned */
export function addHandshake(id: number, handshake: SocketHandshake): void {
  known.set(id, new WeakRef(handshake));
  if (known.size >= sweepAt) sweep();
}

/** The handshake of a number; `undefined`: its socket has gone. */
export function findHandshake(id: number): SocketHandshake | undefined {
  return waiting.get(id) ?? known.get(id)?.deref();
}

/** From here on it must not go: it has parked, and its turn, its place in the queue or its job is to come. */
export function holdHandshake(id: number): void {
  const handshake = findHandshake(id);
  if (handshake !== undefined) waiting.set(id, handshake);
}

/** It waits no more. */
export function releaseHandshake(id: number): void {
  waiting.delete(id);
}

/** Its socket has gone. */
export function removeHandshake(id: number): void {
  waiting.delete(id);
  known.delete(id);
}
