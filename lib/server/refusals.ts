/** Why a request was not performed: the reason is for the operator, the code on the wire for the peer. */
import { WireError, type WireErrorCode } from '../protocol/opcodes.ts';

/**
 * What a client may not use answers exactly like what does not exist; `rate`, `overloaded`, `ending`, `failed` and `store-unavailable`
 * say that another key server may do better. Nobody reads that a request was `abandoned`.
 */
export const REFUSALS = {
  malformed: WireError.MALFORMED,
  'unknown-operation': WireError.BAD_OPCODE,
  'unexpected-operation': WireError.UNEXPECTED_OPCODE,
  'digest-mismatch': WireError.MALFORMED,
  'blind-digest': WireError.BAD_OPCODE,
  'legacy-hash': WireError.BAD_OPCODE,
  'decryption-off': WireError.BAD_OPCODE,
  'decryption-not-granted': WireError.BAD_OPCODE,
  'tickets-off': WireError.BAD_OPCODE,
  'tickets-not-granted': WireError.BAD_OPCODE,
  'not-a-handshake': WireError.KEY_NOT_FOUND,
  'context-not-allowed': WireError.KEY_NOT_FOUND,
  'use-not-allowed': WireError.KEY_NOT_FOUND,
  'unknown-key': WireError.KEY_NOT_FOUND,
  'key-not-granted': WireError.KEY_NOT_FOUND,
  'name-not-granted': WireError.KEY_NOT_FOUND,
  replayed: WireError.UNEXPECTED_OPCODE,
  rate: WireError.INTERNAL,
  overloaded: WireError.INTERNAL,
  abandoned: WireError.INTERNAL,
  ending: WireError.INTERNAL,
  'key-type': WireError.CRYPTOGRAPHY,
  'key-failed': WireError.CRYPTOGRAPHY,
  'store-unavailable': WireError.READ,
  failed: WireError.INTERNAL,
} as const satisfies Record<string, WireErrorCode>;

export type Refusal = keyof typeof REFUSALS;

/** @param code what the decoder says of a request that it does not take */
export function refusalOfCode(code: WireErrorCode): Refusal {
  if (code === WireError.BAD_OPCODE) return 'unknown-operation';
  return code === WireError.UNEXPECTED_OPCODE ? 'unexpected-operation' : 'malformed';
}
