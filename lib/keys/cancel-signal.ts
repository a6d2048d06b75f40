/**
 * What an AbortSignal says to those of ours that wait for one: an EventTarget for each handshake costs several
 * microseconds and a kilobyte, so operations have one only when somebody reads `operation.signal`.
 */
import type { CancelListener, CancelSignal } from '../client/errand-request.ts';

export type { CancelListener, CancelSignal };

/** Where operations of the engine have theirs. */
export const kCancelSignal = Symbol('keyless-tls cancel signal');

/**
 * One listener is all that most operations need: a PrivateKey may ask several sets of key servers. States, one way: listening or not ->
 * aborted.
 */
export class OperationCancelSignal implements CancelSignal {
  private listener: CancelListener | undefined;
  private others: CancelListener[] | undefined;
  aborted = false;
  reason: unknown;

  addEventListener(_type: 'abort', listener: CancelListener): void {
    if (this.listener === undefined) this.listener = listener;
    else if (this.others === undefined) this.others = [listener];
    else this.others.push(listener);
  }

  removeEventListener(_type: 'abort', listener: CancelListener): void {
    if (this.listener === listener) this.listener = this.others?.shift();
    else this.others = this.others?.filter((other) => other !== listener);
  }

  abort(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    for (let next = this.take(); next !== undefined; next = this.take()) next.handleEvent();
  }

  private take(): CancelListener | undefined {
    const { listener } = this;
    this.listener = this.others?.shift();
    return listener;
  }
}

/** @returns the cheaper signal of an operation, where it has one */
export function cancelSignalOf(operation: {
  readonly signal?: AbortSignal;
  readonly [kCancelSignal]?: CancelSignal | undefined;
}): CancelSignal | undefined {
  return operation[kCancelSignal] ?? operation.signal;
}
