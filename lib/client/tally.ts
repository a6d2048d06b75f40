/** What has become of requests. */
import { KeylessError } from '../errors.ts';

export class Tally {
  succeeded = 0;
  failed = 0;
  /** Nobody waited any more: a client that left before its handshake was over, as a rule. */
  cancelled = 0;
  /** Sent again because a connection died or a key server failed. */
  retried = 0;
  /** Failed because too many waited. */
  shed = 0;
  /** Of those that succeeded, to be made up for by the next ones: whoever reads it takes no count that goes back. */
  #takenBack = 0;

  /** @param retried it was sent more than once because it had to be */
  count(result: unknown, retried: boolean): void {
    if (retried) this.retried += 1;
    if (result instanceof KeylessError && result.code === 'ERR_KEYLESS_ABORTED') this.cancelled += 1;
    else if (result instanceof KeylessError) this.failed += 1;
    else if (this.#takenBack > 0) this.#takenBack -= 1;
    else this.succeeded += 1;
  }

  /** What had succeeded turned out to be wrong. @param isOver it has failed; otherwise it is asked for once more */
  takeBack(isOver: boolean): void {
    this.#takenBack += 1;
    if (isOver) this.failed += 1;
  }
}
