/**
 * A user's ALPNCallback and pskCallback, asked where a job has paused for them: native/alpn_decision.h and psk_decision.h.
 * What they throw goes where it would go natively; OpenSSL gets no answer then.
 */
import { nextTick } from '../timers.ts';
import { inNextTurn } from '../turn.ts';
import { addon, HandshakeStep } from './addon.ts';
import { askForPsk } from './psk-question.ts';
import { throwLater } from './throw-later.ts';
import type { TlsHandle } from './tls-handle.ts';

/** Tells OpenSSL the answer. @returns the handshake's next step */
export type Tell = () => number;

function orNothing<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch (error) {
    throwLater(error);
    return undefined;
  }
}

function askAlpnCallback(id: number, handle: TlsHandle): Tell {
  const offer = addon().alpnOffer(id);
  const offset = orNothing(() => offer && handle.ALPNCallback?.(offer));
  return () => addon().decideAlpn(id, offset ?? -1);
}

function askPskCallback(id: number, handle: TlsHandle): Tell {
  const question = addon().pskQuestion(id);
  const answer = orNothing(() => question && askForPsk(handle, question));
  return () => addon().decidePsk(id, answer?.identity ?? '', answer?.psk ?? new Uint8Array());
}

/** @param state for which callback the job waits; `undefined`: for none */
export function userQuestion(state: number, id: number, handle: TlsHandle): (() => Tell) | undefined {
  if (state === HandshakeStep.WANT_ALPN) return () => askAlpnCallback(id, handle);
  return state === HandshakeStep.WANT_PSK ? () => askPskCallback(id, handle) : undefined;
}

/** Each is a job's stack, which OpenSSL keeps for later ones, and whoever can open connections can make them. */
const MOST_PUT_OFF = 1000;

let putOff = 0;

/**
 * Asks now, and goes on when Node has done what the user's callback puts off (ticks, microtasks), or at once where many wait for
 * that already.
 *
 * @param isOver the socket is destroyed: in the next turn nothing may be left that could tell how its handshake has failed
 */
export function askAndGoOnLater(
  question: () => Tell,
  goOn: (tell: Tell) => void,
  isOver: () => boolean,
): void {
  if (putOff >= MOST_PUT_OFF) {
    goOn(question());
    return;
  }
  let tell: Tell | undefined;
  const goOnOnce = () => {
    const due = tell;
    tell = undefined;
    if (due !== undefined) goOn(due);
  };
  putOff += 1;
  // It is asked for first, and so comes before what the user puts off to the same time.
  inNextTurn(() => {
    putOff -= 1;
    goOnOnce();
  });
  tell = question();
  if (isOver()) nextTick(goOnOnce);
}
