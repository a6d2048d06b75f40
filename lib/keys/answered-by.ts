/** Which key server answered an operation, for when its answer turns out to be wrong. */

/** The part of a key server that the engine looks at. */
export interface Answerer {
  /** It has signed wrongly lately: what it answers is looked at before use. */
  readonly isSuspect: boolean;
}

/**
 * Operations of the engine have a place for it, a private field: one that a PrivateKey has frozen has it still, and a Proxy is not
 * asked for it. To note it must never throw, as whoever waits for the answer is told after that.
 */
export class Answered {
  #by: Answerer | undefined;

  /** @param operation whatever somebody took for one */
  static by(operation: unknown): Answerer | undefined {
    const isObject = typeof operation === 'object' && operation !== null;
    return isObject && #by in operation ? operation.#by : undefined;
  }

  static note(operation: object, by: Answerer | undefined): void {
    if (#by in operation) operation.#by = by;
  }
}
