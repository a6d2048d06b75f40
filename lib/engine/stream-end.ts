/**
 * The end of a user's stream below a TLSSocket, on its way to Node. While a handshake waits it is held back: a socket of Node's is not
 * read from meanwhile, but to pause a stream would tell its user.
 *
 * Owner: its handshake. States: held -> let go.
 */
import type { TLSSocket } from 'node:tls';
import { setImmediate } from '../timers.ts';
import { isGoneBelow, type JsStreamHandle, type SocketBelow, standIn, type TlsHandle } from './tls-handle.ts';
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
  /** Node's socket around the stream, which it destroys when the stream has been closed. */
  private readonly around: SocketBelow | null | undefined;
  private readonly note = () => {
    this.hasCome = true;
  };
  /** The end comes before that, or nobody would be told that the handshake has failed: a socket that is destroyed has no end. */
  private readonly destroyAround: SocketBelow['destroy'] = (error) => {
    const { around, hasCome } = this;
    const isFirst = hasCome && !this.connection.socket.destroyed;
    if (isFirst) setImmediate(() => around?.destroy(error));
    this.readOn();
    if (!isFirst) around?.destroy(error);
    return around;
  };

  /** Perhaps near the end of a deep stack, where calls fail. @param below what tells Node of the end */
  constructor(below: JsStreamHandle, connection: Connection, isPatient: boolean) {
    this.isPatient = isPatient;
    this.below = below;
    this.connection = connection;
    this.around = connection.handle._parentWrap;
    // Alone it sees to itself, and what holds the end back does not.
    if (this.around) standIn(this.around, 'destroy', this.destroyAround);
    standIn(below, 'emitEOF', this.note);
  }

  /** Node hears of the end, now if it has come. */
  readOn(): void {
    const { around, below, hasCome } = this;
    const { handle, socket } = this.connection;
    // Where it waits for another operation by now, the next one holds it back.
    if (below.emitEOF === this.note) Reflect.deleteProperty(below, 'emitEOF');
    if (around?.destroy === this.destroyAround) Reflect.deleteProperty(around, 'destroy');
    this.hasCome = false;
    // Of a stream that has been closed since, Node tells nothing more; it would read what has come before.
    if (hasCome && !socket.destroyed && !isGoneBelow(handle)) below.emitEOF();
  }
}
