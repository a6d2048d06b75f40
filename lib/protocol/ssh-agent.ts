/**
 * The messages of the SSH agent protocol (draft-ietf-sshm-ssh-agent): as many as signing needs. Bytes and nothing else.
 *
 * What an agent says is a peer's text: every length is checked, nothing may be left over.
 */
import { KeylessError } from '../errors.ts';
import { SshReader, sshString } from './ssh-data.ts';

/** OpenSSH's bound (AGENT_MAX_LEN); a longer frame is none. */
export const MAX_AGENT_FRAME_BYTES = 262_144;
const LENGTH_BYTES = 4;
/** Far above what a machine's agent holds: OpenSSH's clients take 2,048. */
const MAX_IDENTITIES = 2048;

const AgentMessage = {
  FAILURE: 5,
  REQUEST_IDENTITIES: 11,
  IDENTITIES_ANSWER: 12,
  SIGN_REQUEST: 13,
  SIGN_RESPONSE: 14,
} as const;

/** Without one of them, an agent signs SHA-1 with RSA (RFC 8332 §2); other keys have none. */
export const AgentFlags = { NONE: 0, RSA_SHA2_256: 2, RSA_SHA2_512: 4 } as const;

export interface AgentIdentity {
  /** The public key as SSH has it (RFC 4253 §6.6): the name of the key in requests. */
  readonly blob: Buffer;
  /** Whatever the one who added it wrote. */
  readonly comment: Buffer;
}

function garbage(what: string): KeylessError {
  return new KeylessError('ERR_KEYLESS_PROTOCOL', `No answer of an SSH agent: ${what}.`);
}

function frame(type: number, ...parts: readonly Uint8Array[]): Buffer {
  const header = Buffer.alloc(LENGTH_BYTES + 1);
  const body = Buffer.concat(parts);
  header.writeUInt32BE(1 + body.length, 0);
  header[LENGTH_BYTES] = type;
  return Buffer.concat([header, body]);
}

export function encodeIdentitiesRequest(): Buffer {
  return frame(AgentMessage.REQUEST_IDENTITIES);
}

/** @param message what is to be signed: the agent hashes it. @param flags one of {@link AgentFlags} */
export function encodeSignRequest(blob: Uint8Array, message: Uint8Array, flags: number): Buffer {
  const flagBytes = Buffer.alloc(4);
  flagBytes.writeUInt32BE(flags, 0);
  return frame(AgentMessage.SIGN_REQUEST, sshString(blob), sshString(message), flagBytes);
}

/**
 * @param bytes all that has come since the last answer
 * @returns type and payload of the whole answer; `undefined`: more must come
 * @throws ERR_KEYLESS_PROTOCOL
 */
export function takeAgentAnswer(bytes: Buffer): Buffer | undefined {
  if (bytes.length < LENGTH_BYTES) return undefined;
  const length = bytes.readUInt32BE(0);
  if (length < 1 || length > MAX_AGENT_FRAME_BYTES) throw garbage(`a frame of ${length} bytes`);
  if (bytes.length < LENGTH_BYTES + length) return undefined;
  if (bytes.length > LENGTH_BYTES + length) throw garbage('more than one answer to one request');
  return bytes.subarray(LENGTH_BYTES);
}

/** @returns a reader behind the type; `undefined`: the agent said that it failed */
function openAnswer(answer: Buffer, type: number): SshReader | undefined {
  if (answer[0] === AgentMessage.FAILURE) return undefined;
  if (answer[0] !== type) throw garbage(`type ${answer[0]} where ${type} should be`);
  return new SshReader(answer.subarray(1), garbage);
}

/** @returns `undefined`: the agent said that it failed. @throws ERR_KEYLESS_PROTOCOL */
export function decodeIdentities(answer: Buffer): AgentIdentity[] | undefined {
  const reader = openAnswer(answer, AgentMessage.IDENTITIES_ANSWER);
  if (reader === undefined) return undefined;
  const count = reader.uint32();
  if (count > MAX_IDENTITIES) throw garbage(`${count} keys, at most ${MAX_IDENTITIES} are read`);
  const identities: AgentIdentity[] = [];
  for (let at = 0; at < count; at += 1) identities.push({ blob: reader.string(), comment: reader.string() });
  reader.end();
  return identities;
}

export interface SshSignature {
  /** For example `rsa-sha2-256`. */
  readonly format: string;
  readonly blob: Buffer;
}

/** @returns `undefined`: the agent said that it failed. @throws ERR_KEYLESS_PROTOCOL */
export function decodeSignResponse(answer: Buffer): SshSignature | undefined {
  const reader = openAnswer(answer, AgentMessage.SIGN_RESPONSE);
  if (reader === undefined) return undefined;
  const signature = new SshReader(reader.string(), garbage);
  reader.end();
  const format = signature.string().toString('latin1');
  const blob = signature.string();
  signature.end();
  return { format, blob };
}
