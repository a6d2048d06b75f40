/** The items of a frame: their tags and names (docs/protocol.md, "Items"). Bytes only. */

/** What a frame may carry; each item once. A name is absent where the frame has no such item. */
export interface Items {
  /** 0x11, 1 byte. */
  opcode?: Uint8Array | undefined;
  /** 0x12. */
  payload?: Uint8Array | undefined;
  /** 0x14: our slot for the message that is to be signed. */
  extraPayload?: Uint8Array | undefined;
  /** 0x04: the subject key identifier, 20 bytes. */
  keyId?: Uint8Array | undefined;
  /** 0x01: legacy selector of RSA keys, 32 bytes. */
  certificateDigest?: Uint8Array | undefined;
  /** 0x03, 4 or 16 bytes. */
  clientAddress?: Uint8Array | undefined;
  /** 0x05, 4 or 16 bytes. */
  serverAddress?: Uint8Array | undefined;
  /** 0x02: host name; peer-supplied text. */
  servername?: Uint8Array | undefined;
  /** 0x06. */
  certificateId?: Uint8Array | undefined;
  /** 0x13: the name of a custom function. */
  functionName?: Uint8Array | undefined;
  /** 0x15, 0x16, 0x17: accepted, never sent. */
  tracing?: Uint8Array | undefined;
  requestContext?: Uint8Array | undefined;
  region?: Uint8Array | undefined;
  /** 0x30, 4 bytes: ours, see {@link waitMsOf}. */
  wait?: Uint8Array | undefined;
  /** 0x20; the encoder adds it itself. */
  padding?: Uint8Array | undefined;
}

export type ItemName = keyof Items;

export const Tag = {
  CERTIFICATE_DIGEST: 0x01,
  SERVERNAME: 0x02,
  CLIENT_ADDRESS: 0x03,
  KEY_ID: 0x04,
  SERVER_ADDRESS: 0x05,
  CERTIFICATE_ID: 0x06,
  OPCODE: 0x11,
  PAYLOAD: 0x12,
  FUNCTION_NAME: 0x13,
  EXTRA_PAYLOAD: 0x14,
  TRACING: 0x15,
  REQUEST_CONTEXT: 0x16,
  REGION: 0x17,
  PADDING: 0x20,
  WAIT: 0x30,
} as const;

const NAMES: readonly (readonly [ItemName, number])[] = [
  ['opcode', Tag.OPCODE],
  ['payload', Tag.PAYLOAD],
  ['extraPayload', Tag.EXTRA_PAYLOAD],
  ['keyId', Tag.KEY_ID],
  ['certificateDigest', Tag.CERTIFICATE_DIGEST],
  ['clientAddress', Tag.CLIENT_ADDRESS],
  ['serverAddress', Tag.SERVER_ADDRESS],
  ['servername', Tag.SERVERNAME],
  ['certificateId', Tag.CERTIFICATE_ID],
  ['functionName', Tag.FUNCTION_NAME],
  ['tracing', Tag.TRACING],
  ['requestContext', Tag.REQUEST_CONTEXT],
  ['region', Tag.REGION],
  ['padding', Tag.PADDING],
  ['wait', Tag.WAIT],
];

/** Tag to name, 256 entries; `undefined`: a tag that is not known and so ignored. */
export const ITEM_NAMES: readonly (ItemName | undefined)[] = nameTable();

function nameTable(): (ItemName | undefined)[] {
  const names = new Array<ItemName | undefined>(256).fill(undefined);
  for (const [name, tag] of NAMES) names[tag] = name;
  return names;
}
