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
  /** 0x20; the encoder adds it itself. */
  padding?: Uint8Array | undefined;
}

export type ItemName = keyof Items;

/** In the order in which they are sent; padding is the encoder's own. */
export const ITEM_TAGS: readonly (readonly [ItemName, number])[] = [
  ['opcode', 0x11],
  ['payload', 0x12],
  ['extraPayload', 0x14],
  ['keyId', 0x04],
  ['certificateDigest', 0x01],
  ['clientAddress', 0x03],
  ['serverAddress', 0x05],
  ['servername', 0x02],
  ['certificateId', 0x06],
  ['functionName', 0x13],
  ['tracing', 0x15],
  ['requestContext', 0x16],
  ['region', 0x17],
];

export const PADDING_TAG = 0x20;

/** Tag to name, 256 entries; `undefined`: a tag that is not known and so ignored. */
export const ITEM_NAMES: readonly (ItemName | undefined)[] = nameTable();

function nameTable(): (ItemName | undefined)[] {
  const names = new Array<ItemName | undefined>(256).fill(undefined);
  for (const [name, tag] of ITEM_TAGS) names[tag] = name;
  names[PADDING_TAG] = 'padding';
  return names;
}
