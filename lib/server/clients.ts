/** Which client of a policy a certificate belongs to, and whether it was revoked: the one place where that is decided. */
import type { ClientOptions, GrantsOptions } from './grants.ts';
import { comparableIdentity } from './identity-name.ts';
import type { PeerIdentity } from './peer-identity.ts';

/** The first of several clients that have one identity; the policy file has none such. Immutable. */
export class Clients {
  readonly #byIdentity = new Map<string, ClientOptions>();
  readonly #revoked: ReadonlySet<string>;

  constructor({ clients, revoked = [] }: GrantsOptions) {
    this.#revoked = new Set(revoked.map(comparableIdentity));
    for (const client of clients) {
      for (const identity of client.identities.map(comparableIdentity)) {
        if (!this.#byIdentity.has(identity)) this.#byIdentity.set(identity, client);
      }
    }
  }

  /** Whatever of it is revoked. */
  isRevoked({ names, pin, fingerprint, otherFingerprints }: PeerIdentity): boolean {
    const identities = [fingerprint, ...otherFingerprints, pin, ...names];
    return identities.some((each) => this.#revoked.has(comparableIdentity(each)));
  }

  /** The client that has one of these identities. @returns `undefined`: none has */
  named(identities: readonly string[]): ClientOptions | undefined {
    for (const each of identities) {
      const client = this.#byIdentity.get(comparableIdentity(each));
      if (client !== undefined) return client;
    }
    return undefined;
  }

  /** The client of its key, or else of the first of its names that one has. @returns `undefined`: none, or it is revoked */
  find(identity: PeerIdentity): ClientOptions | undefined {
    return this.isRevoked(identity) ? undefined : this.named([identity.pin, ...identity.names]);
  }
}
