/** What an edge asks: operations to the items of a frame (docs/protocol.md, "Requests"). */
import { digestOf } from './digests.ts';
import { addressBytes } from './ip-address.ts';
import { CustomFunction, Opcode } from './opcodes.ts';
import { functionOfScheme, type SchemeName, SIGNING_METHODS, type SigningMethod } from './schemes.ts';
import type { Items } from './tags.ts';

/** Which key, and for whom. */
export interface RequestContext {
  /** 20 bytes. */
  readonly keyId: Uint8Array;
  /** Host name; left out if it is longer than a host name can be. */
  readonly servername?: string | undefined;
  /** The TLS client's and the TLS server's IP address as text; left out if it is none. */
  readonly clientAddress?: string | undefined;
  readonly serverAddress?: string | undefined;
}

/** RFC 1035 §2.3.4. */
const MAX_HOST_NAME_BYTES = 255;

/** Made once: shared, and never written to. */
const OPCODES: readonly Uint8Array[] = Array.from({ length: 256 }, (_, opcode) => Uint8Array.of(opcode));

function opcodeItem(opcode: number): Uint8Array {
  return OPCODES[opcode]!;
}

function servernameItem(name: string | undefined): Uint8Array | undefined {
  if (name === undefined) return undefined;
  const bytes = Buffer.from(name, 'utf8');
  return bytes.length > 0 && bytes.length <= MAX_HOST_NAME_BYTES ? bytes : undefined;
}

function addressItem(text: string | undefined): Uint8Array | undefined {
  return text === undefined ? undefined : addressBytes(text);
}

const MAX_WAIT_MS = 0xffff_ffff;

/** How long the edge waits for the answer, for servers of ours. @param ms rounded up, 1 to 2^32 − 1 */
export function waitItem(ms: number): Uint8Array {
  const item = Buffer.allocUnsafe(4);
  item.writeUInt32BE(Math.min(MAX_WAIT_MS, Math.max(1, Math.ceil(ms))));
  return item;
}

function withContext(items: Items, context: RequestContext): Items {
  items.keyId = context.keyId;
  items.clientAddress = addressItem(context.clientAddress);
  items.serverAddress = addressItem(context.serverAddress);
  items.servername = servernameItem(context.servername);
  return items;
}

function customFunction(name: string, payload?: Uint8Array): Items {
  return { opcode: opcodeItem(Opcode.CUSTOM_FUNCTION), functionName: Buffer.from(name, 'ascii'), payload };
}

/**
 * A signature. The digest travels for servers that sign digests, the message for those that look at what they sign;
 * schemes that hash the message themselves carry it once, as the payload.
 */
export function signRequest(scheme: SchemeName, message: Uint8Array, context: RequestContext): Items {
  const { opcode, hash }: SigningMethod = SIGNING_METHODS[scheme];
  if (opcode === undefined) return withContext(customFunction(functionOfScheme(scheme), message), context);
  const items: Items =
    hash === undefined
      ? { opcode: opcodeItem(opcode), payload: message }
      : { opcode: opcodeItem(opcode), payload: digestOf(hash, message), extraPayload: message };
  return withContext(items, context);
}

/** A digest alone, for servers that sign digests blindly; ours refuses it unless told otherwise. */
export function signDigestRequest(opcode: number, digest: Uint8Array, context: RequestContext): Items {
  return withContext({ opcode: opcodeItem(opcode), payload: digest }, context);
}

/** The raw RSA operation: a server of the field answers with the block of modulus size. */
export function rawDecryptRequest(ciphertext: Uint8Array, context: RequestContext): Items {
  return withContext({ opcode: opcodeItem(Opcode.RSA_DECRYPT), payload: ciphertext }, context);
}

/**
 * The 48-byte premaster of an RSA key exchange.
 *
 * @param clientVersion the version the client offered, 0x0300 to 0x0303: a premaster must begin with it
 */
export function premasterRequest(
  ciphertext: Uint8Array,
  clientVersion: number,
  context: RequestContext,
): Items {
  const items = customFunction(CustomFunction.RSA_PREMASTER, ciphertext);
  items.extraPayload = Uint8Array.of(clientVersion >> 8, clientVersion & 0xff);
  return withContext(items, context);
}

/** What can you do? */
export function capabilitiesRequest(): Items {
  return customFunction(CustomFunction.CAPABILITIES);
}

/** The session-ticket keys of our group of edges. */
export function ticketKeysRequest(): Items {
  return customFunction(CustomFunction.TICKET_KEYS);
}

/** Are you there? @param payload comes back as it is */
export function pingRequest(payload?: Uint8Array): Items {
  return { opcode: opcodeItem(Opcode.PING), payload };
}
