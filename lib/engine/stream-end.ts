/**
 * The end of a user's stream below a TLSSocket, on its way to Node. While a handshake waits it is held back: a socket of Node's is not
 * read from meanwhile, but to pause a stream would tell its user.
 *
 * Owner: its handshake. States: held -> let go.
 */
import type { TLSSocket } from 'node:tls';
import { type JsStreamHandle, standIn } from './tls-handle.ts';
import type { Unread } from './unread.ts';

export class StreamEnd implements Unread {
  /** It waits until the handshake goes on, however long that takes. */
  readonly isPatient: boolean;
  private hasCome = false;
  private readonly below: JsStreamHandle;
  private readonly socket: TLSSocket;
  private readonly note = () => {
    this.hasCome = true;
  };

  /** Perhaps near the end of a deep stack, where calls fail. @param below what tells Node of the end */
  constructor(below: JsStreamHandle, socket: TLSSocket, isPatient: boolean) {
    this.isPatient = isPatient;
    this.below = below;
    this.socket = socket;
    standIn(below, 'emitEOF', this.note);
  }

  /** Node hears of the end, now if it has come. */
  readOn(): void {
    const { below, hasCome } = this;
    // Where it waits for another operation by now, the next one holds it back.
    if (below.emitEOF === this.note) Reflect.deleteProperty(below, 'emitEOF');
    this.hasCome = false;
    if (hasCome && !this.socket.destroyed) below.emitEOF();
  }
}
