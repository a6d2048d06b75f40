/** Which key server answered an operation, for when its answer turns out to be wrong. */
export const kAnsweredBy = Symbol('keyless-tls answered by');

/** The part of a key server that the engine looks at. */
export interface Answerer {
  /** It has signed wrongly lately: what it answers is looked at before use. */
  readonly isSuspect: boolean;
}
