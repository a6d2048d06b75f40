/** Which key server answered an operation, for when its answer turns out to be wrong. */
export const kAnsweredBy = Symbol('keyless-tls answered by');
