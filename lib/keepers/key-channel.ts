/** What the process of an app and the process of its keys say to each other, beside the operations of the wire. */

import { Opcode } from '../protocol/opcodes.ts';
import type { Items } from '../protocol/tags.ts';

/** The custom function that hands a key over; its payload is the key, PKCS#8 DER. */
const KEEP = 'isolate:keep';

/** Operations that the process of the keys may have before it at once: more than an app's handshakes can be. */
export const MAX_UNANSWERED = 65_535;

export function keepRequest(pkcs8: Uint8Array): Items {
  return {
    opcode: Uint8Array.of(Opcode.CUSTOM_FUNCTION),
    functionName: Buffer.from(KEEP, 'ascii'),
    payload: pkcs8,
  };
}

/** @returns the key; `undefined`: the request is another */
export function keptKey({ functionName, payload }: Items): Uint8Array | undefined {
  const isKeep = functionName !== undefined && Buffer.from(functionName).toString('latin1') === KEEP;
  return isKeep ? payload : undefined;
}
