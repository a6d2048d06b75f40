/**
 * The end of a user's stream below a TLSSocket, on its way to Node. While a handshake waits it is held back: a socket of Node's is not
 * read from meanwhile, but to pause a stream would tell its user.
 *
 * Owner: its handshake. States: held -> let go.
 */
import type { TLSSocket } from 'node:tls';
import { isGoneBelow, type JsStreamHandle, standIn, type TlsHandle } from './tls-handle.ts';
import type { Unread } from './unread.ts';

interface Connection {
  readonly handle: TlsHandle;
  readonly socket: TLSSocket;
}

export class StreamEnd implements Unread {
  /** It waits until the handshake goes on, however long that takes. */
  readonly isPatient: boolean;
  private hasCome = false;
  private readonly below: JsStreamHandle;
  private readonly connection: Connection;
  private readonly note = () => {
    this.hasCome = true;
  };

  /** Perhaps near the end of a deep stack, where calls fail. @param below what tells Node of the end */
  constructor(below: JsStreamHandle, connection: Connection, isPatient: boolean) {
    this.isPatient = isPatient;
    this.below = below;
    this.connection = connection;
    standIn(below, 'emitEOF', this.note);
  }

  /** Node hears of the end, now if it has come. */
  readOn(): void {
    const { below, hasCome } = this;
    const { handle, socket } = this.connection;
    // Where it waits for another operation by now, the next one holds it back.
    if (below.emitEOF === this.note) Reflect.deleteProperty(below, 'emitEOF');
    this.hasCome = false;
    // Of a stream that has been closed since, Node tells nothing more; it would read what has come before.
    if (hasCome && !socket.destroyed && !isGoneBelow(handle)) below.emitEOF();
  }
}
