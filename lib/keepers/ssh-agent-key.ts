/** The keys of an SSH agent as a PrivateKey: whichever of them belongs to the certificate of the handshake signs. */
import { KeylessError } from '../errors.ts';
import type { PrivateKey, SignatureScheme, SignOperation } from '../keys/private-key.ts';
import { SIGNING_METHODS } from '../protocol/schemes.ts';
import type { LiveKeyStore, StoredKey } from '../server/key-store.ts';
import { type SshAgentOptions, sshAgent } from '../server/stores/ssh-agent.ts';

export type SshAgentKeyOptions = SshAgentOptions;

/** SSH ties a hash to each curve and RSA to PKCS#1 v1.5, hence to TLS 1.2 (RFC 5656 §6.2.1, RFC 8332 §3). */
const SCHEMES: readonly SignatureScheme[] = [
  ...(['ecdsa_secp256r1_sha256', 'ecdsa_secp384r1_sha384', 'ecdsa_secp521r1_sha512'] as const),
  ...(['ed25519', 'rsa_pkcs1_sha256', 'rsa_pkcs1_sha512'] as const),
];

class SshAgentKey implements PrivateKey {
  readonly schemes = SCHEMES;
  /** Each signature was verified when it came from the agent. */
  readonly verify = 'never';
  readonly #options: SshAgentKeyOptions;
  #listed: Promise<LiveKeyStore> | undefined;
  #reloading: Promise<unknown> | undefined;

  constructor(options: SshAgentKeyOptions) {
    this.#options = options;
  }

  async sign({ scheme, keyId, message }: SignOperation): Promise<Uint8Array> {
    const store = await this.#list();
    const key = store.find({ keyId, certificateDigest: undefined }) ?? (await this.#findAgain(store, keyId));
    return key.sign(SIGNING_METHODS[scheme], message);
  }

  /** An agent that was not there is asked again by the next handshake. */
  #list(): Promise<LiveKeyStore> {
    this.#listed ??= sshAgent(this.#options).catch((error: unknown) => {
      this.#listed = undefined;
      throw error;
    });
    return this.#listed;
  }

  /** It may have been added since. However many ask, the agent lists its keys for one of them at a time. */
  async #findAgain(store: LiveKeyStore, keyId: Uint8Array): Promise<StoredKey> {
    this.#reloading ??= store.reload().finally(() => {
      this.#reloading = undefined;
    });
    await this.#reloading;
    const key = store.find({ keyId, certificateDigest: undefined });
    if (key !== undefined) return key;
    throw new KeylessError(
      'ERR_KEYLESS_KEY_STORE',
      "The SSH agent does not have this certificate's key: ssh-add it.",
    );
  }
}

/**
 * A PrivateKey over a running SSH agent, which is asked at the first handshake: P-256, P-384, P-521, Ed25519, and RSA in
 * TLS 1.2 (a server whose only certificate is RSA needs `maxVersion: 'TLSv1.2'`). Give it as `key` beside any certificate
 * whose key the agent has.
 */
export function sshAgentKey(options: SshAgentKeyOptions = {}): PrivateKey {
  return new SshAgentKey(options);
}
