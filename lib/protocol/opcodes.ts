/** Opcodes that do not sign, error codes, and the names of custom functions (docs/protocol.md). */

export const Opcode = {
  RSA_DECRYPT: 0x01,
  CUSTOM_FUNCTION: 0x24,
  RESPONSE: 0xf0,
  PING: 0xf1,
  PONG: 0xf2,
  ERROR: 0xff,
} as const;

/** Opcodes that only answers carry: as a request they are "unexpected". */
export const ANSWER_OPCODES: ReadonlySet<number> = new Set([Opcode.RESPONSE, Opcode.PONG, Opcode.ERROR]);

/** The one byte of an error's payload. */
export const WireError = {
  CRYPTOGRAPHY: 0x01,
  KEY_NOT_FOUND: 0x02,
  READ: 0x03,
  VERSION: 0x04,
  BAD_OPCODE: 0x05,
  UNEXPECTED_OPCODE: 0x06,
  MALFORMED: 0x07,
  INTERNAL: 0x08,
  CERTIFICATE_NOT_FOUND: 0x09,
} as const;

export type WireErrorCode = (typeof WireError)[keyof typeof WireError];

/** Custom functions that are not signatures (those are `sign:` and a scheme). */
export const CustomFunction = {
  CAPABILITIES: 'capabilities',
  RSA_PREMASTER: 'rsa-premaster',
  TICKET_KEYS: 'ticket-keys',
} as const;

/** The ALPN protocol by which our own peers know each other. */
export const ALPN_PROTOCOL = 'keyless-tls/1';
export const DEFAULT_PORT = 2407;
