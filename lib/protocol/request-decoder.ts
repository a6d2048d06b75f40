/** What a key server is asked: the items of a frame to one request, or the error that answers it. */
import { DIGEST_BYTES } from './digests.ts';
import { handshakeContext, type RecognisedContext } from './handshake-message.ts';
import { CERTIFICATE_DIGEST_BYTES, KEY_ID_BYTES } from './key-id.ts';
import { ANSWER_OPCODES, CustomFunction, Opcode, WireError, type WireErrorCode } from './opcodes.ts';
import { methodOfFunction, methodOfOpcode, type SigningMethod } from './schemes.ts';
import type { Items } from './tags.ts';

const WAIT_BYTES = 4;

/** Which key: at least one of them is there. */
export interface KeySelector {
  /** 20 bytes. */
  readonly keyId: Uint8Array | undefined;
  /** 32 bytes, RSA only. */
  readonly certificateDigest: Uint8Array | undefined;
}

export interface SignRequest {
  readonly kind: 'sign';
  readonly method: SigningMethod;
  readonly selector: KeySelector;
  /** The digest of the message, of the right length; `undefined` where the algorithm hashes the message itself. */
  readonly digest: Uint8Array | undefined;
  /** `undefined`: only the digest came. Whether the two agree is not checked yet. */
  readonly message: Uint8Array | undefined;
  /** What the message is; `undefined`: none, or of no form that is known. */
  readonly context: RecognisedContext | undefined;
  /** Host name; peer-supplied text. */
  readonly servername: Uint8Array | undefined;
}

export interface DecryptRequest {
  /** `raw-decrypt`: the block of modulus size; `premaster`: 48 bytes. */
  readonly kind: 'raw-decrypt' | 'premaster';
  readonly selector: KeySelector;
  readonly ciphertext: Uint8Array;
  /** The version the client offered; `undefined`: not said. */
  readonly clientVersion: number | undefined;
  readonly servername: Uint8Array | undefined;
}

export interface PingRequest {
  readonly kind: 'ping';
  readonly payload: Uint8Array | undefined;
}

export interface CapabilitiesRequest {
  readonly kind: 'capabilities';
}

export interface TicketKeysRequest {
  readonly kind: 'ticket-keys';
}

export type Request = SignRequest | DecryptRequest | PingRequest | CapabilitiesRequest | TicketKeysRequest;

/** Items of a fixed size that are of another one make a request malformed. */
function hasBadSize(items: Items): boolean {
  return (
    isNot(items.opcode, [1]) ||
    isNot(items.keyId, [KEY_ID_BYTES]) ||
    isNot(items.certificateDigest, [CERTIFICATE_DIGEST_BYTES]) ||
    isNot(items.clientAddress, [4, 16]) ||
    isNot(items.serverAddress, [4, 16]) ||
    isNot(items.wait, [WAIT_BYTES])
  );
}

function isNot(item: Uint8Array | undefined, sizes: readonly number[]): boolean {
  return item !== undefined && !sizes.includes(item.length);
}

/** @returns milliseconds that the edge waits from now; `undefined`: not said, or not in 4 bytes */
export function waitMsOf({ wait }: Items): number | undefined {
  if (wait?.length !== WAIT_BYTES) return undefined;
  return new DataView(wait.buffer, wait.byteOffset, wait.length).getUint32(0);
}

function selectorOf({ keyId, certificateDigest }: Items): KeySelector | undefined {
  return keyId === undefined && certificateDigest === undefined ? undefined : { keyId, certificateDigest };
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function signRequest(method: SigningMethod, items: Items): SignRequest | WireErrorCode {
  const selector = selectorOf(items);
  const { payload, extraPayload, servername } = items;
  if (selector === undefined || payload === undefined) return WireError.MALFORMED;
  if (method.hash === undefined) {
    if (extraPayload !== undefined && !sameBytes(extraPayload, payload)) return WireError.MALFORMED;
    const context = handshakeContext(payload);
    return { kind: 'sign', method, selector, digest: undefined, message: payload, context, servername };
  }
  if (payload.length !== DIGEST_BYTES[method.hash]) return WireError.MALFORMED;
  const context = extraPayload && handshakeContext(extraPayload);
  return { kind: 'sign', method, selector, digest: payload, message: extraPayload, context, servername };
}

function decryptRequest(kind: DecryptRequest['kind'], items: Items): DecryptRequest | WireErrorCode {
  const selector = selectorOf(items);
  const { payload, extraPayload, servername } = items;
  if (selector === undefined || payload === undefined || payload.length === 0) return WireError.MALFORMED;
  if (kind === 'premaster' && isNot(extraPayload, [2])) return WireError.MALFORMED;
  const said = kind === 'premaster' ? extraPayload : undefined;
  const clientVersion = said === undefined ? undefined : (said[0]! << 8) | said[1]!;
  return { kind, selector, ciphertext: payload, clientVersion, servername };
}

function customFunction(items: Items): Request | WireErrorCode {
  if (items.functionName === undefined) return WireError.MALFORMED;
  const name = Buffer.from(items.functionName).toString('latin1');
  if (name === CustomFunction.CAPABILITIES) return { kind: 'capabilities' };
  if (name === CustomFunction.TICKET_KEYS) return { kind: 'ticket-keys' };
  if (name === CustomFunction.RSA_PREMASTER) return decryptRequest('premaster', items);
  const method = methodOfFunction(name);
  return method === undefined ? WireError.BAD_OPCODE : signRequest(method, items);
}

/** @returns the request, or the code of the error that answers it */
export function decodeRequest(items: Items): Request | WireErrorCode {
  const opcode = items.opcode?.[0];
  if (opcode === undefined || hasBadSize(items)) return WireError.MALFORMED;
  if (opcode === Opcode.PING) return { kind: 'ping', payload: items.payload };
  if (opcode === Opcode.CUSTOM_FUNCTION) return customFunction(items);
  if (opcode === Opcode.RSA_DECRYPT) return decryptRequest('raw-decrypt', items);
  if (ANSWER_OPCODES.has(opcode)) return WireError.UNEXPECTED_OPCODE;
  const method = methodOfOpcode(opcode);
  return method === undefined ? WireError.BAD_OPCODE : signRequest(method, items);
}
