/**
 * The keys of an SSH agent as a key store: they stay with the agent, which signs the whole message itself.
 *
 * SSH ties a hash to each key, and RSA to PKCS#1 v1.5: so there is P-256 with SHA-256, P-384 with SHA-384, P-521 with SHA-512,
 * Ed25519, and RSA for TLS 1.2 with SHA-256 and SHA-512. No PSS (hence no RSA in TLS 1.3), no decryption, no digests.
 */
import { createPublicKey, type JsonWebKeyInput, type KeyObject } from 'node:crypto';
import { type Clock, systemClock } from '../../clock.ts';
import { KeylessError } from '../../errors.ts';
import { certificateDigest, subjectKeyId } from '../../protocol/key-id.ts';
import { escapePeerText } from '../../protocol/peer-text.ts';
import type { SigningMethod } from '../../protocol/schemes.ts';
import {
  AgentFlags,
  type AgentIdentity,
  decodeIdentities,
  decodeSignResponse,
  encodeIdentitiesRequest,
  encodeSignRequest,
} from '../../protocol/ssh-agent.ts';
import { ecdsaDerOfBlob, publicKeyOfBlob } from '../../protocol/ssh-data.ts';
import { canSignTls13, type KeyKind, keyKindOf } from '../../signing/key-kind.ts';
import { verifyInPool } from '../../signing/sign-message.ts';
import type { KeyChange, KeyProblem, KeySelector, LiveKeyStore, StoredKey, Workplace } from '../key-store.ts';
import { AgentConnection } from './agent-connection.ts';
import { KeySet } from './key-set.ts';

export interface SshAgentOptions {
  /** Of the agent's Unix socket; default: `SSH_AUTH_SOCK` of the environment. */
  readonly path?: string | undefined;
  /** Milliseconds that the agent may take for an answer, and that a request may wait for its turn; default 5,000. */
  readonly timeoutMs?: number | undefined;
  /** Signatures that may wait for those before them where no key server has them take turns; more fail at once; default 1,024. */
  readonly maxWaiting?: number | undefined;
  /** For tests. */
  readonly clock?: Clock | undefined;
}

/** How an agent is asked for a signature by a method, and what it then calls it; `undefined`: it has no such signature. */
interface Asked {
  readonly flags: number;
  readonly format: string;
}

const RSA_ASKED: Readonly<Record<string, Asked>> = {
  sha256: { flags: AgentFlags.RSA_SHA2_256, format: 'rsa-sha2-256' },
  sha512: { flags: AgentFlags.RSA_SHA2_512, format: 'rsa-sha2-512' },
};

/** Bytes of r or s. */
const COORDINATE_BYTES: Readonly<Record<string, number>> = { prime256v1: 32, secp384r1: 48, secp521r1: 66 };

const garbage = (what: string) =>
  new KeylessError('ERR_KEYLESS_PROTOCOL', `No key or signature of SSH for TLS: ${what}.`);

function problem(what: string): KeylessError {
  return new KeylessError('ERR_KEYLESS_KEY_STORE', what);
}

function askedFor(type: string, kind: KeyKind, method: SigningMethod): Asked | undefined {
  if (kind.type === 'rsa') return method.algorithm === 'rsa-pkcs1' ? RSA_ASKED[method.hash!] : undefined;
  // What TLS 1.3 ties to a curve is what SSH ties to it (RFC 5656 §6.2.1).
  return canSignTls13(kind, method) ? { flags: AgentFlags.NONE, format: type } : undefined;
}

/** As TLS has it. @throws ERR_KEYLESS_PROTOCOL */
function tlsSignature({ type, curve, modulusBytes }: KeyKind, blob: Buffer): Buffer {
  if (type === 'ec') return ecdsaDerOfBlob(blob, COORDINATE_BYTES[curve!]!, garbage);
  if (type !== 'rsa' || blob.length > modulusBytes!) return blob;
  // RFC 8332 §3: some leave out leading zeros.
  return Buffer.concat([Buffer.alloc(modulusBytes! - blob.length), blob]);
}

/** What the keys of an agent share. */
interface Agent {
  readonly connection: AgentConnection;
  readonly workplace: Workplace;
}

/** One that the agent signs, and one that is there when it has: a signature is looked at before it leaves. */
const AT_ONCE = 2;

class AgentKey implements StoredKey {
  readonly keyId: Uint8Array;
  readonly certificateDigest: Uint8Array | undefined;
  readonly kind: KeyKind;
  readonly label: string;
  readonly workplace: Workplace;
  readonly #agent: AgentConnection;
  readonly #blob: Buffer;
  readonly #type: string;
  readonly #publicKey: KeyObject;

