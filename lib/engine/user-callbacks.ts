/**
 * A user's ALPNCallback and pskCallback, asked where a job has paused for them: native/alpn_decision.h and psk_decision.h. And
 * listeners of `OCSPResponse`, told where a job has paused for that: native/deferred_callbacks.cc.
 */
import type { TLSSocket } from 'node:tls';
import { addon, HandshakeStep } from './addon.ts';
import { askForPsk } from './psk-question.ts';
import { isGoneBelow, type TlsHandle } from './tls-handle.ts';

/** Tells OpenSSL an answer. @returns the handshake's next step; negative: it waits still, for its end */
type Tell = () => number;

/** Of whose user OpenSSL wants to know. */
interface Asked {
  readonly id: number;
  readonly socket: TLSSocket;
  readonly handle: TlsHandle;
}

/** What OpenSSL wants to know. States: open -> asked -> answered. */
export class UserQuestion {
  private readonly question: () => Tell;
  private readonly tellNothing: Tell;
  private tell: Tell;

  constructor(question: () => Tell, tellNothing: Tell) {
    this.question = question;
    this.tellNothing = tellNothing;
    this.tell = tellNothing;
  }

  /** @throws what the user's callback throws */
  ask(): void {
    this.tell = this.question();
  }

  /** @param isAnswered false: the callback, or a tick after it, has thrown. @returns the handshake's next step */
  answer(isAnswered: boolean): number {
    return isAnswered ? this.tell() : this.tellNothing();
  }
}

function alpnQuestion({ id, handle }: Asked): UserQuestion {
  const telling = (offset: number) => () => addon().decideAlpn(id, offset);
  const question = () => {
    const offer = addon().alpnOffer(id);
    return telling((offer && handle.ALPNCallback?.(offer)) ?? -1);
  };
  return new UserQuestion(question, telling(-1));
}

function pskQuestion({ id, handle }: Asked): UserQuestion {
  const telling = (identity: string, psk: Uint8Array) => () => addon().decidePsk(id, identity, psk);
  const tellNothing = telling('', new Uint8Array());
  const question = () => {
    const raw = addon().pskQuestion(id);
    if (raw === undefined) return tellNothing;
    const { identity, psk } = askForPsk(handle, raw);
    return telling(identity, psk);
  };
  return new UserQuestion(question, tellNothing);
}

/**
 * What comes before a question is told before it, and here that is all. Whoever was told may have destroyed the socket, or what it
 * stands on: then nobody is to sign for it, and it waits until Node has closed that.
 */
function noQuestion({ id, socket, handle }: Asked): UserQuestion {
  const goOn = () => (socket.destroyed || isGoneBelow(handle) ? -1 : addon().goOn(id));
  return new UserQuestion(() => goOn, goOn);
}

/** @param state for which callback the job waits; `undefined`: for none */
export function userQuestion(state: number, asked: Asked): UserQuestion | undefined {
  if (state === HandshakeStep.WANT_ALPN) return alpnQuestion(asked);
  if (state === HandshakeStep.WANT_TELLING) return noQuestion(asked);
  return state === HandshakeStep.WANT_PSK ? pskQuestion(asked) : undefined;
}
