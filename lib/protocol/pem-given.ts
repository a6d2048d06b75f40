/**
 * Whether there is anything in an option that is to be PEM, as in the text of a file that is written anew. Node passes over `ca` where
 * it is an empty text, and trusts all of its own authorities then.
 */
import { isArrayBufferView } from 'node:util/types';

function isEmpty(part: unknown): boolean {
  return !part || (isArrayBufferView(part) && part.byteLength === 0);
}

/** @param value whatever somebody gives in the place of PEM, or of a list of it, which Node does not pass over: one part of it is enough */
export function isGiven(value: unknown): boolean {
  return ![value].flat().every(isEmpty);
}