  constructor(
    { connection, workplace }: Agent,
    blob: Buffer,
    type: string,
    publicKey: KeyObject,
    label: string,
  ) {
    const spki = publicKey.export({ type: 'spki', format: 'der' });
    this.kind = keyKindOf(publicKey);
    this.keyId = subjectKeyId(spki);
    this.certificateDigest = this.kind.type === 'rsa' ? certificateDigest(spki) : undefined;
    this.label = label;
    this.workplace = workplace;
    this.#agent = connection;
    // A copy: the blob is a view of all that the agent has listed.
    this.#blob = Buffer.from(blob);
    this.#type = type;
    this.#publicKey = publicKey;
  }

  canSign(method: SigningMethod): boolean {
    return askedFor(this.#type, this.kind, method) !== undefined;
  }

  async sign(method: SigningMethod, message: Uint8Array): Promise<Uint8Array> {
    const asked = askedFor(this.#type, this.kind, method);
    if (asked === undefined) {
      throw new KeylessError(
        'ERR_KEYLESS_UNSUPPORTED_SCHEME',
        `An SSH agent does not sign by ${method.algorithm} ${method.hash ?? ''} with a key of type ${this.#type}.`,
      );
    }
    const request = encodeSignRequest(this.#blob, message, asked.flags);
    const signature = await this.#agent.ask(request, (answer) => this.#decode(answer, asked));
    if (signature === undefined) {
      throw problem(
        `The SSH agent refused to sign with ${this.label}: it is locked, has this key no more, or was told not to.`,
      );
    }
    if (await verifyInPool(this.#publicKey, method, message, signature)) return signature;
    throw problem(`The SSH agent's signature with ${this.label} does not verify.`);
  }

  #decode(answer: Buffer, { format }: Asked): Buffer | undefined {
    const signature = decodeSignResponse(answer);
    if (signature === undefined) return undefined;
    if (signature.format !== format) throw garbage(`${escapePeerText(signature.format)}, not ${format}`);
    return tlsSignature(this.kind, signature.blob);
  }
}

class SshAgent implements LiveKeyStore {
  readonly #agent: Agent;
  readonly #path: string;
  readonly #set = new KeySet();

  constructor(path: string, { timeoutMs = 5000, maxWaiting = 1024, clock = systemClock }: SshAgentOptions) {
    this.#path = path;
    this.#agent = {
      connection: new AgentConnection({ path, timeoutMs, maxWaiting, clock }),
      workplace: { atOnce: () => AT_ONCE, patienceMs: timeoutMs },
    };
  }

  get keys(): readonly StoredKey[] {
    return this.#set.keys;
  }

  find(selector: KeySelector): StoredKey | undefined {
    return this.#set.find(selector);
  }

  named(label: string): readonly StoredKey[] {
    return this.#set.named(label);
  }

  async reload(): Promise<KeyChange> {
    const identities = await this.#agent.connection.ask(encodeIdentitiesRequest(), decodeIdentities);
    if (identities === undefined) throw problem(`The SSH agent at ${this.#path} does not list its keys.`);
    // A locked agent says that it has none. Who has the keys signs again when it is unlocked.
    if (identities.length === 0 && this.keys.length > 0) {
      throw problem(
        `The SSH agent at ${this.#path} lists no keys any more: it is locked, or they were removed.`,
      );
    }
    const problems: KeyProblem[] = [];
    const keys = identities.flatMap((identity) => this.#keyOf(identity, problems) ?? []);
    return { ...this.#set.replace(keys), problems };
  }

  close(): void {
    this.#agent.connection.close();
  }

  #keyOf({ blob, comment }: AgentIdentity, problems: KeyProblem[]): StoredKey | undefined {
    const label = `ssh-agent ${escapePeerText(comment)}`;
    try {
      const { type, jwk } = publicKeyOfBlob(blob, garbage);
      if (jwk === undefined) throw garbage(`the type ${escapePeerText(type)}`);
      const input = { key: jwk as JsonWebKeyInput['key'], format: 'jwk' } as const;
      return new AgentKey(this.#agent, blob, type, createPublicKey(input), label);
    } catch (error) {
      problems.push({ file: label, reason: (error as Error).message });
      return undefined;
    }
  }
}

/**
 * The keys of a running SSH agent, listed once; see {@link LiveKeyStore.reload}.
 *
 * @throws (rejects) ERR_KEYLESS_INVALID_ARGUMENT without a path; ERR_KEYLESS_KEY_STORE if the agent does not list its keys
 */
export async function sshAgent(
  options: SshAgentOptions = {},
): Promise<LiveKeyStore & { readonly problems: readonly KeyProblem[] }> {
  const path = options.path ?? process.env.SSH_AUTH_SOCK ?? '';
  if (path === '') {
    throw new KeylessError(
      'ERR_KEYLESS_INVALID_ARGUMENT',
      'There is no SSH agent: SSH_AUTH_SOCK is not set, and no path was given.',
    );
  }
  const agent = new SshAgent(path, options);
  try {
    const { problems } = await agent.reload();
    return Object.assign(agent, { problems });
  } catch (error) {
    agent.close();
    throw error;
  }
}
