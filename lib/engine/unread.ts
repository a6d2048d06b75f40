/**
 * Peers that are not read from while their handshakes wait for an operation. Natively nothing is read either: a signature
 * takes place inside the read that asked for it, and a peer that has already ended its side is found out after the
 * answer has left. An operation that takes long is another matter: then it must be found out that the peer has gone.
 */
import { clearInterval, setInterval } from '../timers.ts';

/** Waits unread for at least this long, and at most twice as long. */
const UNREAD_MS = 250;

export interface Unread {
  /** The peer is read from again. */
  readOn(): void;
}

/** In two generations, so that one timer serves all. */
let older = new Set<Unread>();
let younger = new Set<Unread>();
let timer: NodeJS.Timeout | undefined;

function sweep(): void {
  const due = older;
  older = younger;
  younger = new Set();
  if (older.size === 0) {
    clearInterval(timer);
    timer = undefined;
  }
  for (const each of due) each.readOn();
}

/** Its `readOn()` is called later, unless {@link forgetUnread} comes first. */
export function waitUnread(unread: Unread): void {
  younger.add(unread);
  timer ??= setInterval(sweep, UNREAD_MS).unref();
}

export function forgetUnread(unread: Unread): void {
  if (!younger.delete(unread)) older.delete(unread);
}
